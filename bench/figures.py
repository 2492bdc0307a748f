"""Pictures of docs/study.md, after the paper's figures, from the checkpoints of the study's rows.

    make study
    python -m bench.figures robots

Writes docs/study/DATASET-*.png and the figures beside them as docs/study/DATASET.json, all on the
test split: syntheses by steps (Fig. 5, 9), with and without perturbation (Fig. 4), by amplitude
(Fig. 8), the path from image to mask (Fig. 6) and how straight it is (Fig. 7), and RK45 against
Euler's method by evaluations (Fig. 10).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from semflow.core.files import write_json
from semflow.core.pictures import color_table, picture_grid
from semflow.core.seeds import spread
from semflow.filmstrip import Picture, decoded_states, path_states
from semflow.flow.solvers import DOPRI5, uniform_grid
from semflow.metrics.confusion import ConfusionMatrix
from semflow.pipeline import SemFlowPipeline, load_pipeline
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder
from semflow.shards.tar import png_pixels
from stages.entry import Folders, folders_of

OUT = Path("docs/study")
SYSTEM, FAITHFUL, UNPERTURBED = "semflow-0", "faithful", "unperturbed"
COLUMNS, SCALE, SEED = 8, 2, 0
STEPS = (1, 2, 5, 25)
SEEDS = range(3)
AMPLITUDES = (0.0, 0.5, 1.0, 1.5, 2.0)
"""Of sampling, in those of training."""
PATH_STEPS, PATH_FRAMES = 25, 9
TOLERANCES = (1e-1, 1e-2, 1e-3)
MEASURED = 64
"""Samples behind each number."""


@dataclass(frozen=True)
class Samples:
    """Test samples, spread evenly over the split.

    Args:
        images: (H, W, 3) uint8 each.
        labels: (H, W) uint8 ids each.
    """

    images: list[Picture]
    labels: list[Picture]

    @classmethod
    def of(cls, dataset: str, count: int) -> Samples:
        """Reads them."""
        folder = ShardFolder(read_manifest(Folders(dataset).shards / "test"))
        chosen = spread(len(folder), count)
        return cls(
            [png_pixels(folder.read(position, "image.png")) for position in chosen],
            [png_pixels(folder.read(position, "label.png")) for position in chosen],
        )


def main() -> None:
    """Draws and measures all of them for one data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    dataset = parser.parse_args().dataset
    own, faithful, unperturbed = (
        quiet(f"{dataset}-{name}") for name in (SYSTEM, FAITHFUL, UNPERTURBED)
    )
    shown, measured = Samples.of(dataset, COLUMNS), Samples.of(dataset, MEASURED)
    save(f"{dataset}-steps", by_steps(own, shown))
    save(f"{dataset}-perturbation", by_seed([own, faithful, unperturbed], shown))
    save(f"{dataset}-amplitude", by_amplitude(own, shown))
    save(f"{dataset}-path", paths(own, shown))
    found = {
        "samples": len(measured.images),
        "brightness": {f"{factor:g}": brightness(own, measured, factor) for factor in AMPLITUDES},
        "straightness": {
            name: straightness(pipeline, measured)
            for name, pipeline in ((SYSTEM, own), (FAITHFUL, faithful))
        },
        "solvers": {
            name: solvers(pipeline, measured)
            for name, pipeline in ((SYSTEM, own), (FAITHFUL, faithful))
        },
    }
    write_json(OUT / f"{dataset}.json", found)


def quiet(row: str) -> SemFlowPipeline:
    """The checkpoint of a row, without a bar for each batch."""
    pipeline = load_pipeline(folders_of(row).pipeline)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def save(name: str, rows: Sequence[Sequence[Picture]]) -> None:
    """Writes rows of pictures as one PNG, enlarged without smoothing."""
    image = Image.fromarray(picture_grid(rows))
    size = (image.width * SCALE, image.height * SCALE)
    OUT.mkdir(parents=True, exist_ok=True)
    image.resize(size, Image.Resampling.NEAREST).save(OUT / f"{name}.png", optimize=True)


def colored(pipeline: SemFlowPipeline, labels: Sequence[Picture]) -> list[Picture]:
    """Labels in the classes' display colours."""
    table = color_table(pipeline.config.class_colors)
    return [table[label] for label in labels]


