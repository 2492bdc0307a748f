from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from support.tiny_data import CLASSES, SIZE
from torch import Tensor

from semflow.core.errors import UserError
from semflow.peers.adversaries import new_adversary
from semflow.peers.layers import semantics_of
from semflow.peers.loop import new_duel, optimise_in_turn
from semflow.peers.schema import AdversarialParams, PeerStage
from semflow.peers.synthesizer import WEIGHTS, Synthesizer, load_synthesizer
from semflow.schema import DatasetParams
from semflow.training.checkpoints import Checkpoints
from semflow.training.loop import Progress, watch_nothing
from semflow.training.samples import TrainingSamples

K = len(CLASSES.names)
SYSTEMS = ("spade", "pix2pixhd", "sc_gan", "cycle_gan")


class Lines:
    """A log in memory."""

    def __init__(self) -> None:
        self.lines: list[dict[str, float]] = []

    def start(self, step: int) -> None:
        """Nothing to forget."""

    def add(self, step: int, values: dict[str, float]) -> None:
        self.lines.append(values)


def settings(params: DatasetParams, peer: AdversarialParams, steps: int) -> PeerStage:
    train = params.train.model_dump() | {"steps": steps, "batch_size": 8, "log_every": 1}
    return PeerStage.model_validate({"peer": peer.model_dump(), "train": train})


def trained(
    stage: PeerStage, samples: TrainingSamples, folder: Path
) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    log = Lines()
    assert isinstance(stage.peer, AdversarialParams)
    weights = optimise_in_turn(
        new_adversary(stage.peer, K),
        samples,
        stage.peer,
        stage.train,
        Accelerator(cpu=True),
        Progress("peer", log, watch_nothing),
        Checkpoints(folder),
    )
    return weights, log.lines


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_short_training_lowers_the_reconstruction_loss(
    system: str,
    peer: AdversarialParams,
    samples: TrainingSamples,
    params: DatasetParams,
    tmp_path: Path,
) -> None:
    stage = settings(params, peer.model_copy(update={"system": system}), 30)
    _, lines = trained(stage, samples, tmp_path)
    losses = [line["reconstruction"] for line in lines]
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])
    assert all("discriminator" in line for line in lines)


def test_a_step_updates_both_networks_by_optimisers_of_their_own(
    peer: AdversarialParams, samples: TrainingSamples, params: DatasetParams, tmp_path: Path
) -> None:
    adversary = new_adversary(peer, K)
    before = [copy.deepcopy(n.state_dict()) for n in (adversary.generator, adversary.discriminator)]
    stage = settings(params, peer, 1)
    state, _ = new_duel(adversary, peer, stage.train, Accelerator(cpu=True))
    assert state.opponent is not None
    assert (state.learning_rate, state.opponent.learning_rate) == (0.005, 0.002)
    one = Progress("peer", Lines(), watch_nothing)
    accelerator = Accelerator(cpu=True)
    optimise_in_turn(adversary, samples, peer, stage.train, accelerator, one, Checkpoints(tmp_path))
    for old, network in zip(before, (adversary.generator, adversary.discriminator), strict=True):
        assert any(not torch.equal(old[name], p) for name, p in network.named_parameters())


def test_a_state_that_is_loaded_goes_on_to_the_same_weights_as_one_that_never_stopped(
    peer: AdversarialParams, samples: TrainingSamples, params: DatasetParams, tmp_path: Path
) -> None:
    # Its schedule is constant, so that a shorter training is the longer one's beginning.
    trained(settings(params, peer, 3), samples, tmp_path / "stopped")
    resumed, lines = trained(settings(params, peer, 6), samples, tmp_path / "stopped")
    expected, _ = trained(settings(params, peer, 6), samples, tmp_path / "whole")
    assert len(lines) == 3
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)


@pytest.fixture
def synthesizer(peer: AdversarialParams) -> Synthesizer:
    return Synthesizer(new_adversary(peer, K).generator, peer, K)


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_a_saved_synthesizer_comes_back_and_draws_by_each_samples_generator(
    synthesizer: Synthesizer, tmp_path: Path
) -> None:
    synthesizer.save(tmp_path)
    loaded = load_synthesizer(tmp_path)
    semantics = semantics_of(torch.randint(0, K, (1, SIZE, SIZE)).repeat(3, 1, 1), K)
    images = loaded.images(semantics, generators(1, 2, 1))
    assert images.shape == (3, 3, SIZE, SIZE)
    assert torch.equal(images, synthesizer.images(semantics, generators(1, 2, 1)))
    assert torch.equal(images[0], images[2])
    assert not torch.equal(images[0], images[1])


def test_a_missing_tensor_is_refused_with_one_line(
    synthesizer: Synthesizer, tmp_path: Path
) -> None:
    synthesizer.save(tmp_path)
    weights = load_file(tmp_path / WEIGHTS)
    del weights["last.bias"]
    save_file(weights, tmp_path / WEIGHTS)
    with pytest.raises(
        UserError, match=r"at last\.bias \(1 differ\); train the peer again"
    ) as said:
        load_synthesizer(tmp_path)
    assert "\n" not in str(said.value)


def test_only_cycle_gan_segments(peer: AdversarialParams, synthesizer: Synthesizer) -> None:
    image = torch.rand(2, 3, SIZE, SIZE) * 2 - 1
    with pytest.raises(UserError, match="spade does not segment"):
        synthesizer.scores(image)
    both = peer.model_copy(update={"system": "cycle_gan"})
    scores = Synthesizer(new_adversary(both, K).generator, both, K).scores(image)
    assert scores.shape == (2, K, SIZE, SIZE)
    assert float(scores.sum(dim=1).max()) < 1
