"""Writes the tables of docs/study.md from study/results.

    make study
    python -m bench.study

A system that was trained with several seeds has one line: the mean of its figures, and behind it
the smallest and the largest; behind those of one seed stand 95% of the bootstrap. Rows that have
not run yet are named below the tables.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import figure
from semflow.core.files import read_json, write_text
from semflow.evaluation.results import (
    Metrics,
    Result,
    SegmentationFigures,
    SynthesisFigures,
    read_metrics,
)
from semflow.params.reading import read_values
from semflow.params.rows import PEERS, ROWS, ROWS_FILE, read_row, row_block
from semflow.schema import DatasetParams

DOCS = Path("docs/study.md")
RESULTS = Path("study/results")
SYSTEMS = Path("docs/study")
"""Where `python -m bench.comparison` writes."""
START, END = "<!-- tables: written by bench/study.py -->", "<!-- end of tables -->"
SEGMENTATION_STEPS = (1, 2, 5, 10, 25)
SYNTHESIS_STEPS = (1, 2, 5, 25)
DATASETS = {"robots": "Robots", "earth": "Earth"}
NAMES = {
    "semflow": "SemFlow, the values of params.yaml",
    "faithful": "SemFlow, `faithful`: Eq. 10 alone, k = 6, s = 50, amplitude 6",
    "unperturbed": "the same without perturbation",
    "dsm": "DSM, DDIM",
    "dsm-low": "DSM, DDIM, learning rate 0.0005",
    "dsm-high": "DSM, DDIM, learning rate 0.008",
    "dsm-ddpm": "DSM, DDPM",
    "dsm-v": "DSM by v, DDIM",
    "symmflow": "SymmFlow",
    "bbdm": "BBDM, eta = 1",
    "maskformer": "MaskFormer",
    "spade": "SPADE",
    "pix2pixhd": "pix2pixHD",
    "sc-gan": "SC-GAN",
    "cyclegan": "CycleGAN",
}
"""How systems are called; another goes by its own name."""

Runs = Sequence[Metrics]
"""One system's results, a seed each."""


def main() -> None:
    """Rewrites the part of docs/study.md between its markers."""
    text = DOCS.read_text("utf-8")
    if text.count(START) != 1 or text.count(END) != 1:
        sys.exit(f"error: {DOCS} must have {START} and {END} once each")
    before, rest = text.split(START)
    write_text(DOCS, before + "\n\n".join([START, *tables(), END]) + rest.split(END)[1])


def tables() -> Iterator[str]:
    """For each data set that has results: what was measured, and both directions."""
    rows = read_values(ROWS_FILE)
    names = [*rows[ROWS], *rows[PEERS]]
    for dataset, title in DATASETS.items():
        own = [name for name in names if read_row(name).dataset == dataset]
        found = systems_of(own)
        both_ways = [run for runs in found.values() for run in runs if run.synthesis is not None]
        if both_ways:
            yield f"## {title}"
            yield introduction(dataset, both_ways[0])
            yield "\n".join(segmentation(found))
            yield "\n".join(synthesis(found))
        if (side_by_side := SYSTEMS / f"{dataset}-systems.json").is_file():
            yield "\n".join(many_steps(read_json(side_by_side)))
        if missing := [name for name in own if not result_of(name).is_file()]:
            yield f"Not run yet: {', '.join(f'`{name}`' for name in missing)}."


def result_of(name: str) -> Path:
    """Where a row's figures lie."""
    return RESULTS / name / "metrics.json"


def systems_of(names: Sequence[str]) -> dict[str, list[Metrics]]:
    """The results of all seeds by system, in the order of the rows; those that there are."""
    found: dict[str, list[Metrics]] = {}
    for name in names:
        if result_of(name).is_file():
            system = re.sub(r"-\d+$", "", name).partition("-")[2]
            found.setdefault(system, []).append(read_metrics(result_of(name)))
    return found


def introduction(dataset: str, metrics: Metrics) -> str:
    """How many samples were seen and measured, and what the figures are to be held against."""
    names = [name for name in read_values(ROWS_FILE)[ROWS] if read_row(name).dataset == dataset]
    train = DatasetParams.model_validate(row_block(read_row(names[0]))).train
    made = metrics.two_way_synthesis()
    return (
        f"{train.steps * train.batch_size:,} training samples each; "
        f"{made.samples:,} samples of {metrics.split}, "
        f"{made.reference_samples:,} real images to compare with. Floor of the distance "
        f"{made.floor_fd_mobilenetv2:.0f}; two real images of other labels differ by "
        f"{figure(made.diversity_of_images, 3)} ST-LPIPS. The U-Net that judges the round trip, "
        "of the same size on the same samples, segments real images at "
        f"{figure(metrics.baselines['unet'].miou, 3)}, the colour classifier at "
        f"{figure(metrics.baselines['color_classifier'].miou, 3)}."
    )