def synthesized(
    pipeline: SemFlowPipeline, samples: Samples, steps: int | None, seed: int, factor: float = 1.0
) -> list[Picture]:
    """One synthesis of each label; the amplitude in those of training."""
    amplitude = factor * pipeline.config.amplitude
    images = pipeline.synthesize(samples.labels, steps, seed=seed, amplitude=amplitude)
    return [np.asarray(image) for image in images]


def by_steps(pipeline: SemFlowPipeline, samples: Samples) -> list[list[Picture]]:
    """From above: images, labels, syntheses by steps."""
    made = [synthesized(pipeline, samples, steps, SEED) for steps in STEPS]
    return [samples.images, colored(pipeline, samples.labels), *made]


def by_seed(pipelines: Sequence[SemFlowPipeline], samples: Samples) -> list[list[Picture]]:
    """From above: labels, then for each system its syntheses by seed."""
    made = [synthesized(each, samples, None, seed) for each in pipelines for seed in SEEDS]
    return [colored(pipelines[0], samples.labels), *made]


def by_amplitude(pipeline: SemFlowPipeline, samples: Samples) -> list[list[Picture]]:
    """From above: labels, then syntheses by amplitude."""
    made = [synthesized(pipeline, samples, None, SEED, factor) for factor in AMPLITUDES]
    return [colored(pipeline, samples.labels), *made]


def brightness(pipeline: SemFlowPipeline, samples: Samples, factor: float) -> dict[str, float]:
    """Mean and deviation of the grey levels of syntheses, and the round trip by the flow itself."""
    made = np.stack(synthesized(pipeline, samples, None, SEED, factor))
    answered = pipeline.segment([Image.fromarray(image) for image in made])
    return {
        "mean": float(made.mean()),
        "deviation": float(made.std()),
        "roundtrip_miou_semflow": miou(pipeline, answered, samples.labels),
    }


def paths(pipeline: SemFlowPipeline, samples: Samples) -> list[list[Picture]]:
    """A row for each sample: its decoded states from image to pseudo-mask."""
    states = path_states(pipeline, samples.images, uniform_grid(0.0, 1.0, PATH_STEPS))
    chosen = [states[i] for i in spread(len(states), PATH_FRAMES)]
    shares = [number / (len(chosen) - 1) for number in range(len(chosen))]
    frames = decoded_states(pipeline, chosen, shares)
    return [[frame[row] for frame in frames] for row in range(len(samples.images))]


def straightness(pipeline: SemFlowPipeline, samples: Samples) -> float:
    """Mean of |v - (x_1 - x_0)|^2 over |x_1 - x_0|^2 along Euler's way; 0 for a straight line."""
    states = path_states(pipeline, samples.images, uniform_grid(0.0, 1.0, PATH_STEPS))
    whole = states[-1] - states[0]
    off = [((b - a) * PATH_STEPS - whole).square().sum() for a, b in pairwise(states)]
    return float(torch.stack(off).mean() / whole.square().sum())


def solvers(pipeline: SemFlowPipeline, samples: Samples) -> dict[str, dict[str, float | None]]:
    """mIoU by Euler steps and by RK45's tolerance, on the grids of the checkpoint."""
    images = [Image.fromarray(image) for image in samples.images]
    found: dict[str, dict[str, float | None]] = {}
    for steps in (*STEPS, 50):
        found[f"euler-{steps}"] = {
            "evaluations": float(steps),
            "miou": miou(pipeline, pipeline.segment(images, steps, "euler"), samples.labels),
        }
    for tolerance in TOLERANCES:
        pipeline.register_to_config(tolerance=tolerance)
        calls: list[int] = []
        hook = pipeline.field.register_forward_hook(lambda *_, to=calls: to.append(1))
        answered = pipeline.segment(images, None, DOPRI5)
        hook.remove()
        found[f"{DOPRI5}, tolerance {tolerance:g}"] = {
            # Each sample is solved alone.
            "evaluations": len(calls) / len(images),
            "miou": miou(pipeline, answered, samples.labels),
        }
    return found


def miou(
    pipeline: SemFlowPipeline, answered: Sequence[Picture], labels: Sequence[Picture]
) -> float:
    """Of one confusion matrix over all of them."""
    confusion = ConfusionMatrix(pipeline.palette.num_classes)
    confusion.update(torch.from_numpy(np.stack(answered)), torch.from_numpy(np.stack(labels)))
    return confusion.miou


if __name__ == "__main__":
    main()
