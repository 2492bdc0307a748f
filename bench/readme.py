"""Writes a run's figures and pictures into the README: nothing there is typed by hand.

    python bench/readme.py earth

Reads reports/<dataset>/metrics.json, runs models/<dataset>/pipeline on a few val samples, writes
docs/<dataset>.png, and replaces what stands between the README's two markers.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from semflow.files import write_text
from semflow.params import read_params
from semflow.pictures import color_table, picture_grid
from semflow.pipeline import load_pipeline
from semflow.report.examples import make_examples
from semflow.results import Metrics, read_metrics
from semflow.shards.manifest import read_manifest
from semflow.shards.tar import ShardFolder

START, END = "<!-- figures: written by bench/readme.py -->", "<!-- end of figures -->"
PICTURE_SCALE = 2


def main() -> None:
    """Refreshes the README for one data set."""
    dataset = sys.argv[1]
    metrics = read_metrics(Path("reports") / dataset / "metrics.json")
    picture = Path("docs") / f"{dataset}.png"
    _save_picture(dataset, picture)
    readme = Path("README.md").read_text(encoding="utf-8")
    before, rest = readme.split(START)
    after = rest.split(END)[1]
    block = "\n\n".join([START, _picture(picture), *_tables(dataset, metrics), END])
    write_text(Path("README.md"), before + block + after)


def _save_picture(dataset: str, path: Path) -> None:
    params = read_params().dataset(dataset)
    pipeline = load_pipeline(Path("models") / dataset / "pipeline")
    pipeline.set_progress_bar_config(disable=True)
    colors = color_table(pipeline.config.class_colors)
    val = ShardFolder(read_manifest(Path("data/shards") / dataset / "val"))
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


def _picture(path: Path) -> str:
    return (
        f"![Eight held-out tiles]({path})\n\n"
        "Held-out tiles, from above: image, true label, segmented by the flow, and synthesized "
        "from the true label with two seeds."
    )


def _tables(dataset: str, metrics: Metrics) -> list[str]:
    train = read_params().dataset(dataset).train
    segmentation, synthesis = metrics.segmentation, metrics.synthesis
    seen = train.steps * train.batch_size
    rows = [
        *(
            (f"SemFlow, {steps} step{'s' * (steps > 1)}", result)
            for steps, result in sorted(segmentation.by_steps.items())
        ),
        ("colour classifier", metrics.baselines["color_classifier"]),
        ("discriminative U-Net, same size, same samples", metrics.baselines["unet"]),
    ]
    lines = [f"| {name} | {r.miou:.3f} | {r.pixel_accuracy:.3f} |" for name, r in rows]
    first = "\n".join(
        [
            f"{len(metrics.classes)} classes, {segmentation.samples:,} tiles of held-out longitude "
            f"blocks, {seen:,} training samples seen; oracle mIoU {segmentation.oracle_miou:.3f}.",
            "",
            "| segmentation | mIoU | accuracy |",
            "|---|---|---|",
            *lines,
        ]
    )
    real = metrics.baselines["unet"].miou
    second = "\n".join(
        [
            "| synthesis | FD-MobileNetV2 | KD-MobileNetV2 | ST-LPIPS to the truth | round trip |",
            "|---|---|---|---|---|",
            *(
                f"| {steps} step{'s' * (steps > 1)} | {r.fd_mobilenetv2:.1f} | "
                f"{r.kd_mobilenetv2:.4f} | {r.st_lpips_to_truth:.3f} | "
                f"{r.roundtrip_miou_unet:.3f} |"
                for steps, r in sorted(synthesis.by_steps.items())
            ),
            f"| real images | {synthesis.floor_fd_mobilenetv2:.1f} | "
            f"{synthesis.floor_kd_mobilenetv2:.4f} | 0 | {real:.3f} |",
            "",
            f"N = {synthesis.samples:,} against {synthesis.reference_samples:,} real tiles. The "
            "round trip is the mIoU of the syntheses, segmented by the independent U-Net. Two "
            f"seeds differ by {synthesis.diversity_st_lpips:.3f} ST-LPIPS on average. These "
            "distances use MobileNetV2 and shift-tolerant LPIPS features; they are neither FID "
            "nor LPIPS.",
        ]
    )
    return [first, second]


if __name__ == "__main__":
    main()
