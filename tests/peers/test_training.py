from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from support.tiny import TinyDataset
from support.tiny_data import CLASSES, SIZE
from torch import Tensor

from semflow.core.errors import UserError
from semflow.core.files import sha256_of, write_json
from semflow.core.resume import ROOT_VARIABLE
from semflow.peers.adversaries import new_adversary
from semflow.peers.loop import new_duel, optimise_in_turn
from semflow.peers.schema import AdversarialParams, PeerStage
from semflow.peers.synthesizer import CONFIG, WEIGHTS, Synthesizer, load_synthesizer
from semflow.peers.train import train_peer
from semflow.schema import DatasetParams
from semflow.training.checkpoints import SECONDS_VARIABLE, Checkpoints
from semflow.training.inputs import ModelInputs
from semflow.training.loop import Progress, watch_nothing
from semflow.training.samples import TrainingSamples
from tools.closure import ROOT

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


def inputs_of(dataset: TinyDataset, here: Path) -> ModelInputs:
    """The tiny data set; a peer reads neither autoencoder nor backbone."""
    for name in ("autoencoder", "backbone"):
        (here / name).mkdir()
    return ModelInputs(
        "earth",
        dataset.shards,
        dataset.image_latents,
        here / "autoencoder",
        here / "backbone",
    )


PROGRAM = """
import json, sys
from pathlib import Path
import torch
from semflow.peers.schema import PeerStage
from semflow.peers.train import train_peer
from semflow.training.inputs import ModelInputs
torch.set_num_threads(1)
params, paths, out = json.loads(Path("stage.json").read_text()), sys.argv[1:6], sys.argv[6]
train_peer(ModelInputs("earth", *map(Path, paths[1:])), PeerStage.model_validate(params), Path(out))
"""


def start(inputs: ModelInputs, out: str, scratch: str, seconds: float) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
        ROOT_VARIABLE: scratch,
        SECONDS_VARIABLE: str(seconds),
    }
    paths = [str(path) for path in inputs.folders()]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "-", *paths, out],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_a_killed_training_goes_on_and_gives_the_same_bytes(
    dataset: TinyDataset,
    params: DatasetParams,
    peer: AdversarialParams,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    stage, inputs = settings(params, peer, 25), inputs_of(dataset, tmp_path)
    write_json(Path("stage.json"), stage.model_dump(mode="json"))
    monkeypatch.setenv(ROOT_VARIABLE, "undisturbed")
    train_peer(inputs, stage, Path("expected"))

    killed = start(inputs, "found", "disturbed", 0)
    while not list(Path("disturbed").rglob("*.pt.json")):
        assert killed.poll() is None, killed.communicate()[1]
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not Path("found").exists()

    resumed = start(inputs, "found", "disturbed", 3600)
    _, log = resumed.communicate()
    assert resumed.returncode == 0, log
    assert "spade: resumed at step" in log
    for name in (WEIGHTS, CONFIG):
        assert sha256_of(Path("found", name)) == sha256_of(Path("expected", name))


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
    label = torch.randint(0, K, (1, SIZE, SIZE), dtype=torch.uint8).repeat(3, 1, 1)
    images = loaded.synthesize(label, generators(1, 2, 1))
    assert images.shape == (3, SIZE, SIZE, 3)
    assert images.dtype == torch.uint8
    assert torch.equal(images, synthesizer.synthesize(label, generators(1, 2, 1)))
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
    pixels = torch.randint(0, 256, (2, SIZE, SIZE, 3), dtype=torch.uint8)
    with pytest.raises(UserError, match="spade does not segment"):
        synthesizer.segment(pixels)
    both = peer.model_copy(update={"system": "cycle_gan"})
    ids = Synthesizer(new_adversary(both, K).generator, both, K).segment(pixels)
    assert ids.shape == (2, SIZE, SIZE)
    assert int(ids.max()) < K
