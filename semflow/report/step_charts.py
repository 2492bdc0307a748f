"""Both directions by what solving costs: lines, and levels of what solves nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from semflow.evaluation.results import Metrics, SegmentationFigures, SynthesisFigures
from semflow.report import runs
from semflow.report.charts import Chart, evaluations_chart
from semflow.report.runs import Figures, Run

FLOOR = "Floor: real images"


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


def levels(
    measured: Sequence[Run[Figures]], value: Callable[[Figures], float | None]
) -> dict[str, float]:
    """A value of each system that solves nothing, where it has one."""
    found = {run.name: value(run.figures) for run in measured if run.figures.evaluations is None}
    return {name: one for name, one in found.items() if one is not None}


def miou_curve(metrics: Metrics, segmented: Sequence[Run[SegmentationFigures]]) -> Chart:
    """MIoU of every system that segments, the discriminative ones as levels."""

    def in_percent(figures: SegmentationFigures) -> float | None:
        """The mIoU as the axis has it."""
        return None if figures.miou is None else 100 * figures.miou

    found = {runs.shown(name): in_percent(each) for name, each in runs.baselines(metrics).items()}
    beside = {name: value for name, value in found.items() if value is not None}
    title = "mIoU by network evaluations, %"
    lines = curves(segmented, in_percent)
    return evaluations_chart(title, lines, levels(segmented, in_percent) | beside, _one_decimal)


def fd_curve(
    metrics: Metrics, synthesized: Sequence[Run[SynthesisFigures]], write: Callable[[float], str]
) -> Chart:
    """The distance to real images of every system that synthesizes, and the floor."""

    def distance(figures: SynthesisFigures) -> float | None:
        """As it is."""
        return figures.fd_mobilenetv2

    floor = {FLOOR: metrics.two_way_synthesis().floor_fd_mobilenetv2}
    lines, beside = curves(synthesized, distance), levels(synthesized, distance)
    title = "FD-MobileNetV2 by network evaluations"
    return evaluations_chart(title, lines, floor | beside, write, from_zero=True)


def roundtrip_curve(metrics: Metrics, synthesized: Sequence[Run[SynthesisFigures]]) -> Chart:
    """MIoU of every system's syntheses by the U-Net, and of real images by the same."""

    def in_percent(figures: SynthesisFigures) -> float | None:
        """The mIoU as the axis has it."""
        return None if figures.roundtrip_miou_unet is None else 100 * figures.roundtrip_miou_unet

    unet = metrics.baselines.get("unet")
    real = {} if unet is None or unet.miou is None else {"Real images": 100 * unet.miou}
    lines, beside = curves(synthesized, in_percent), levels(synthesized, in_percent)
    title = "Round-trip mIoU by network evaluations, %"
    return evaluations_chart(title, lines, real | beside, _one_decimal)


def _one_decimal(value: float) -> str:
    return f"{value:.1f}"
