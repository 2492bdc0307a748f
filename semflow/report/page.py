"""From metrics and a checkpoint to one HTML page that needs nothing beside itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from semflow.core.files import write_text
from semflow.core.labels import IGNORE_INDEX
from semflow.core.pictures import NO_CLASS_COLOR, color_table
from semflow.core.terminal import printable
from semflow.evaluation.results import Metrics, SegmentationFigures, SynthesisFigures
from semflow.report import diagnosis, formats, runs
from semflow.report.charts import Chart, class_bars, evaluations_chart
from semflow.report.content import Content, ReportInputs, gather
from semflow.report.formats import Color
from semflow.report.runs import Figures, Run
from semflow.report.schema import ReportParams

_FILTERS = (
    *(formats.percent, formats.with_percent, formats.counted, formats.count, formats.size),
    *(formats.mean_count,),
    *(formats.described, formats.agreement, formats.data_uri, formats.yaml_text),
    *(formats.plain, formats.writer_for, runs.shown, runs.by_system),
)
_BARS_BESIDE_THE_DEFAULT = 2


def write_report(
    dataset: str,
    params: ReportParams,
    block: Mapping[str, Any],
    inputs: ReportInputs,
    out: Path,
) -> None:
    """Writes one self-contained HTML page; the same inputs give the same bytes.

    Args:
        dataset: Name of the data set.
        params: The samples to show.
        block: The data set's block of params.yaml, plain values.
        inputs: Metrics, checkpoint and shards.
        out: The page.

    Raises:
        UserError: An input is missing, or the metrics are not of this checkpoint.
    """
    write_text(out, render_page(gather(dataset, params, block, inputs)))


def render_page(content: Content) -> str:
    """The page as text; the same content gives the same text.

    Raises:
        UserError: params.yaml lacks a value that the page states.
        ValueError: Parts of the content do not fit together, for instance other numbers of
            classes and colours.
    """
    environment = templates()
    # What JSON may hold of a name, an escape sequence or half a character, no drawing takes.
    names = list(map(printable, content.metrics.classes))
    content = replace(content, metrics=content.metrics.model_copy(update={"classes": names}))
    metrics, solver = content.metrics, content.solver
    segmented = runs.segmentation_runs(metrics, solver)
    synthesized = runs.synthesis_runs(metrics, solver)
    write_fd = formats.writer_for([run.figures.fd_mobilenetv2 for run in synthesized])
    page = environment.get_template("page.html.jinja").render(
        style=stylesheet(),
        content=content,
        segmented=segmented,
        synthesized=synthesized,
        write_fd=write_fd,
        baselines=runs.baselines(metrics),
        comparison=_comparison(metrics),
        best_steps=_best_steps(metrics),
        absent=runs.absent_classes(metrics),
        miou_curve=_miou_curve(metrics, segmented),
        fd_curve=_fd_curve(metrics, synthesized, write_fd),
        bars=_bars(content, segmented),
        diagnosis=diagnosis,
        legend=_legend(content),
        colors=color_table(content.class_colors),
        anchors=color_table(content.anchors, content.ignore_color),
    )
    # Nor does a file take half a character in a key.
    return f"{page}\n".encode("utf-8", "replace").decode()


def templates() -> Environment:
    """The templates of this folder with the filters that they use."""
    environment = Environment(
        loader=PackageLoader("semflow.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({each.__name__: each for each in _FILTERS})
    environment.globals["percent"] = formats.percent
    environment.globals["remark"] = runs.remark
    return environment


def stylesheet() -> Markup:
    """The style of every page, to stand in it."""
    return Markup(files("semflow.report").joinpath("style.css").read_text("utf-8"))


def _comparison(metrics: Metrics) -> str:
    """How SemFlow stands to each baseline, as a part of a sentence."""
    parts = []
    own = metrics.two_way_segmentation().miou
    for name, figures in runs.baselines(metrics).items():
        if own is None or figures.miou is None:
            continue
        stands = formats.compared(own, figures.miou)
        shown = runs.shown(name)
        # "U-Net" is a name, "Colour classifier" is not.
        inside = shown.lower() if shown[1:].islower() else shown
        parts.append(f"{stands} the {inside} ({formats.with_percent(figures.miou)})")
    return ", ".join(parts)


def _best_steps(metrics: Metrics) -> int | None:
    """The number of steps with the highest mIoU as shown; None where one alone was measured."""
    by_steps = metrics.two_way_segmentation().by_steps
    best = max(by_steps, key=lambda steps: (round(by_steps[steps].miou or 0.0, 3), -steps))
    return best if len(by_steps) > 1 else None


def curves(
    measured: Sequence[Run[Figures]], value: Callable[[Figures], float | None]
) -> dict[str, list[tuple[float, float]]]:
    """A value by network evaluations, for each system and sampler that has it."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for run in measured:
        found = value(run.figures)
        if found is not None and run.figures.evaluations is not None:
            lines.setdefault(run.line, []).append((run.figures.evaluations, found))
    return lines


def _miou_curve(metrics: Metrics, segmented: Sequence[Run[SegmentationFigures]]) -> Chart:
    def in_percent(figures: SegmentationFigures) -> float | None:
        """The mIoU as the axis has it."""
        return None if figures.miou is None else 100 * figures.miou

    found = {runs.shown(name): in_percent(each) for name, each in runs.baselines(metrics).items()}
    levels = {name: value for name, value in found.items() if value is not None}
    lines = curves(segmented, in_percent)
    title = "mIoU by network evaluations, %"
    return evaluations_chart(title, lines, levels, lambda value: f"{value:.1f}")


def _fd_curve(
    metrics: Metrics, synthesized: Sequence[Run[SynthesisFigures]], write: Callable[[float], str]
) -> Chart:
    lines = curves(synthesized, lambda figures: figures.fd_mobilenetv2)
    levels = {"Floor: real images": metrics.two_way_synthesis().floor_fd_mobilenetv2}
    title = "FD-MobileNetV2 by network evaluations"
    return evaluations_chart(title, lines, levels, write, from_zero=True)


def _bars(content: Content, segmented: Sequence[Run[SegmentationFigures]]) -> Chart:
    ious = {run.name: run.figures.iou_per_class for run in segmented if run.is_default}
    beside = list(runs.baselines(content.metrics).items())[:_BARS_BESIDE_THE_DEFAULT]
    ious |= {runs.shown(name): figures.iou_per_class for name, figures in beside}
    classes = list(zip(content.metrics.classes, content.class_colors, strict=True))
    return class_bars("IoU by class, %", classes, ious, runs.absent_classes(content.metrics))


def _legend(content: Content) -> list[tuple[str, Color]]:
    entries = list(zip(content.metrics.classes, content.class_colors, strict=True))
    if any((example.label == IGNORE_INDEX).any() for example in content.examples):
        entries.append(("no class", NO_CLASS_COLOR))
    return entries
