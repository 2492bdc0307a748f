"""A peer under the flow's evaluation, by figures that can be worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.evaluate_alone import Difference, RowMeans
from support.tiny import ALONE
from support.tiny_data import CLASSES, SIZE
from torch import Tensor, nn

from semflow.core.files import read_json
from semflow.evaluation.evaluate import evaluate
from semflow.evaluation.judges import Judges
from semflow.evaluation.measures import Evaluation
from semflow.evaluation.peers import one_pass
from semflow.evaluation.results import Metrics, write_curves
from semflow.evaluation.samples import choose_samples
from semflow.evaluation.schema import EvaluateParams
from semflow.networks.encoding import to_unit_range
from semflow.peers.cycle_gan import CycleGenerators
from semflow.peers.schema import AdversarialParams
from semflow.peers.synthesizer import Synthesizer
from semflow.peers.system import PeerSystem
from semflow.schema import DatasetParams

K = len(CLASSES.names)
LEVELS = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0])
"""Grey of each class, and of pixels without one."""


class Greys(nn.Module):
    """Paints each class in its own grey, and adds a share of its draw where it draws."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, semantics: Tensor, noise: Tensor) -> Tensor:
        grey = torch.einsum("nshw,s->nhw", semantics, LEVELS)
        return (grey[:, None] + self.share * noise[:, :1, None, None]).expand(-1, 3, -1, -1)


