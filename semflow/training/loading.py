"""Batches ahead of the network: drawn by position, here or in worker processes, in one order."""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from semflow.core.errors import UserError
from semflow.training.environment import micro_batch
from semflow.training.samples import TrainingSample, TrainingSamples
from semflow.training.schema import TrainParams
from semflow.training.speed import loader_workers

ON_HOST = ("index", "own_steps")
"""Numbers that Python reads: read from a device, each would make it wait for the network."""
# <sys/prctl.h>
_PR_SET_PDEATHSIG = 1

Drawn = dict[str, Tensor] | UserError


@contextmanager
def steps_to_come(
    samples: TrainingSamples, params: TrainParams, accelerator: Accelerator, steps_done: int
) -> Iterator[Iterator[list[TrainingSample]]]:
    """This process's share of each step to come, in parts of equal size.

    Workers, where the environment asks for any, have ended when the block ends, however it ends.

    Args:
        samples: By position; a position's sample is the same whichever process draws it.
        params: Steps and batch size.
        accelerator: The processes that share a batch; batches come to its device.
        steps_done: Steps that are not drawn again.

    Raises:
        UserError: A sample cannot be read, or the batch cannot be shared.
    """
    share = params.batch_size // accelerator.num_processes
    part = micro_batch(params.batch_size, accelerator.num_processes)
    first = steps_done * params.batch_size + accelerator.process_index * share
    starts = range(first, params.steps * params.batch_size, params.batch_size)
    device = torch.device(accelerator.device)
    # Batches are made whole by the dataset and not by the loader, which would wrap a UserError in
    # the traceback of its worker.
    loader: DataLoader[Drawn] = DataLoader(
        _Batches(samples),
        batch_size=None,
        sampler=_Parts(starts, share, part),
        num_workers=loader_workers(device),
        worker_init_fn=_end_with_parent,
        pin_memory=device.type == "cuda",
    )
    with _ended(_started(loader)) as drawn:
        parts = (_on_device(batch, device) for batch in drawn)
        yield (list(islice(parts, share // part)) for _ in starts)


@dataclass(frozen=True)
class _Batches(Dataset[Drawn]):
    """Batches by the positions of their samples; what a user can mend comes as a value."""

    samples: TrainingSamples

    def __getitem__(self, positions: list[int]) -> Drawn:
        try:
            batch: dict[str, Tensor] = default_collate([self.samples[one] for one in positions])
        except UserError as error:
            return error
        return batch


@dataclass(frozen=True)
class _Parts:
    """Positions of all parts of all steps, made when they are asked for."""

    starts: range
    share: int
    part: int

    def __iter__(self) -> Iterator[list[int]]:
        for start in self.starts:
            for begin in range(start, start + self.share, self.part):
                yield list(range(begin, begin + self.part))

    def __len__(self) -> int:
        return len(self.starts) * (self.share // self.part)


def _on_device(batch: Drawn, device: torch.device) -> TrainingSample:
    if isinstance(batch, UserError):
        raise batch
    moved = {
        # From pinned memory a copy needs nobody to wait for it.
        name: value if name in ON_HOST else value.to(device, non_blocking=True)
        for name, value in batch.items()
    }
    return TrainingSample(**moved)  # type: ignore[typeddict-item]


def _started(loader: DataLoader[Drawn]) -> Iterator[Drawn]:
    """Starts a loader's workers, which never hear the signals that end a training.

    A scheduler sends its signals to every process of a step. The training saves its state first,
    for which it may still wait for a batch, and then ends its workers. They inherit what is held
    back here, so that there is no moment, however early, at which one could be ended before it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    try:
        return iter(loader)
    finally:
        # What came meanwhile reaches this process now.
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _ended(batches: Any) -> Iterator[Iterator[Drawn]]:
    """Ends a loader's workers with the block, also while an error still refers to the loader."""
    try:
        yield batches
    finally:
        workers = getattr(batches, "_workers", ())
        if workers:
            # Every batch that was wanted has come: how a worker ends no longer matters.
            with suppress(RuntimeError):
                batches._shutdown_workers()
        for worker in workers:
            # One that hangs in a read: it leaves a request to end unheard.
            if worker.is_alive():
                worker.kill()
                worker.join()


def _end_with_parent(_number: int) -> None:
    # A killed training ends none of them, and their copy of its lock would keep the next one out.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
