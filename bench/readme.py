"""Writes figures into the README and docs/results.md: nothing there is typed by hand.

    python -m bench.readme keep DATASET docs/NAME    # in the workspace of any run
    python -m bench.readme write

`keep` notes a run's figures as NAME.json, from reports/DATASET/metrics.json, and its picture as
NAME.png, by running models/DATASET/pipeline on a few of the tested samples. `write` puts those of
RUNS between the two markers of each page: all into docs/results.md, a few into the README.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from bench import figure
from semflow.card.picture import held_out_picture
from semflow.core.files import read_json, write_json, write_text
from semflow.evaluation.results import read_metrics
from semflow.pipeline import load_pipeline
from semflow.schema import read_params
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder
from stages.entry import Folders

README, RESULTS = Path("README.md"), Path("docs/results.md")
START, END = "<!-- figures: written by bench/readme.py -->", "<!-- end of figures -->"


@dataclass(frozen=True)
class Run:
    """What the pages show of a run.

    Args:
        name: Of its data set.
        title: What was run.
        path: Of what is kept of it, without an ending.
        groups: What its intervals draw anew.
    """

    name: str
    title: str
    path: Path
    groups: str


RUNS = (
    Run(
        "Robots",
        "`pretrained/robots` (`semflow use long robots && dvc repro`)",
        Path("docs/robots"),
        "combinations of part designs",
    ),
    Run("Earth", "Earth, `make demo`", Path("docs/earth"), "blocks of longitude"),
)
PICTURE_SCALE = 2
TILES, SEEDS = 8, (0, 1)
BASELINES = {
    "color_classifier": "colour classifier",
    "unet": "discriminative U-Net, same size, same samples",
}
"""How baselines are called in the table; another goes by its own name."""
SYSTEMS = {"painter, mean": "painter: each class in its mean colour"}
"""Likewise systems with their sampler."""
FEW_STEPS = ("1", "5", "25")
"""Of the flow's solver, in the README."""

Figures = Mapping[str, Any]
"""What `keep` notes of a run: `samples_seen`, and `metrics` as metrics.json has them."""


def main() -> None:
    """Keeps a run's figures, or writes those that are kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    actions = parser.add_subparsers(dest="action", required=True)
    keeping = actions.add_parser("keep")
    keeping.add_argument("dataset")
    keeping.add_argument("name", type=Path, help="path without its ending")
    actions.add_parser("write")
    options = parser.parse_args()
    if options.action == "keep":
        keep(options.dataset, options.name)
        return
    kept = [read_json(run.path.with_suffix(".json")) for run in RUNS]
    for page, shown in ((README, [few(RUNS, kept)]), (RESULTS, all_parts(RUNS, kept))):
        write_text(page, with_figures(page.read_text("utf-8"), shown))


def keep(dataset: str, name: Path) -> None:
    """Writes NAME.json and NAME.png of this workspace's run."""
    folders = Folders(dataset)
    train = read_params().dataset(dataset).train
    metrics = read_metrics(folders.metrics)
    seen = train.steps * train.batch_size
    kept = {"samples_seen": seen, "metrics": metrics.model_dump(mode="json")}
    write_json(name.with_suffix(".json"), kept)
    pipeline = load_pipeline(folders.pipeline)
    pipeline.set_progress_bar_config(disable=True)
    tested = ShardFolder(read_manifest(folders.shards / metrics.split))
    image = Image.fromarray(held_out_picture(pipeline, tested, TILES, SEEDS))
    size = (image.width * PICTURE_SCALE, image.height * PICTURE_SCALE)
    image.resize(size, Image.Resampling.NEAREST).save(name.with_suffix(".png"), optimize=True)


def with_figures(page: str, shown: Sequence[str]) -> str:
    """A page's text with other paragraphs between its two markers."""
    if page.count(START) != 1 or page.count(END) != 1:
        sys.exit(f"error: the page must have {START} and {END} once each")
    before, rest = page.split(START)
    after = rest.split(END)[1]
    return before + "\n\n".join([START, *shown, END]) + after


def few(runs: Sequence[Run], kept: Sequence[Figures]) -> str:
    """One table of all runs: the flow by a few numbers of steps, and what stands beside it."""
    columns = [_few_of(figures["metrics"]) for figures in kept]
    head = " | ".join(f"{run.name}: mIoU | round trip | FD" for run in runs)
    rows = [
        f"| {name} | " + " | ".join(found.get(name, "| |") for found in columns) + " |"
        for name in dict.fromkeys(name for found in columns for name in found)
    ]
    tested = " and ".join(
        f"{figures['metrics']['segmentation']['samples']:,} samples of {run.name}"
        for run, figures in zip(runs, kept, strict=True)
    )
    table = [f"| | {head} |", "|---" * (1 + 3 * len(runs)) + "|", *rows]
    return "\n".join(table) + f"\n\nOn test, {tested}."


