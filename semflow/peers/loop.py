"""The adversarial loop: one step of the generator, one of the discriminator, on the same samples.

Steps, updates, logs and saved states are those of `semflow.training.loop`; here are only the turns.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

from accelerate import Accelerator
from torch import Tensor, nn

from semflow.core.errors import UserError
from semflow.peers.adversaries import Adversary, Losses
from semflow.peers.samples import PeerSample, with_image
from semflow.peers.schema import AdversarialParams
from semflow.training import loop
from semflow.training.checkpoints import Checkpoints
from semflow.training.finiteness import Finiteness
from semflow.training.loading import steps_to_come
from semflow.training.loop import Progress
from semflow.training.samples import TrainingSample, TrainingSamples
from semflow.training.schema import OptimiserParams, TrainParams
from semflow.training.state import TrainingState, new_state
from semflow.training.termination import noted_termination


@dataclass
class DuelState(TrainingState):
    """The generator's state, and its opponent's beside it: saved and restored together.

    Args:
        opponent: the discriminator's.
    """

    opponent: TrainingState | None = None

    def to_dict(self) -> dict[str, Any]:
        """Tensors and plain values only."""
        assert self.opponent is not None
        return {**super().to_dict(), "opponent": self.opponent.to_dict()}

    def load_dict(self, values: dict[str, Any]) -> None:
        """The inverse of `to_dict`, in place."""
        assert self.opponent is not None
        super().load_dict(values)
        self.opponent.load_dict(values["opponent"])

    def weights(self) -> list[Tensor]:
        """Those of both networks, and their averages."""
        assert self.opponent is not None
        return super().weights() + self.opponent.weights()


def optimise_in_turn(
    adversary: Adversary,
    samples: TrainingSamples,
    params: AdversarialParams,
    train: OptimiserParams,
    accelerator: Accelerator,
    progress: Progress,
    checkpoints: Checkpoints,
) -> dict[str, Tensor]:
    """Trains both networks; what counts is the moving average of the generator's weights.

    Args:
        adversary: both networks in float32, on the accelerator's device; trained in place.
        samples: by position, with `Images` for their masks; step i takes positions i*B ..
            (i+1)*B - 1, as the flow does.
        params: both learning rates.
        train: B and everything else about the optimisation, the same for both.
        accelerator: one process.
        progress: where to report.
        checkpoints: where to go on from, and where to leave what a later run goes on from.

    Returns:
        The generator's averaged weights by name, on the CPU.

    Raises:
        SystemExit: after a SIGTERM, once the state is saved.
        UserError: there are several processes, or a loss or the weights are not finite.
    """
    if accelerator.num_processes > 1:
        count = accelerator.num_processes
        raise UserError(f"peers are trained by one process, got {count}; unset SEMFLOW_LAUNCH")
    state, settings = new_duel(adversary, params, train, accelerator)
    checkpoints.restore(state)
    if state.step:
        print(f"{progress.name}: resumed at step {state.step}", file=sys.stderr, flush=True)
    progress.log.start(state.step)
    finiteness = Finiteness(samples, accelerator, settings.learning_rate, progress.name)
    with (
        noted_termination() as termination,
        loop.samples_bar(state, settings, progress.name) as bar,
        steps_to_come(samples, settings, accelerator, state.step) as steps,
    ):
        for parts in steps:
            values = _take_turns(adversary, parts, state, accelerator, settings, finiteness)
            bar.update(settings.batch_size)
            loop.report(values, state, settings, accelerator, progress, finiteness, bar)
            loop.save_or_stop(
                state, settings.steps, accelerator, checkpoints, termination, finiteness
            )
    return state.averaged()


def new_duel(
    adversary: Adversary,
    params: AdversarialParams,
    train: OptimiserParams,
    accelerator: Accelerator,
) -> tuple[DuelState, TrainParams]:
    """Both networks before their first step, each with an optimiser of its own.

    Returns:
        Their state, and the generator's settings.
    """
    own, others = (
        TrainParams.model_validate(train.model_dump() | {"learning_rate": rate})
        for rate in (params.generator_learning_rate, params.discriminator_learning_rate)
    )
    state = new_state(adversary.generator.train(), own, accelerator)
    values = {field.name: getattr(state, field.name) for field in fields(state)}
    opponent = new_state(adversary.discriminator.train(), others, accelerator)
    return DuelState(**values, opponent=opponent), own


def _take_turns(
    adversary: Adversary,
    parts: list[TrainingSample],
    state: DuelState,
    accelerator: Accelerator,
    settings: TrainParams,
    finiteness: Finiteness,
) -> dict[str, Tensor]:
    """One update of each network; the values of both by name."""
    opponent = state.opponent
    assert opponent is not None
    values = {}
    turns: list[tuple[str, TrainingState, nn.Module, Callable[[PeerSample], Losses]]] = [
        ("generator", state, adversary.discriminator, adversary.generator_losses),
        ("discriminator", opponent, adversary.generator, adversary.discriminator_losses),
    ]
    for name, own, other, losses in turns:

        def loss_of(
            _network: nn.Module,
            batch: TrainingSample,
            losses: Callable[[PeerSample], Losses] = losses,
        ) -> Losses:
            """This turn's losses; the network is the adversary's own."""
            return losses(with_image(batch))

        with held(other):
            found = loop.learn(loss_of, parts, own, accelerator, finiteness, name)
        loop.update(own, accelerator, settings.max_grad_norm)
        values[name] = found
    return {**values["generator"], "discriminator": values["discriminator"]["loss"]}


@contextmanager
def held(network: nn.Module) -> Iterator[None]:
    """Keeps gradients from a network's parameters while the other one takes its turn."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)