class BothGreys(CycleGenerators):
    """The same, and reads an image by the nearest grey; green and blue are not looked at."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.greys = Greys(0.0)

    def forward(self, semantics: Tensor, noise: Tensor) -> Tensor:
        return self.greys(semantics, noise)

    def read(self, image: Tensor) -> Tensor:
        return -(image[:, :1] - LEVELS.view(1, -1, 1, 1)).abs()


@pytest.fixture
def peer_params() -> AdversarialParams:
    return AdversarialParams(
        system="cycle_gan",
        seed=0,
        width=1,
        levels=1,
        noise_width=1,
        discriminator_width=1,
        discriminators=1,
        loss="hinge",
        generator_learning_rate=1,
        discriminator_learning_rate=1,
        adversarial_weight=1,
        feature_matching_weight=0,
        reconstruction_weight=0,
    )


@pytest.fixture
def settings(params: DatasetParams) -> EvaluateParams:
    """Five test samples against their own images, with steps that a peer has no use for."""
    changes = {
        "samples": 4,
        "reference": "other",
        "batch_size": 3,
        "segmentation_steps": (5, 2),
        "synthesis_steps": (7,),
        "adaptive": True,
        "diversity_labels": 4,
    }
    return params.evaluate.model_copy(update=changes)


def measured(
    generator: nn.Module,
    params: AdversarialParams,
    settings: EvaluateParams,
    pixels: Path,
    scratch: Path,
) -> tuple[Metrics, Evaluation]:
    synthesizer = Synthesizer(generator, params, K)
    system = PeerSystem(synthesizer, CLASSES.names, (SIZE, SIZE), torch.device("cpu"))

    def of_first_class(x_0: Tensor) -> Tensor:
        return torch.eye(K)[0].view(1, K, 1, 1).expand(len(x_0), -1, SIZE, SIZE)

    judges = Judges(RowMeans(), Difference(), of_first_class)
    samples = choose_samples(pixels, settings, ALONE)
    evaluation = Evaluation(system, samples, judges, {}, {}, {}, background=None)
    return evaluate(evaluation, one_pass(settings), scratch).metrics, evaluation


def labels_and_images(evaluation: Evaluation) -> tuple[Tensor, Tensor]:
    batches = list(evaluation.samples.batches())
    return torch.cat([one.label for one in batches]), torch.cat([one.image for one in batches])


def miou_by_hand(prediction: Tensor, label: Tensor) -> float:
    known = label != 255
    ious = []
    for number in range(K):
        said, true = (prediction == number) & known, label == number
        if (said | true).any():
            ious.append(float((said & true).sum() / (said | true).sum()))
    return sum(ious) / len(ious)


def test_a_peer_that_goes_both_ways_has_the_figures_that_its_greys_give(
    peer_params: AdversarialParams, settings: EvaluateParams, pixels: Path, tmp_path: Path
) -> None:
    found, evaluation = measured(BothGreys(), peer_params, settings, pixels, tmp_path)
    label, image = labels_and_images(evaluation)
    grey = LEVELS[torch.where(label == 255, K, label.long())]
    made = found.two_way_synthesis()
    assert list(made.by_steps) == [1]
    figures = made.by_steps[1]
    # Greys of 8 bits are nearest to themselves, and the judge says "water" of everything.
    assert figures.roundtrip_miou_semflow == 1
    all_water = torch.zeros_like(label)
    assert figures.roundtrip_miou_unet == pytest.approx(miou_by_hand(all_water, label))
    exact = to_unit_range(((grey + 1) * 127.5).round().to(torch.uint8)[..., None])
    distance = (exact - to_unit_range(image)).abs().mean()
    assert figures.st_lpips_to_truth == pytest.approx(float(distance), rel=1e-5)
    assert made.diversity_st_lpips == 0
    assert figures.evaluations == 1

    segmentation = found.two_way_segmentation()
    red = to_unit_range(image)[:, :1]
    read = (red - LEVELS[:K].view(1, -1, 1, 1)).abs().argmin(dim=1)
    native = list(evaluation.samples.batches())
    counted, truth = [], []
    for one, labels in zip(
        read, (each for batch in native for each in batch.native_labels), strict=True
    ):
        size = (labels.shape[0], labels.shape[1])
        resized = nn.functional.interpolate(one[None, None].float(), size, mode="nearest-exact")
        counted.append(resized.flatten().long())
        truth.append(labels.flatten())
    by_hand = miou_by_hand(torch.cat(counted), torch.cat(truth))
    assert segmentation.miou == pytest.approx(by_hand)
    assert (segmentation.steps, list(segmentation.by_steps)) == (1, [1])
    assert segmentation.by_steps[1].evaluations == 1
    assert found.systems.keys() == {"cycle_gan"}
    assert found.diagnosis is None


def test_a_peer_that_only_synthesizes_has_no_segmentation_and_differs_by_its_draws(
    peer_params: AdversarialParams, settings: EvaluateParams, pixels: Path, tmp_path: Path
) -> None:
    params = peer_params.model_copy(update={"system": "spade"})
    found, evaluation = measured(Greys(0.01), params, settings, pixels, tmp_path)
    assert found.segmentation is None
    assert found.systems["spade"].segmentation == {}
    assert found.two_way_synthesis().by_steps[1].roundtrip_miou_semflow is None
    write_curves(found, tmp_path / "segmentation.json", tmp_path / "synthesis.json")
    assert read_json(tmp_path / "segmentation.json") == []
    assert [row["steps"] for row in read_json(tmp_path / "synthesis.json")] == [1]
    # Two seeds of a label are two greys everywhere, as far as 8 bits have them.
    system = evaluation.pipeline
    draws = [
        torch.stack([torch.randn(1, generator=g)[0] for g in system.generators(range(4), seed)])
        for seed in (0, 1)
    ]
    diversity = float((draws[0] - draws[1]).abs().mean()) * 0.01
    assert found.two_way_synthesis().diversity_st_lpips == pytest.approx(diversity, abs=0.009)
    assert found.two_way_synthesis().diversity_st_lpips > 0


def test_one_pass_changes_steps_and_no_measure(settings: EvaluateParams) -> None:
    one = one_pass(settings)
    changed = {
        name
        for name in EvaluateParams.model_fields
        if getattr(one, name) != getattr(settings, name)
    }
    assert changed == {"segmentation_steps", "synthesis_steps", "adaptive"}
