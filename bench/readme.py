"""Writes figures and pictures into the README: nothing there is typed by hand.

    python -m bench.readme keep docs/NAME    # in the workspace of any run
    python -m bench.readme write             # in the workspace of `make demo`

`keep` notes a run's figures as NAME.json, from reports/earth/metrics.json, and its picture as
NAME.png, by running models/earth/pipeline on a few of the tested samples. `write` does so for the
demo, as docs/earth, and puts it between the README's two markers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench import figure
from semflow.core.files import read_json, write_json, write_text
from semflow.core.pictures import color_table, picture_grid
from semflow.core.seeds import spread
from semflow.evaluation.results import read_metrics
from semflow.pipeline import SemFlowPipeline, load_pipeline
from semflow.schema import read_params
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder
from semflow.shards.tar import png_pixels
from stages.entry import Folders

README = Path("README.md")
START, END = "<!-- figures: written by bench/readme.py -->", "<!-- end of figures -->"
DATASET = "earth"
RUNS = {"make demo": Path("docs/earth")}
"""What the README shows; a run that was measured otherwise does not stand beside it."""
PICTURE_SCALE = 2
TILES, SEEDS = 8, (0, 1)
BASELINES = {
    "color_classifier": "colour classifier",
    "unet": "discriminative U-Net, same size, same samples",
}
"""How baselines are called in the table; another goes by its own name."""
SYSTEMS = {"painter, mean": "painter: each class in its mean colour"}
"""Likewise systems with their sampler."""

Figures = Mapping[str, Any]
"""What `keep` notes of a run: `samples_seen`, and `metrics` as metrics.json has them."""


def main() -> None:
    """Keeps a run's figures, or writes those that are kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=("keep", "write"))
    parser.add_argument("name", type=Path, nargs="?", help="path without its ending, for keep")
    options = parser.parse_args()
    if (options.action == "keep") != (options.name is not None):
        parser.error("keep takes a name, write takes none")
    keep(options.name or RUNS["make demo"])
    if options.action == "write":
        runs = {run: read_json(path.with_suffix(".json")) for run, path in RUNS.items()}
        write_text(README, with_figures(README.read_text("utf-8"), runs))


def keep(name: Path) -> None:
    """Writes NAME.json and NAME.png of this workspace's run."""
    folders = Folders(DATASET)
    train = read_params().dataset(DATASET).train
    metrics = read_metrics(folders.metrics)
    seen = train.steps * train.batch_size
    kept = {"samples_seen": seen, "metrics": metrics.model_dump(mode="json")}
    write_json(name.with_suffix(".json"), kept)
    pipeline = load_pipeline(folders.pipeline)
    pipeline.set_progress_bar_config(disable=True)
    tested = ShardFolder(read_manifest(folders.shards / metrics.split))
    image = Image.fromarray(picture(pipeline, tested))
    size = (image.width * PICTURE_SCALE, image.height * PICTURE_SCALE)
    image.resize(size, Image.Resampling.NEAREST).save(name.with_suffix(".png"), optimize=True)


def picture(pipeline: SemFlowPipeline, tested: ShardFolder) -> NDArray[np.uint8]:
    """Held-out samples both ways, a column each, as one (H, W, 3) uint8 picture.

    From above: image, label, its segmentation, and a synthesis from the label for each seed.
    """
    colors = color_table(pipeline.config.class_colors)
    columns = []
    for position in spread(len(tested), TILES):
        image = png_pixels(tested.read(position, "image.png"))
        label = png_pixels(tested.read(position, "label.png"))
        [segmented] = pipeline.segment(Image.fromarray(image))
        made = [np.asarray(pipeline.synthesize(label, seed=seed)[0]) for seed in SEEDS]
        columns.append([image, colors[label], colors[segmented], *made])
    return picture_grid(list(zip(*columns, strict=True)))


def with_figures(readme: str, runs: Mapping[str, Figures]) -> str:
    """A README with other figures between its two markers.

    Args:
        readme: Its text.
        runs: What is noted of each run, by the command that made it.
    """
    if readme.count(START) != 1 or readme.count(END) != 1:
        sys.exit(f"error: README.md must have {START} and {END} once each")
    before, rest = readme.split(START)
    after = rest.split(END)[1]
    parts = [START, pictures(), introduction(runs), segmentation(runs), synthesis(runs), END]
    return before + "\n\n".join(parts) + after


