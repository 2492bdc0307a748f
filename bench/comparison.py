"""Systems side by side, after the paper's Fig. 2 and 3 and Table 2, from the study's checkpoints.

    make study
    python -m bench.comparison robots

Writes docs/study/DATASET-segmentations.png and DATASET-syntheses.png, every trained system in a
row; DATASET-seeds.png, what systems answer that segment from noise, by seed; and the figures beside
them as docs/study/DATASET-systems.json: mIoU at up to 200 steps, and how far two seeds agree. All
on the test split; `python -m bench.study` puts the figures into docs/study.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from bench.figures import COLUMNS, MEASURED, OUT, SEED, SEEDS, Samples, colored, save
from semflow.core.files import write_json
from semflow.evaluation.system import EvaluatedSystem
from semflow.filmstrip import Picture
from semflow.metrics.confusion import ConfusionMatrix
from semflow.params.reading import read_values
from semflow.params.rows import PEERS, ROWS, ROWS_FILE, read_row
from semflow.peers.system import load_peer
from semflow.pipeline import SemFlowPipeline, load_pipeline
from stages.entry import folders_of

OWN = "semflow-0"
STEPS = (1, 2, 5, 10, 25, 50, 100, 200)
"""The paper's Table 2."""
BY_STEPS = (OWN, "faithful", "dsm-0", "dsm-ddpm", "dsm-v-0", "symmflow-0")
FROM_NOISE = ("dsm-0", "dsm-v-0", "symmflow-0")
"""Systems whose masks depend on a seed."""
SEED_STEPS = 25
SHOWN = (OWN, "faithful", "unperturbed", "dsm-0", "dsm-v-0", "symmflow-0", "bbdm-0")
"""Of several seeds or rates, one stands in the pictures; peers all do."""


def main() -> None:
    """Draws and measures all of them for one data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    dataset = parser.parse_args().dataset
    systems = dict(trained(dataset))
    own = systems[OWN]
    assert isinstance(own, SemFlowPipeline)
    shown, measured = Samples.of(dataset, COLUMNS), Samples.of(dataset, MEASURED)
    head = [shown.images, colored(own, shown.labels)]
    readers = {name: one for name, one in systems.items() if one.formulation.segments}
    painters = {name: one for name, one in systems.items() if one.formulation.synthesizes}
    answers = [colored(own, segmented(one, shown, None)) for one in readers.values()]
    save(f"{dataset}-segmentations", [*head, *answers])
    save(f"{dataset}-syntheses", [*head, *(drawn(one, shown) for one in painters.values())])
    noisy = [systems[name] for name in FROM_NOISE if name in systems]
    by_seed = [
        colored(own, segmented(one, shown, SEED_STEPS, seed)) for one in noisy for seed in SEEDS
    ]
    save(f"{dataset}-seeds", [*head, *by_seed])
    found = {
        "samples": len(measured.images),
        "segmentations": list(readers),
        "syntheses": list(painters),
        "miou": {name: by_steps(systems[name], measured) for name in BY_STEPS if name in systems},
        "agreement": {
            name: agreement(systems[name], measured)
            for name in (OWN, *FROM_NOISE)
            if name in systems
        },
    }
    write_json(OUT / f"{dataset}-systems.json", found)


def trained(dataset: str) -> Iterator[tuple[str, EvaluatedSystem]]:
    """Name and checkpoint of each row of a data set that has one, in the order of the rows."""
    rows = read_values(ROWS_FILE)
    config = load_pipeline(folders_of(f"{dataset}-{OWN}").pipeline).config
    for name in rows[ROWS]:
        system = name.removeprefix(f"{dataset}-")
        folder = folders_of(name).pipeline
        known = system in SHOWN or system in BY_STEPS
        if read_row(name).dataset == dataset and known and folder.is_dir():
            pipeline = load_pipeline(folder)
            pipeline.set_progress_bar_config(disable=True)
            yield system, pipeline
    for name in rows[PEERS]:
        folder = folders_of(name).pipeline
        if read_row(name).dataset == dataset and folder.is_dir():
            size = tuple(config.image_size)
            peer = load_peer(folder, config.class_names, size, torch.device("cpu"))
            yield name.removeprefix(f"{dataset}-"), peer


@torch.no_grad()
def segmented(
    system: EvaluatedSystem, samples: Samples, steps: int | None, seed: int = SEED
) -> list[Picture]:
    """A system's label ids (H, W) uint8 of each sample; item i draws from (seed, i)."""
    x_0 = system.encode_image(tensor_of(samples.images))
    draws = system.generators(range(len(x_0)), seed)
    x_1 = system.to_mask(x_0, steps, generators=draws)
    return list(system.class_scores(x_1).argmax(dim=1).to(torch.uint8).cpu().numpy())


@torch.no_grad()
def drawn(system: EvaluatedSystem, samples: Samples, seed: int = SEED) -> list[Picture]:
    """A system's synthesis (H, W, 3) uint8 of each label, in its default steps."""
    items = range(len(samples.labels))
    x_1 = system.encode_label(tensor_of(samples.labels), system.draw_noise(items, seed))
    x_0 = system.to_image(x_1, generators=system.generators(items, seed))
    return list(system.decode_pixels(x_0).cpu().numpy())


def tensor_of(pictures: Sequence[Picture]) -> Tensor:
    """Pictures of one size as a batch."""
    return torch.from_numpy(np.stack(pictures))


def by_steps(system: EvaluatedSystem, samples: Samples) -> Mapping[str, float]:
    """mIoU of one confusion matrix over all samples, at each number of steps of Table 2."""
    label = tensor_of(samples.labels)
    found = {}
    for steps in STEPS:
        confusion = ConfusionMatrix(len(system.config.class_names))
        confusion.update(tensor_of(segmented(system, samples, steps)), label)
        found[str(steps)] = confusion.miou
    return found


def agreement(system: EvaluatedSystem, samples: Samples) -> float:
    """The share of pixels to which two seeds give the same class, mean over pairs of seeds."""
    answers = [np.stack(segmented(system, samples, SEED_STEPS, seed)) for seed in SEEDS]
    return float(np.mean([(a == b).mean() for a, b in combinations(answers, 2)]))


if __name__ == "__main__":
    main()