def _few_of(metrics: Figures) -> dict[str, str]:
    """Three cells of each row: mIoU, round trip and distance."""
    segmented = {
        f"SemFlow, {steps} step{'s' * (steps != '1')}": metrics["segmentation"]["by_steps"][steps]
        for steps in FEW_STEPS
        if steps in metrics["segmentation"]["by_steps"]
    }
    beside = {BASELINES.get(name, name): found for name, found in metrics["baselines"].items()}
    made = _by_sampler(metrics, "synthesis", "SemFlow, ")
    rows = {}
    for name in [*segmented, *beside, *(name for name in SYSTEMS.values() if name in made)]:
        miou = (segmented | beside).get(name, {}).get("miou")
        other = made.get(name, {})
        distance, trip = other.get("fd_mobilenetv2"), other.get("roundtrip_miou_unet")
        cells = [(miou, 3), (trip, 3), (distance, 0)]
        rows[name] = " | ".join("" if value is None else figure(value, n) for value, n in cells)
    real = figure(metrics["baselines"]["unet"]["miou"], 3)
    floor = figure(metrics["synthesis"]["floor_fd_mobilenetv2"], 0)
    return {**rows, "real images": f" | {real} | {floor}"}


def all_parts(runs: Sequence[Run], kept: Sequence[Figures]) -> list[str]:
    """Everything that is noted of the runs, in paragraphs."""
    return [part for run, figures in zip(runs, kept, strict=True) for part in parts(run, figures)]


def parts(run: Run, figures: Figures) -> list[str]:
    """What docs/results.md says of one run, in paragraphs."""
    metrics = figures["metrics"]
    return [
        f"## {run.title}",
        f"![Eight held-out samples]({run.path.name}.png)",
        "Held-out samples; from above: image, true label, segmented by the flow, synthesized from "
        f"the true label with two seeds. {introduction(run, figures)}",
        segmentation(metrics),
        synthesis(metrics),
    ]


def introduction(run: Run, figures: Figures) -> str:
    """What was measured."""
    metrics = figures["metrics"]
    found = metrics["segmentation"]
    return (
        f"{len(metrics['classes'])} classes, {found['samples']:,} {metrics['split']} samples in "
        f"{metrics['groups']} {run.groups}, {figures['samples_seen']:,} training samples seen; "
        f"oracle mIoU {figure(found['oracle_miou'], 3)}. In brackets: 95% of what the same figures "
        f"are when these {run.groups} are drawn anew, with replacement."
    )


def segmentation(metrics: Figures) -> str:
    """mIoU of the flow by steps, of other systems and of the baselines."""
    found = _by_sampler(metrics, "segmentation", "SemFlow, ")
    for name, figures in metrics["baselines"].items():
        found[BASELINES.get(name, name)] = figures
    rows = [f"| {name} | {_within(figures, 'miou', 3)} |" for name, figures in found.items()]
    return "\n".join(["| segmentation | mIoU |", "|---|---|", *rows])


def synthesis(metrics: Figures) -> str:
    """Round trip and distance by steps, beside the painter and real images."""
    found, made = _by_sampler(metrics, "synthesis", ""), metrics["synthesis"]
    rows = [
        f"| {name} | {_within(figures, 'roundtrip_miou_unet', 3)} "
        f"| {_within(figures, 'fd_mobilenetv2', 1)} |"
        for name, figures in found.items()
    ]
    real = _within(metrics["baselines"]["unet"], "miou", 3)
    rows.append(f"| real images | {real} | {made['floor_fd_mobilenetv2']:.1f} |")
    table = ["| synthesis | round trip | FD-MobileNetV2 |", "|---|---|---|", *rows]
    scale = figure(made.get("diversity_of_images"), 3)
    return (
        "\n".join(table) + f"\n\nN = {made['samples']:,} against {made['reference_samples']:,} "
        "real images. The round trip is the mIoU of the syntheses, segmented by the independent "
        f"U-Net. Two seeds differ by {made['diversity_st_lpips']:.3f} ST-LPIPS, real images of "
        f"other labels by {scale}. The distances use MobileNetV2's features; they are not FID."
    )


def _by_sampler(metrics: Figures, way: str, prefix: str) -> dict[str, Figures]:
    """Figures of one direction by the name of their row: SemFlow's by steps, then the others'."""
    by_steps = metrics[way]["by_steps"]
    found = {
        f"{prefix}{steps} step{'s' * (steps != '1')}": by_steps[steps]
        for steps in sorted(by_steps, key=int)
    }
    # Runs that were kept before there were other systems have none.
    for system, ways in metrics.get("systems", {}).items():
        if system != "semflow":
            named = {f"{system}, {name}": figures for name, figures in ways[way].items()}
            found.update({SYSTEMS.get(name, name): figures for name, figures in named.items()})
    return found


def _within(figures: Figures, name: str, digits: int) -> str:
    """A figure, and its interval in small print where it has one."""
    value, interval = figure(figures[name], digits), figures.get(f"{name}_interval")
    if interval is None:
        return value
    low, high = (figure(bound, digits) for bound in interval)
    return f"{value} <sub>[{low}, {high}]</sub>"


if __name__ == "__main__":
    main()
