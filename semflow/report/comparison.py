"""Several evaluations side by side on one page, from their metrics alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from semflow.core.errors import UserError
from semflow.core.terminal import printable
from semflow.evaluation.results import Metrics, SegmentationFigures, SynthesisFigures, read_metrics
from semflow.report import formats, runs
from semflow.report.charts import Chart, evaluations_chart
from semflow.report.page import stylesheet, templates
from semflow.report.step_charts import FLOOR

METRICS = "metrics.json"
Curve = list[tuple[float, float]]


@dataclass(frozen=True)
class Column:
    """What a figure is called, where it stands, and how it is written.

    Args:
        name: Head of the column.
        remark: Below it.
        key: Field of the figures; its interval is the field of that name with `_interval`.
        write: A value as text.
    """

    name: str
    remark: str
    key: str
    write: Callable[[float | None], str]


_SEGMENTATION = (
    Column("mIoU", "%", "miou", formats.percent),
    Column("Pixels right", "%", "pixel_accuracy", formats.percent),
)
_SYNTHESIS = (
    Column("FD", "MobileNetV2's features, lower is closer", "fd_mobilenetv2", formats.plain),
    Column("Round trip", "mIoU by the U-Net, %", "roundtrip_miou_unet", formats.percent),
    Column("ST-LPIPS", "to the true image, lower is closer", "st_lpips_to_truth", formats.plain),
)


def metrics_file(path: Path) -> Path:
    """The file that a run is named by: itself, or the metrics.json in its folder."""
    return path / METRICS if path.is_dir() else path


def find_metrics(paths: Sequence[Path]) -> dict[str, Metrics]:
    """The metrics of several runs, each named by the folder that it lies in.

    Args:
        paths: Files, or folders with a metrics.json.

    Raises:
        UserError: A file is missing or of another version, or two runs have one name.
    """
    found: dict[str, Metrics] = {}
    for path in paths:
        file = metrics_file(path)
        # A folder's name may be no text, which no page takes.
        name = printable(file.resolve().parent.name)
        if name in found:
            raise UserError(f"two runs are named {name}; give each a folder of its own")
        found[name] = read_metrics(file)
    return found


def _heads(columns: Sequence[Column]) -> list[tuple[str, str]]:
    """Names of a table's columns, and what stands below them."""
    return [("Run", ""), ("Steps", ""), *((column.name, column.remark) for column in columns)]


def render_comparison(measured: Mapping[str, Metrics]) -> str:
    """The page as text; the same metrics give the same text.

    Args:
        measured: By the name of the run, two or more.
    """
    page = (
        templates()
        .get_template("comparison.html.jinja")
        .render(
            style=stylesheet(),
            names=list(measured),
            differences=differences(measured),
            charts=_charts(measured),
            segmentation=_rows(_segmentations(measured), _SEGMENTATION),
            synthesis=_rows(_syntheses(measured), _SYNTHESIS),
            segmentation_columns=_heads(_SEGMENTATION),
            synthesis_columns=[
                ("Run", ""),
                ("Steps", ""),
                *((one.name, one.remark) for one in _SYNTHESIS),
            ],
        )
    )
    return f"{page}\n"


def differences(measured: Mapping[str, Metrics]) -> list[str]:
    """What keeps figures from being comparable, a sentence for each kind of difference.

    A run that goes one way alone differs in nothing that the other way is measured by.
    """
    both = measured.items()
    kinds: dict[str, dict[str, str]] = {
        "classes": {name: ", ".join(one.classes) for name, one in both},
        "split": {name: one.split for name, one in both},
        "number of segmented images": {
            name: str(one.segmentation.samples)
            for name, one in both
            if one.segmentation is not None
        },
        "number of syntheses and of real images": {
            name: f"{one.synthesis.samples} and {one.synthesis.reference_samples}"
            for name, one in both
            if one.synthesis is not None
        },
    }
    return [
        f"Not the same {kind}: {'; '.join(f'{name}: {value}' for name, value in values.items())}."
        for kind, values in kinds.items()
        if len(set(values.values())) > 1
    ]


