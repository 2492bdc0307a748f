"""Whether numbers stay finite: losses every few steps, weights before they are saved or shown."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor

from semflow.core.errors import UserError
from semflow.training.samples import TrainingSamples
from semflow.training.state import TrainingState
from semflow.training.termination import any_process

LOSSES_EVERY = 10
"""Steps between two looks at the losses: each look waits until the device has computed them."""
KEYS_SHOWN = 8
_NEVER = 2**31 - 1


@dataclass(frozen=True)
class _Noted:
    """The loss of one part of a step, and what an error says of it.

    Args:
        loss: () on its device.
        index: (N,) int64, positions in the shard folder.
        step: Number of the step, from 1.
        learning_rate: Of that step.
        name: Of the block in params.yaml that the learning rate is in.
    """

    loss: Tensor
    index: Tensor
    step: int
    learning_rate: float
    name: str


class Finiteness:
    """Remembers losses without reading them, and reads them together.

    Args:
        samples: Name the samples of a batch.
        accelerator: The processes that train together; all look at the same steps.
        learning_rate: That params.yaml asks for.
        name: Of its block there.
    """

    def __init__(
        self, samples: TrainingSamples, accelerator: Accelerator, learning_rate: float, name: str
    ) -> None:
        self._samples = samples
        self._accelerator = accelerator
        self._asked = f"learning rate {learning_rate:g}; lower {name}.learning_rate"
        self._noted: list[_Noted] = []

    def note(self, loss: Tensor, index: Tensor, state: TrainingState, name: str) -> None:
        """Remembers the loss () of a part, before its step, and the positions (N,) it is of."""
        noted = _Noted(loss.detach(), index, state.step + 1, state.learning_rate, name)
        self._noted.append(noted)

    def check_losses(self) -> None:
        """Looks at all losses since the last look; all processes must call it.

        Raises:
            UserError: One is not finite, with step, learning rate and keys of the first such.
        """
        noted, self._noted = self._noted, []
        if not noted:
            return
        finite = torch.stack([one.loss for one in noted]).isfinite().tolist()
        bad = [one for one, is_finite in zip(noted, finite, strict=True) if not is_finite]
        first = bad[0] if bad else None
        step = _NEVER if first is None else first.step
        # The first one's gradients have reached every process: later losses tell nothing new.
        steps = torch.tensor([step], device=self._accelerator.device)
        earliest = int(self._accelerator.gather(steps).min())
        if first is not None and first.step == earliest:
            raise UserError(self._said_of(first))
        if earliest != _NEVER:
            raise UserError(f"the loss of another process is not finite at step {earliest}")

    def check_weights(self, state: TrainingState) -> None:
        """Looks at the weights after an update, and at their average; all processes must call it.

        No loss has shown yet what the update did to them.

        Raises:
            UserError: They are not finite.
        """
        finite = torch.stack([part.isfinite().all() for part in state.weights()]).all()
        (diverged,) = any_process(self._accelerator, not bool(finite))
        if diverged:
            raise UserError(f"the weights are not finite after step {state.step}, {self._asked}")

    def _said_of(self, noted: _Noted) -> str:
        keys = [self._samples.key(index) for index in noted.index.tolist()]
        more = f" and {len(keys) - KEYS_SHOWN} more" if len(keys) > KEYS_SHOWN else ""
        return (
            f"the loss is {float(noted.loss)} at step {noted.step}, "
            f"learning rate {noted.learning_rate:g}; lower {noted.name}.learning_rate, "
            f"or look at the batch: {', '.join(keys[:KEYS_SHOWN])}{more}"
        )
