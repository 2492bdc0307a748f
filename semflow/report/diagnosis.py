"""The diagnosis as charts: mIoU over t, and what is left of the latents' deviation by channel."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from semflow.core.seeds import spread
from semflow.evaluation.results import Diagnosis
from semflow.report.charts import Axis, Chart, Points, linear_chart
from semflow.report.formats import counted

TRUE, OWN = "From the true state", "From the solver's own state"
"""Names of the two lines over t."""
_TIME_TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_CHANNEL_TICKS = 5


def states_chart(diagnosis: Diagnosis) -> Chart:
    """mIoU in one step from true states and from the solver's own, over t."""
    title = "mIoU in one step from time t, %"
    found = {
        TRUE: _measured([(state.t, state.miou_from_true) for state in diagnosis.states]),
        OWN: _measured([(state.t, state.miou_from_own) for state in diagnosis.states]),
    }
    lines = {name: points for name, points in found.items() if points}
    spoken = "; ".join(
        f"{name}: {', '.join(f'{value:.1f} at {t:g}' for t, value in points)}"
        for name, points in lines.items()
    )
    axis = Axis("t, from image to mask", _TIME_TICKS)
    return linear_chart(title, axis, lines, {}, _one_decimal, f"{title}. {spoken}.")


def shares_chart(diagnosis: Diagnosis) -> Chart:
    """Surviving shares over channels, those of the largest true deviation first."""
    title = "Latents' deviation that syntheses keep, %"
    order = by_deviation(diagnosis)
    found = {
        steps: _measured([(rank, shares[channel]) for rank, channel in enumerate(order, start=1)])
        for steps, shares in sorted(diagnosis.surviving_shares.items())
    }
    lines = {counted(steps, "step"): points for steps, points in found.items() if points}
    spoken = "; ".join(f"{name}: {_summary(points)}" for name, points in lines.items())
    ticks = [1 + place for place in spread(len(order), _CHANNEL_TICKS)]
    axis = Axis("latent channels, by falling deviation", ticks)
    levels = {"True images": 100.0}
    return linear_chart(title, axis, lines, levels, _one_decimal, f"{title}. {spoken}.")


def by_deviation(diagnosis: Diagnosis) -> list[int]:
    """Numbers of the latents' channels, the largest deviation in true images first."""
    deviations = diagnosis.image_deviations
    return sorted(range(len(deviations)), key=lambda channel: -deviations[channel])


def _measured(fractions: Sequence[tuple[float, float | None]]) -> Points:
    """In percent, what could be measured."""
    return [(place, 100 * value) for place, value in fractions if value is not None]


def _summary(points: Points) -> str:
    values = [value for _, value in points]
    return f"median {median(values):.1f}, from {min(values):.1f} to {max(values):.1f}"


def _one_decimal(value: float) -> str:
    return f"{value:.1f}"
