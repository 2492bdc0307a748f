"""The sections on segmentation: SemFlow by steps, baselines, oracle, and classes one by one."""

from __future__ import annotations

from semflow.evaluation.results import Metrics, Segmentation, SegmentationFigures
from semflow.report.bars import ClassBars, class_bars
from semflow.report.charts import Level, StepsChart, steps_chart
from semflow.report.content import Content
from semflow.report.formats import compared, count, counted, percent, with_percent
from semflow.report.markup import (
    Markup,
    Row,
    column_head,
    details,
    element,
    join,
    paragraphs,
    small,
    table,
)
from semflow.report.texts import BASELINES, MIOU, ORACLE


def baseline_name(name: str) -> str:
    """A baseline's name as readers know it; one that is not known here keeps its own."""
    return BASELINES.get(name, (name.replace("_", " "), ""))[0]


def baseline_names(metrics: Metrics) -> list[str]:
    """Keys of the baselines, the known ones first, in a fixed order."""
    known = [name for name in BASELINES if name in metrics.baselines]
    return known + sorted(set(metrics.baselines) - set(known))


def classes_that_occur(metrics: Metrics) -> list[bool]:
    """For each class whether any tested label holds it.

    An IoU is undefined only where a class is neither labelled nor predicted. All segmenters met
    the same labels, so one undefined IoU is enough to know that the class does not occur.
    """
    results = [*metrics.segmentation.by_steps.values(), *metrics.baselines.values()]
    return [
        all(result.iou_per_class[i] is not None for result in results)
        for i in range(len(metrics.classes))
    ]


def segmentation_section(content: Content) -> Markup:
    """Table and curve by number of steps."""
    return element(
        "section",
        element("h2", "Segmentation"),
        paragraphs(_finding(content.metrics), MIOU),
        element("div", _table(content.metrics), _curve(content.metrics), class_="beside"),
        id="segmentation",
    )


def classes_section(content: Content) -> Markup:
    """Bars and table of IoU by class."""
    metrics = content.metrics
    default = metrics.segmentation.by_steps[metrics.segmentation.steps]
    names = baseline_names(metrics)[:2]
    shown = [default, *(metrics.baselines[name] for name in names)]
    occurs = classes_that_occur(metrics)
    bars = [
        ClassBars(name, color, [result.iou_per_class[i] for result in shown], occurs[i])
        for i, (name, color) in enumerate(zip(metrics.classes, content.class_colors, strict=True))
    ]
    segmenters = [_flow_name(metrics.segmentation.steps), *map(baseline_name, names)]
    return element(
        "section",
        element("h2", "Classes one by one"),
        paragraphs(*_absent(metrics, occurs)),
        class_bars("IoU by class, %", segmenters, bars),
        details("The same as numbers, for every number of steps", _class_table(metrics, occurs)),
        id="classes",
    )


def _flow_name(steps: int) -> str:
    return f"SemFlow, {counted(steps, 'step')}"


def _finding(metrics: Metrics) -> str:
    found = metrics.segmentation
    others = ", ".join(
        f"{compared(found.miou, metrics.baselines[name].miou)} the "
        f"{_in_sentence(baseline_name(name))} ({with_percent(metrics.baselines[name].miou)})"
        for name in baseline_names(metrics)
    )
    spoken = (
        f"On {counted(found.samples, 'validation image')} SemFlow reaches an mIoU of "
        f"{with_percent(found.miou)} with its default of {counted(found.steps, 'step')}"
        + (f": {others}." if others else ".")
        + _without_background(found)
    )
    if len(found.by_steps) == 1:
        return spoken
    best = max(found.by_steps, key=lambda steps: (round(found.by_steps[steps].miou, 3), -steps))
    return f"{spoken} Of the numbers of steps measured, {count(best)} gives the highest mIoU."


def _without_background(found: Segmentation) -> str:
    if found.miou_without_background is None:
        return ""
    value = with_percent(found.miou_without_background)
    return f" Without the background class, as some papers count, it is {value}."


def _in_sentence(name: str) -> str:
    # "U-Net" is a name, "Colour classifier" is not.
    return name if name[1:2] == "-" else name[:1].lower() + name[1:]


def _table(metrics: Metrics) -> Markup:
    found = metrics.segmentation
    flow = [
        Row(
            _flow_name(steps) + (" (default)" if steps == found.steps else ""),
            _scores(result),
            marked=steps == found.steps,
        )
        for steps, result in sorted(found.by_steps.items())
    ]
    baselines = [
        Row(_described(name), _scores(metrics.baselines[name])) for name in baseline_names(metrics)
    ]
    oracle = Row(
        join(["Oracle", small(ORACLE)]),
        [percent(found.oracle_miou), percent(found.oracle_pixel_accuracy)],
    )
    return table(
        f"Segmentation of {counted(found.samples, 'validation image')}",
        [
            "Segmenter",
            column_head("mIoU,\N{NO-BREAK SPACE}%", "higher is better"),
            column_head("Pixel accuracy, %", "higher is better"),
        ],
        [flow, baselines, [oracle]],
    )


def _described(name: str) -> Markup:
    known = BASELINES.get(name)
    return join([baseline_name(name), *([small(known[1])] if known else [])])


def _scores(result: SegmentationFigures) -> list[str]:
    return [percent(result.miou), percent(result.pixel_accuracy)]


def _curve(metrics: Metrics) -> Markup:
    found = metrics.segmentation
    return steps_chart(
        StepsChart(
            title="mIoU by number of steps, %",
            series="SemFlow",
            points=[(steps, 100 * r.miou) for steps, r in sorted(found.by_steps.items())],
            levels=[
                Level(baseline_name(name), 100 * metrics.baselines[name].miou)
                for name in baseline_names(metrics)
            ],
            write=lambda value: f"{value:.1f}",
        )
    )


def _absent(metrics: Metrics, occurs: list[bool]) -> list[str]:
    absent = [name for name, there in zip(metrics.classes, occurs, strict=True) if not there]
    if not absent:
        return ["Every class occurs in the tested labels."]
    return [
        f"Not in any tested label: {', '.join(absent)}. Where a segmenter predicts such a class "
        "all the same, its IoU is 0 and counts in that segmenter's mIoU; where none does, it is "
        "left out."
    ]


def _class_table(metrics: Metrics, occurs: list[bool]) -> Markup:
    by_steps = sorted(metrics.segmentation.by_steps.items())
    names = baseline_names(metrics)
    results = [result for _, result in by_steps] + [metrics.baselines[name] for name in names]
    rows = [
        Row(
            name if there else join([name, small("does not occur")]),
            [percent(result.iou_per_class[i]) for result in results],
        )
        for i, (name, there) in enumerate(zip(metrics.classes, occurs, strict=True))
    ]
    columns = [_flow_name(steps) for steps, _ in by_steps] + list(map(baseline_name, names))
    return table("IoU by class, %", ["Class", *columns], [rows])
