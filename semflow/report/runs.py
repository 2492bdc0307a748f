"""What was measured, in the order of the page: systems with their samplers and steps, baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Generic, TypeVar

from semflow.evaluation.results import Metrics, SegmentationFigures, SynthesisFigures
from semflow.report.formats import counted

DEFAULT_SYSTEM = "semflow"
"""The system that the page is about, by its name in the metrics."""
NAMES = {
    DEFAULT_SYSTEM: "SemFlow",
    "dsm": "DSM",
    "dsm_v": "DSM by v",
    "symmflow": "SymmFlow",
    "bbdm": "BBDM",
    "unet": "U-Net",
    "color_classifier": "Colour classifier",
    "maskformer": "MaskFormer",
    "painter": "Painter",
    "mean": "each class in its mean colour",
    "euler": "Euler",
    "heun": "Heun",
    "midpoint": "midpoint rule",
    "dopri5": "Runge-Kutta 5(4)",
}
"""Names as readers know them; what is not listed is shown under its own name."""
REMARKS = {
    "unet": "Discriminative: trained to classify pixels on as many samples as SemFlow; its shape "
    "is SemFlow's own unless baseline.network says otherwise",
    "color_classifier": "One Gaussian over colours for each class, pixel by pixel",
}
"""What the baselines are, the first to be compared with first."""
BLUR_REMARK = "after a blur of {:g} pixels, the best of baseline.color_blur on val"

Figures = TypeVar("Figures", SegmentationFigures, SynthesisFigures)


@dataclass(frozen=True)
class Run(Generic[Figures]):
    """A generative system with one sampler and number of steps.

    Args:
        system: Name as readers know it.
        sampler: Name as readers know it.
        steps: Number of solver steps; None of a solver that chooses them, and of a system that
            solves nothing.
        figures: What was measured.
        is_default: Whether the page's checkpoint does this when it is not told otherwise.
    """

    system: str
    sampler: str
    steps: int | None
    figures: Figures
    is_default: bool

    @property
    def line(self) -> str:
        """System and sampler: one line of a chart by steps."""
        return f"{self.system}, {self.sampler}"

    @property
    def name(self) -> str:
        """What tells it from all other runs."""
        if self.steps is not None:
            return f"{self.line}, {counted(self.steps, 'step')}"
        if self.figures.tolerance is not None:
            return f"{self.line}, tolerance {self.figures.tolerance:g}"
        return self.line

    @property
    def head(self) -> str:
        """The name, and whether it is the default."""
        return self.name + (" (default)" if self.is_default else "")


def by_system(runs: Sequence[Run[Figures]]) -> list[list[Run[Figures]]]:
    """Runs that are in order, system by system."""
    return [list(group) for _, group in groupby(runs, key=lambda run: run.system)]


def shown(name: str) -> str:
    """A name in the metrics as readers know it."""
    return NAMES.get(name, name.replace("_", " "))


def segmentation_runs(metrics: Metrics, solver: str) -> list[Run[SegmentationFigures]]:
    """Every system that segments, SemFlow and its default solver first, then by number of steps."""
    found = {name: system.segmentation for name, system in metrics.systems.items()}
    return _runs(found, solver, metrics.two_way_segmentation().steps)


def synthesis_runs(metrics: Metrics, solver: str) -> list[Run[SynthesisFigures]]:
    """Every system that synthesizes, in the same order."""
    found = {name: system.synthesis for name, system in metrics.systems.items()}
    return _runs(found, solver, metrics.two_way_synthesis().steps)


def _runs(
    found: Mapping[str, Mapping[str, Figures]], solver: str, steps: int
) -> list[Run[Figures]]:
    measured = []
    for system, by_sampler in found.items():
        for key, figures in by_sampler.items():
            sampler, number = _solved(key)
            # The page's own system and solver go before others of smaller names.
            place = (system != DEFAULT_SYSTEM, system, sampler != solver, sampler, number or 0)
            measured.append((place, number, figures))
    default = (False, DEFAULT_SYSTEM, False, solver, steps)
    return [
        Run(shown(place[1]), shown(place[3]), number, figures, place == default)
        for place, number, figures in sorted(measured, key=lambda run: run[0])
    ]


def _solved(key: str) -> tuple[str, int | None]:
    """Sampler and number of steps of a key such as "euler-25" or "mean"."""
    sampler, _, number = key.rpartition("-")
    return (sampler, int(number)) if number.isdecimal() else (key, None)


def baselines(metrics: Metrics) -> dict[str, SegmentationFigures]:
    """The discriminative segmenters in a fixed order, those with remarks first."""
    known = [name for name in REMARKS if name in metrics.baselines]
    order = known + sorted(set(metrics.baselines) - set(known))
    return {name: metrics.baselines[name] for name in order}


def remark(name: str, figures: SegmentationFigures) -> str:
    """What a baseline is, and what it has chosen; nothing of one that is not known."""
    parts = [REMARKS[name]] if name in REMARKS else []
    if figures.blur is not None:
        parts.append(BLUR_REMARK.format(figures.blur))
    return ", ".join(parts)


def absent_classes(metrics: Metrics) -> list[str]:
    """Classes that no tested label holds.

    An IoU is undefined only where a class is neither labelled nor predicted. All segmenters met
    the same labels, so one undefined IoU is enough to know that the class does not occur.
    """
    own = metrics.two_way_segmentation().by_steps
    results = [*own.values(), *metrics.baselines.values()]
    results += [run for system in metrics.systems.values() for run in system.segmentation.values()]
    ious = zip(*(result.iou_per_class for result in results), strict=True)
    return [name for name, found in zip(metrics.classes, ious, strict=True) if None in found]