def segmentation(found: Mapping[str, Runs]) -> Iterator[str]:
    """mIoU by steps, the first seed's interval at one step behind it; a peer's only pass is one."""
    yield f"| segmentation, mIoU | {' | '.join(map(str, SEGMENTATION_STEPS))} | seeds |"
    yield "|---" * (len(SEGMENTATION_STEPS) + 2) + "|"
    for system, runs in found.items():
        if all(run.segmentation is None for run in runs):
            continue
        cells = [spread(segmented(runs, steps), "miou", 3) for steps in SEGMENTATION_STEPS]
        yield f"| {NAMES.get(system, system)} | {' | '.join(cells)} | {len(runs)} |"


def synthesis(found: Mapping[str, Runs]) -> Iterator[str]:
    """Distance and round trip by steps, and how much two seeds differ."""
    steps = " / ".join(map(str, SYNTHESIS_STEPS))
    yield f"| synthesis | FD-MobileNetV2 at {steps} steps | round trip | two seeds, ST-LPIPS |"
    yield "|---|---|---|---|"
    for system, runs in found.items():
        if all(run.synthesis is None for run in runs):
            continue
        made = [synthesized(runs, steps) for steps in SYNTHESIS_STEPS]
        distance = [spread(one, "fd_mobilenetv2", 0) for one in made]
        trip = [spread(one, "roundtrip_miou_unet", 3) for one in made]
        whole = [run.synthesis for run in runs if run.synthesis is not None]
        seeds = spread(whole, "diversity_st_lpips", 3)
        name = NAMES.get(system, system)
        yield f"| {name} | {' / '.join(distance)} | {' / '.join(trip)} | {seeds} |"


def many_steps(found: Mapping[str, Any]) -> Iterator[str]:
    """The paper's Table 2 at all its numbers of steps, of one seed, and the agreement of seeds.

    Args:
        found: What `python -m bench.comparison` has measured.
    """
    steps = sorted(next(iter(found["miou"].values())), key=int)
    yield f"| mIoU of {found['samples']} samples | {' | '.join(steps)} | agreement of seeds |"
    yield "|---" * (len(steps) + 2) + "|"
    order = list(NAMES)
    systems = {re.sub(r"-\d+$", "", name): name for name in found["miou"]}
    for system in sorted(systems, key=order.index):
        name = systems[system]
        by_steps = found["miou"][name]
        cells = [f"{by_steps[number]:.3f}" for number in steps]
        agreement = figure(found["agreement"].get(name), 3)
        yield f"| {NAMES.get(system, system)} | {' | '.join(cells)} | {agreement} |"


def segmented(runs: Runs, steps: int) -> list[SegmentationFigures]:
    """The figures at a number of steps, of the seeds that have them."""
    found = [run.segmentation.by_steps for run in runs if run.segmentation is not None]
    return [one[steps] for one in found if steps in one]


def synthesized(runs: Runs, steps: int) -> list[SynthesisFigures]:
    """Likewise of the other direction."""
    found = [run.synthesis.by_steps for run in runs if run.synthesis is not None]
    return [one[steps] for one in found if steps in one]


def spread(figures: Sequence[Result], name: str, digits: int) -> str:
    """The mean over seeds, and in small print the smallest and largest.

    Of one seed the bootstrap's interval stands there instead; where nothing was measured, a dash.

    Args:
        figures: A seed each.
        name: Of the figure.
        digits: Decimals.
    """
    values = [value for one in figures if (value := getattr(one, name)) is not None]
    if not values:
        return "-"
    ends = (min(values), max(values))
    if len(values) == 1:
        ends = getattr(figures[0], f"{name}_interval")
    mean = f"{sum(values) / len(values):.{digits}f}"
    if ends is None:
        return mean
    return f"{mean} <sub>[{ends[0]:.{digits}f}, {ends[1]:.{digits}f}]</sub>"


if __name__ == "__main__":
    main()