def _segmentations(measured: Mapping[str, Metrics]) -> dict[str, dict[int, SegmentationFigures]]:
    return {
        name: one.segmentation.by_steps
        for name, one in measured.items()
        if one.segmentation is not None
    }


def _syntheses(measured: Mapping[str, Metrics]) -> dict[str, dict[int, SynthesisFigures]]:
    return {
        name: one.synthesis.by_steps for name, one in measured.items() if one.synthesis is not None
    }


def _charts(measured: Mapping[str, Metrics]) -> list[Chart]:
    segmented, made = _segmentations(measured), _syntheses(measured)
    return [
        evaluations_chart(
            "mIoU by network evaluations, %",
            _curves(segmented, "miou", 100),
            _levels(measured, _of_baselines),
            _short,
        ),
        evaluations_chart(
            "FD-MobileNetV2 by network evaluations",
            _curves(made, "fd_mobilenetv2", 1),
            _levels(measured, lambda one: _floor(one) | _of_systems(one, "fd_mobilenetv2", 1)),
            lambda value: f"{value:.4g}",
            from_zero=True,
        ),
        evaluations_chart(
            "Round trip by network evaluations, mIoU in %",
            _curves(made, "roundtrip_miou_unet", 100),
            _levels(measured, lambda one: _of_systems(one, "roundtrip_miou_unet", 100)),
            _short,
        ),
    ]


def _levels(
    measured: Mapping[str, Metrics], values: Callable[[Metrics], Mapping[str, float]]
) -> dict[str, float]:
    """What does not depend on evaluations, once where runs agree and by run where they do not.

    Args:
        measured: By the name of the run.
        values: Those of one run, by name.
    """
    found = {run: values(one) for run, one in measured.items()}
    levels: dict[str, float] = {}
    for name in dict.fromkeys(name for one in found.values() for name in one):
        by_run = {run: one[name] for run, one in found.items() if name in one}
        if len(set(by_run.values())) == 1:
            levels[name] = next(iter(by_run.values()))
        else:
            levels |= {f"{name} of {run}": value for run, value in by_run.items()}
    return levels


def _of_baselines(metrics: Metrics) -> dict[str, float]:
    found = runs.baselines(metrics).items()
    return {runs.shown(name): 100 * one.miou for name, one in found if one.miou is not None}


def _floor(metrics: Metrics) -> dict[str, float]:
    synthesis = metrics.synthesis
    return {} if synthesis is None else {FLOOR: synthesis.floor_fd_mobilenetv2}


def _of_systems(metrics: Metrics, key: str, factor: float) -> dict[str, float]:
    """A figure times a factor of what synthesizes without solving anything, where it has one."""
    return {
        runs.shown(name): factor * getattr(figures, key)
        for name, system in metrics.systems.items()
        for figures in system.synthesis.values()
        if figures.evaluations is None and getattr(figures, key) is not None
    }


def _short(value: float) -> str:
    return f"{value:.1f}"


def _curves(measured: Mapping[str, Mapping[int, Any]], key: str, factor: float) -> dict[str, Curve]:
    """A figure times a factor by network evaluations, for each run that has it."""
    lines: dict[str, Curve] = {}
    for name, by_steps in measured.items():
        for _, figures in sorted(by_steps.items()):
            value = getattr(figures, key)
            if value is not None and figures.evaluations is not None:
                lines.setdefault(name, []).append((figures.evaluations, factor * value))
    return lines


def _rows(
    measured: Mapping[str, Mapping[int, Any]], columns: Sequence[Column]
) -> list[tuple[str, list[Markup | str]]]:
    """A run's name and its cells, a row for each number of steps."""
    return [
        (name, [formats.count(steps), *(_cell(figures, column) for column in columns)])
        for name, by_steps in measured.items()
        for steps, figures in sorted(by_steps.items())
    ]


def _cell(figures: Any, column: Column) -> Markup:
    """A value and its interval, if it has one, as the pages write them."""
    text = Markup(column.write(getattr(figures, column.key)))
    interval = getattr(figures, f"{column.key}_interval")
    if interval is None:
        return text
    return text + Markup(" <small>[{}, {}]</small>").format(*map(column.write, interval))
