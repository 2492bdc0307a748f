from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from support.tiny import same_weights
from support.tiny_data import BACKBONE, cut_short, flip_a_byte
from torch import Tensor, nn

from semflow.core.errors import UserError
from semflow.core.resume import KEPT_STATES, newest_state
from semflow.networks.velocity import scratch_unet
from semflow.schema import DatasetParams
from semflow.training.checkpoints import SECONDS_VARIABLE, Checkpoints, read_state
from semflow.training.loop import Progress, optimise, watch_nothing
from semflow.training.samples import TrainingSample, TrainingSamples
from semflow.training.schema import TrainParams


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


@pytest.fixture(scope="module")
def settings(params: DatasetParams) -> TrainParams:
    return params.train.model_copy(
        update={"steps": 8, "schedule": "cosine", "warmup_steps": 2, "ema_decay": 0.9}
    )


@pytest.fixture(autouse=True)
def always_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state is saved after every step."""
    monkeypatch.setenv(SECONDS_VARIABLE, "0")


@pytest.fixture(scope="module")
def undisturbed(
    samples: TrainingSamples, settings: TrainParams, tmp_path_factory: pytest.TempPathFactory
) -> nn.Module:
    """What an uninterrupted training makes."""
    model, _ = train(samples, settings, tmp_path_factory.mktemp("undisturbed"))
    return model


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
    undisturbed: nn.Module,
    tmp_path: Path,
    steps_done: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
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
    assert newest_state(tmp_path) == tmp_path / "00000003.pt"
    assert signal.getsignal(signal.SIGTERM) == before


def test_states_are_rotated_and_hold_no_objects(
    samples: TrainingSamples, settings: TrainParams, tmp_path: Path
) -> None:
    train(samples, settings, tmp_path)
    assert states(tmp_path) == list(range(8 - KEPT_STATES + 1, 9))
    assert read_state(tmp_path / "00000008.pt")["step"] == 8
    assert not list(tmp_path.glob("*.partial"))


def states(folder: Path) -> list[int]:
    """The steps of the states in a folder, each with its note and nothing beside them."""
    paths = sorted(folder.glob("*.pt"))
    assert {path.name for path in folder.iterdir()} == {
        name for path in paths for name in (path.name, f"{path.name}.json")
    }
    return [int(path.stem) for path in paths]


def empty(path: Path) -> None:
    path.write_bytes(b"")


def note_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def half_written(path: Path) -> None:
    """Killed between a state and its note."""
    note_of(path).unlink()


def with_an_emptied_note(path: Path) -> None:
    empty(note_of(path))


def with_anothers_note(path: Path) -> None:
    note_of(path).write_bytes(note_of(path.with_name("00000003.pt")).read_bytes())


@pytest.mark.parametrize(
    "spoil", [empty, cut_short, flip_a_byte, half_written, with_an_emptied_note, with_anothers_note]
)
def test_where_the_newest_state_is_unsound_training_goes_on_from_the_one_before(
    samples: TrainingSamples,
    settings: TrainParams,
    undisturbed: nn.Module,
    tmp_path: Path,
    spoil: Callable[[Path], None],
) -> None:
    with pytest.raises(Killed):
        train(samples, settings, tmp_path / "cut", die_after=4)
    spoil(tmp_path / "cut" / "00000004.pt")
    resumed, steps = train(samples, settings, tmp_path / "cut")
    assert steps.begun == [3]
    assert same_weights(undisturbed, resumed)
    assert states(tmp_path / "cut") == [7, 8]


def test_an_unsound_later_state_never_costs_a_newer_one(
    samples: TrainingSamples, settings: TrainParams, tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        train(samples, settings, tmp_path, die_after=2)
    # Two of them: kept by name alone they would leave no room for the states to come.
    for step in (6, 7):
        empty(tmp_path / f"{step:08d}.pt")
    for die_after, done in ((1, 3), (1, 4)):
        with pytest.raises(Killed):
            train(samples, settings, tmp_path, die_after=die_after)
        assert newest_state(tmp_path) == tmp_path / f"{done:08d}.pt"
        assert states(tmp_path) == [done - 1, done]


def test_without_any_sound_state_training_begins_anew(
    samples: TrainingSamples, settings: TrainParams, undisturbed: nn.Module, tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        train(samples, settings, tmp_path / "cut", die_after=4)
    for path in (tmp_path / "cut").glob("*.pt"):
        empty(path)
    again, steps = train(samples, settings, tmp_path / "cut")
    assert steps.begun == [0]
    assert same_weights(undisturbed, again)


def test_a_finished_training_ends_again_without_a_step(
    samples: TrainingSamples, settings: TrainParams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No state is due but the last.
    monkeypatch.setenv(SECONDS_VARIABLE, "3600")
    finished, _ = train(samples, settings, tmp_path)
    assert states(tmp_path) == [8]
    again, steps = train(samples, settings, tmp_path, die_after=0)
    assert (steps.begun, steps.seen) == ([8], [])
    assert same_weights(finished, again)


@pytest.mark.parametrize("value", ["often", "-1", "nan"])
def test_an_impossible_interval_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv(SECONDS_VARIABLE, value)
    with pytest.raises(UserError, match=f"must be a number of seconds, got '{value}'"):
        Checkpoints(tmp_path)
