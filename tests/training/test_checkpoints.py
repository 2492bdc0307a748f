from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from support.tiny import BACKBONE, TinyDataset, same_weights, tiny_samples
from torch import Tensor, nn

from semflow.core.errors import UserError
from semflow.networks.velocity import scratch_unet
from semflow.schema import DatasetParams
from semflow.training.checkpoints import KEPT, LATEST, SECONDS_VARIABLE, Checkpoints, read_state
from semflow.training.loop import Progress, optimise, watch_nothing
from semflow.training.samples import TrainingSample, TrainingSamples
from semflow.training.schema import TrainParams
from semflow.training.state import new_state


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


class Steps:
    """A log that knows where training began."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.seen: list[int] = []

    def start(self, step: int) -> None:
        self.begun.append(step)

    def add(self, step: int, values: dict[str, float]) -> None:
        assert values.keys() == {"loss", "learning_rate"}
        self.seen.append(step)


@pytest.fixture
def samples(dataset: TinyDataset, params: DatasetParams) -> TrainingSamples:
    return tiny_samples(params, dataset.shards, dataset.image_latents)


@pytest.fixture
def settings(params: DatasetParams, monkeypatch: pytest.MonkeyPatch) -> TrainParams:
    monkeypatch.setenv(SECONDS_VARIABLE, "0")  # after every step
    return params.train.model_copy(
        update={"steps": 8, "schedule": "cosine", "warmup_steps": 2, "ema_decay": 0.9}
    )


def new_model(samples: TrainingSamples) -> nn.Module:
    channels = len(samples[0]["moments"]) // 2
    return scratch_unet(BACKBONE, 0, channels, channels)


def train(
    samples: TrainingSamples, settings: TrainParams, folder: Path, die_after: int | None = None
) -> tuple[nn.Module, Steps]:
    """Trains in a folder; `die_after` so many steps the process is gone."""
    steps, model = Steps(), new_model(samples)
    begun = 0

    def loss_of(model: nn.Module, batch: TrainingSample) -> dict[str, Tensor]:
        nonlocal begun
        if begun == die_after:
            raise Killed
        begun += 1
        x = batch["moments"].chunk(2, dim=1)[0]
        prompt = torch.zeros(len(x), 1, 8)
        found = model(x, batch["uniform"] * 1000, prompt).sample
        return {"loss": (found - batch["moments_noise"]).square().mean()}

    progress = Progress("train", steps, watch_nothing)
    accelerator = Accelerator(cpu=True)
    optimise(model, loss_of, samples, settings, accelerator, progress, Checkpoints(folder))
    return model, steps


@pytest.mark.parametrize("steps_done", [1, 3, 7])
def test_training_cut_off_anywhere_goes_on_to_the_same_bits(
    samples: TrainingSamples,
    settings: TrainParams,
    tmp_path: Path,
    steps_done: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    undisturbed, _ = train(samples, settings, tmp_path / "undisturbed")
    with pytest.raises(Killed):
        train(samples, settings, tmp_path / "cut", die_after=steps_done)
    resumed, steps = train(samples, settings, tmp_path / "cut")
    assert steps.begun == [steps_done]
    assert steps.seen == list(range(steps_done + 1, 9))
    assert same_weights(undisturbed, resumed)
    assert f"train: resumed at step {steps_done}\n" in capsys.readouterr().err


def test_a_request_to_end_saves_the_step_and_ends_with_its_own_code(
    samples: TrainingSamples, settings: TrainParams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECONDS_VARIABLE, "3600")
    before = signal.getsignal(signal.SIGTERM)
    steps, model = Steps(), new_model(samples)

    def loss_of(model: nn.Module, batch: TrainingSample) -> dict[str, Tensor]:
        if steps.seen == [1, 2]:
            signal.raise_signal(signal.SIGTERM)
        weight = next(model.parameters())
        return {"loss": weight.square().mean() * batch["uniform"].mean()}

    with pytest.raises(SystemExit) as ended:
        optimise(
            model,
            loss_of,
            samples,
            settings,
            Accelerator(cpu=True),
            Progress("train", steps, watch_nothing),
            Checkpoints(tmp_path),
        )
    assert ended.value.code == 143
    assert steps.seen == [1, 2, 3]
    assert json.loads((tmp_path / LATEST).read_text("utf-8"))["file"] == "00000003.pt"
    assert signal.getsignal(signal.SIGTERM) == before


def test_states_are_rotated_and_hold_no_objects(
    samples: TrainingSamples, settings: TrainParams, tmp_path: Path
) -> None:
    train(samples, settings, tmp_path)
    states = sorted(path.name for path in tmp_path.glob("*.pt"))
    assert states == [f"{step:08d}.pt" for step in range(8 - KEPT + 1, 9)]
    assert read_state(tmp_path / states[-1])["step"] == 8
    assert not list(tmp_path.glob("*.partial"))


def test_an_altered_state_is_refused_and_a_half_written_one_is_never_named(
    samples: TrainingSamples, settings: TrainParams, tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        train(samples, settings, tmp_path, die_after=2)
    (tmp_path / "00000003.partial").write_bytes(b"half a state")
    state = new_state(new_model(samples), settings, Accelerator(cpu=True))
    Checkpoints(tmp_path).restore(state)
    assert state.step == 2
    path = tmp_path / "00000002.pt"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"00000002\.pt is missing or was altered; delete"):
        Checkpoints(tmp_path).restore(state)


@pytest.mark.parametrize("value", ["often", "-1", "nan"])
def test_an_impossible_interval_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv(SECONDS_VARIABLE, value)
    with pytest.raises(UserError, match=f"must be a number of seconds, got '{value}'"):
        Checkpoints(tmp_path)
