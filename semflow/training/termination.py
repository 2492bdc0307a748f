"""Ending on request: a SIGTERM is noted, and the loop stops where its state is whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch
from accelerate import Accelerator

EXIT_CODE = 128 + signal.SIGTERM


class Termination:
    """Whether this process was asked to end."""

    def __init__(self) -> None:
        self.requested = False

    def request(self, _signal: int, _frame: FrameType | None) -> None:
        """A signal handler."""
        self.requested = True


def any_process(accelerator: Accelerator, *here: bool) -> tuple[bool, ...]:
    """For each question whether any process says yes; all must ask, and get the same answers."""
    if accelerator.num_processes == 1:
        return here
    asked = torch.tensor(here, dtype=torch.float32, device=accelerator.device)
    return tuple(bool(count > 0) for count in accelerator.reduce(asked, reduction="sum"))


@contextmanager
def noted_termination() -> Iterator[Termination]:
    """Notes SIGTERM instead of dying of it, for the length of the block."""
    termination = Termination()
    # Python delivers signals to its main thread and lets no other set a handler.
    if threading.current_thread() is not threading.main_thread():
        yield termination
        return
    before = signal.signal(signal.SIGTERM, termination.request)
    try:
        yield termination
    finally:
        signal.signal(signal.SIGTERM, before)
