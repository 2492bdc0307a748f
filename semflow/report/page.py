"""From metrics and a checkpoint to one HTML page that needs nothing beside itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from semflow.evaluation.results import Metrics, SegmentationFigures
from semflow.report import diagnosis, formats, runs, step_charts, training_curves
from semflow.report.bars import class_bars
from semflow.report.charts import Chart
from semflow.report.confusion import confusion_table, largest_mistakes, share_text
from semflow.report.content import Content, ReportInputs, gather
from semflow.report.extremes import deciles
from semflow.report.films import FILM_STEPS, FILM_TIMES
from semflow.report.formats import Color
from semflow.report.runs import Run
from semflow.report.schema import ReportParams

_FILTERS = (
    *(formats.percent, formats.with_percent, formats.counted, formats.count, formats.size),
    *(formats.mean_count,),
    *(formats.described, formats.agreement, formats.data_uri, formats.yaml_text),
    *(formats.plain, formats.writer_for, runs.shown, runs.by_system, share_text),
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
        inputs: Metrics, details, checkpoint and shards.
        out: The page.

    Raises:
        UserError: An input is missing, or they are not of one checkpoint.
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
        miou_curve=step_charts.miou_curve(metrics, segmented),
        fd_curve=step_charts.fd_curve(metrics, synthesized, write_fd),
        roundtrip_curve=step_charts.roundtrip_curve(metrics, synthesized),
        bars=_bars(content, segmented),
        confusion=confusion_table(metrics.classes, content.details.confusion),
        mistakes=largest_mistakes(metrics.classes, content.details.confusion),
        deciles=deciles(content.details.miou_by_image),
        film_times=FILM_TIMES,
        film_steps=FILM_STEPS,
        diagnosis=diagnosis,
        training=training_curves,
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


def _bars(content: Content, segmented: Sequence[Run[SegmentationFigures]]) -> Chart:
    ious = {run.name: run.figures.iou_per_class for run in segmented if run.is_default}
    beside = list(runs.baselines(content.metrics).items())[:_BARS_BESIDE_THE_DEFAULT]
    ious |= {runs.shown(name): figures.iou_per_class for name, figures in beside}
    classes = list(zip(content.metrics.classes, content.class_colors, strict=True))
    return class_bars("IoU by class, %", classes, ious, runs.absent_classes(content.metrics))


def _legend(content: Content) -> list[tuple[str, Color]]:
    entries = list(zip(content.metrics.classes, content.class_colors, strict=True))
    labels = [example.label for example in content.examples]
    labels += [sample.label for sample in (*content.extremes.worst, *content.extremes.best)]
    if any((label == IGNORE_INDEX).any() for label in labels):
        entries.append(("no class", NO_CLASS_COLOR))
    return entries
