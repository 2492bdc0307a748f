"""Writes figures and pictures into the README: nothing there is typed by hand.

    python bench/readme.py keep docs/earth-long    # in the workspace of `make demo-long`
    python bench/readme.py write                   # in the workspace of `make demo`

`keep` notes a run's figures as NAME.json, from reports/earth/metrics.json, and its picture as
NAME.png, by running models/earth/pipeline on a few val samples. `write` does so for the demo, as
docs/earth, and puts it and docs/earth-long between the README's two markers.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from PIL import Image

from semflow.core.files import read_json, write_json, write_text
from semflow.core.pictures import color_table, picture_grid
from semflow.pipeline import load_pipeline
from semflow.report.examples import make_examples
from semflow.schema import read_params
from semflow.shards.manifest import read_manifest
from semflow.shards.tar import ShardFolder

START, END = "<!-- figures: written by bench/readme.py -->", "<!-- end of figures -->"
DATASET = "earth"
RUNS = {"make demo": Path("docs/earth"), "make demo-long": Path("docs/earth-long")}
PICTURE_SCALE = 2

Figures = dict[str, Any]


def main() -> None:
    """Keeps a run's figures, or writes those that are kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=("keep", "write"))
    parser.add_argument("name", type=Path, nargs="?", help="path without its ending, for keep")
    options = parser.parse_args()
    if options.action == "keep":
        keep(options.name)
        return
    keep(RUNS["make demo"])
    runs = {name: read_json(path.with_suffix(".json")) for name, path in RUNS.items()}
    readme = Path("README.md").read_text(encoding="utf-8")
    before, rest = readme.split(START)
    after = rest.split(END)[1]
    parts = [START, pictures(), introduction(runs), segmentation(runs), synthesis(runs), END]
    write_text(Path("README.md"), before + "\n\n".join(parts) + after)


def keep(name: Path) -> None:
    """Writes NAME.json and NAME.png of this workspace's run."""
    train = read_params().dataset(DATASET).train
    metrics = read_json(Path("reports") / DATASET / "metrics.json")
    figures = {"samples_seen": train.steps * train.batch_size, "metrics": metrics}
    write_json(name.with_suffix(".json"), figures)
    save_picture(name.with_suffix(".png"))


def save_picture(path: Path) -> None:
    """Held-out tiles both ways, as a grid."""
    params = read_params().dataset(DATASET)
    pipeline = load_pipeline(Path("models") / DATASET / "pipeline")
    pipeline.set_progress_bar_config(disable=True)
    colors = color_table(pipeline.config.class_colors)
    val = ShardFolder(read_manifest(Path("data/shards") / DATASET / "val"))
    examples = make_examples(
        pipeline, val, params.report.model_copy(update={"examples": 8, "seeds": (0, 1)})
    )
    grid = picture_grid(
        [
            [example.image for example in examples],
            [colors[example.label] for example in examples],
            [colors[example.segmentation] for example in examples],
            *[[example.syntheses[i] for example in examples] for i in range(2)],
        ]
    )
    image = Image.fromarray(grid)
    size = (image.width * PICTURE_SCALE, image.height * PICTURE_SCALE)
    image.resize(size, Image.Resampling.NEAREST).save(path, optimize=True)


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


def introduction(runs: dict[str, Figures]) -> str:
    """What was measured."""
    first = next(iter(runs.values()))["metrics"]
    seen = " and ".join(f"{figures['samples_seen']:,}" for figures in runs.values())
    return (
        f"{len(first['classes'])} classes, {first['segmentation']['samples']:,} tiles of held-out "
        f"longitude blocks, {seen} training samples seen; oracle mIoU "
        f"{first['segmentation']['oracle_miou']:.3f}."
    )


def segmentation(runs: dict[str, Figures]) -> str:
    """mIoU by steps and of the baselines, a column for each run."""
    found = [figures["metrics"] for figures in runs.values()]
    rows = [
        (
            f"SemFlow, {steps} step{'s' * (steps > '1')}",
            [m["segmentation"]["by_steps"][steps] for m in found],
        )
        for steps in sorted(found[0]["segmentation"]["by_steps"], key=int)
    ]
    rows.append(("colour classifier", [m["baselines"]["color_classifier"] for m in found]))
    unet = [m["baselines"]["unet"] for m in found]
    rows.append(("discriminative U-Net, same size, same samples", unet))
    lines = [
        f"| {name} | " + " | ".join(f"{result['miou']:.3f}" for result in results) + " |"
        for name, results in rows
    ]
    head = "| segmentation, mIoU | " + " | ".join(f"`{run}`" for run in runs) + " |"
    return "\n".join([head, "|---" * (1 + len(runs)) + "|", *lines])


def synthesis(runs: dict[str, Figures]) -> str:
    """Round trip and distance by steps, a pair of columns for each run."""
    found = [figures["metrics"] for figures in runs.values()]
    lines = [
        f"| {steps} step{'s' * (steps > '1')} | "
        + " | ".join(_pair(m["synthesis"]["by_steps"][steps]) for m in found)
        + " |"
        for steps in sorted(found[0]["synthesis"]["by_steps"], key=int)
    ]
    floors = [
        f"{m['baselines']['unet']['miou']:.3f} | {m['synthesis']['floor_fd_mobilenetv2']:.1f}"
        for m in found
    ]
    columns = " | ".join(f"round trip, `{run}` | FD-MobileNetV2" for run in runs)
    last = found[0]["synthesis"]
    seeds = " and ".join(f"{m['synthesis']['diversity_st_lpips']:.3f}" for m in found)
    return "\n".join(
        [
            f"| synthesis | {columns} |",
            "|---" * (1 + 2 * len(runs)) + "|",
            *lines,
            f"| real images | {' | '.join(floors)} |",
            "",
            f"N = {last['samples']:,} against {last['reference_samples']:,} real tiles. The round "
            "trip is the mIoU of the syntheses, segmented by the independent U-Net. Two seeds "
            f"differ by {seeds} ST-LPIPS. The distances use MobileNetV2's features; they are not "
            "FID.",
        ]
    )


def _pair(result: dict[str, float]) -> str:
    return f"{result['roundtrip_miou_unet']:.3f} | {result['fd_mobilenetv2']:.1f}"


if __name__ == "__main__":
    main()
