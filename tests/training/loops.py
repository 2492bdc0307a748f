"""The loop on any model and loss, its log in memory."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from accelerate import Accelerator
from torch import nn

from semflow.training.checkpoints import Checkpoints
from semflow.training.loop import LossOf, Progress, Watch, optimise
from semflow.training.samples import TrainingSamples
from semflow.training.schema import TrainParams

Log = list[tuple[int, dict[str, float]]]


class Lines:
    """A log in memory."""

    def __init__(self) -> None:
        self.lines: Log = []
        self.started_at: list[int] = []

    def start(self, step: int) -> None:
        self.started_at.append(step)

    def add(self, step: int, values: dict[str, float]) -> None:
        self.lines.append((step, values))


def run(
    model: nn.Module,
    loss_of: LossOf,
    samples: TrainingSamples,
    settings: TrainParams,
    watch: Watch = lambda _step: None,
) -> Log:
    """Optimises the model in place and returns what was logged."""
    log = Lines()
    progress = Progress("test", log, watch)
    with TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder))
        optimise(model, loss_of, samples, settings, Accelerator(cpu=True), progress, checkpoints)
    return log.lines