def pictures() -> str:
    """The grids of all runs."""
    shown = [f"![Eight held-out tiles, {run}]({path}.png)" for run, path in RUNS.items()]
    return "\n\n".join(
        [
            *shown,
            "Held-out tiles after " + " and ".join(f"`{run}`" for run in RUNS) + "; from above: "
            "image, true label, segmented by the flow, synthesized from the true label with two "
            "seeds.",
        ]
    )


def introduction(runs: Mapping[str, Figures]) -> str:
    """What was measured."""
    first = next(iter(runs.values()))["metrics"]
    seen = " and ".join(f"{figures['samples_seen']:,}" for figures in runs.values())
    samples = f"{first['segmentation']['samples']:,}"
    # Runs that were kept before there were intervals name neither split nor groups.
    tiles, brackets = f"{samples} tiles of held-out longitude blocks", ""
    if "groups" in first:
        tiles = f"{samples} {first['split']} tiles in {first['groups']} held-out longitude blocks"
        brackets = (
            " In brackets: 95% of what the same figures are when these blocks are drawn anew, with "
            "replacement."
        )
    return (
        f"{len(first['classes'])} classes, {tiles}, {seen} training samples seen; oracle mIoU "
        f"{figure(first['segmentation']['oracle_miou'], 3)}.{brackets}"
    )


def segmentation(runs: Mapping[str, Figures]) -> str:
    """mIoU of the flow by steps, of other systems and of the baselines, a column for each run."""

    def rows(metrics: Figures) -> dict[str, str]:
        found = _by_sampler(metrics, "segmentation", "SemFlow, ")
        for name, figures in metrics["baselines"].items():
            found[BASELINES.get(name, name)] = figures
        return {name: _within(figures, "miou", 3) for name, figures in found.items()}

    heads = ["segmentation, mIoU", *(f"`{run}`" for run in runs)]
    return _table(heads, runs, rows, "-")


def synthesis(runs: Mapping[str, Figures]) -> str:
    """Round trip and distance by steps, a pair of columns for each run."""

    def rows(metrics: Figures) -> dict[str, str]:
        found = {
            name: f"{_within(figures, 'roundtrip_miou_unet', 3)} "
            f"| {_within(figures, 'fd_mobilenetv2', 1)}"
            for name, figures in _by_sampler(metrics, "synthesis", "").items()
        }
        floor = metrics["synthesis"]["floor_fd_mobilenetv2"]
        found["real images"] = f"{_within(metrics['baselines']['unet'], 'miou', 3)} | {floor:.1f}"
        return found

    pairs = [head for run in runs for head in (f"round trip, `{run}`", "FD-MobileNetV2")]
    table = _table(["synthesis", *pairs], runs, rows, "- | -")
    found = [figures["metrics"]["synthesis"] for figures in runs.values()]
    seeds = " and ".join(f"{one['diversity_st_lpips']:.3f}" for one in found)
    return (
        f"{table}\n\nN = {found[0]['samples']:,} against {found[0]['reference_samples']:,} real "
        "tiles. The round trip is the mIoU of the syntheses, segmented by the independent U-Net. "
        f"Two seeds differ by {seeds} ST-LPIPS. The distances use MobileNetV2's features; they are "
        "not FID."
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


def _table(
    heads: Sequence[str],
    runs: Mapping[str, Figures],
    rows_of: Callable[[Figures], Mapping[str, str]],
    absent: str,
) -> str:
    """A Markdown table of the rows of all runs; where a run lacks one, what stands for absent."""
    found = [rows_of(figures["metrics"]) for figures in runs.values()]
    lines = [
        " | ".join([name, *(rows.get(name, absent) for rows in found)])
        for name in dict.fromkeys(name for rows in found for name in rows)
    ]
    rule = "|---" * len(heads) + "|"
    return "\n".join([f"| {' | '.join(heads)} |", rule, *(f"| {line} |" for line in lines)])


if __name__ == "__main__":
    main()
