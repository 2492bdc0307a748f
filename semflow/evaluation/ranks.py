"""The processes that evaluate together: each takes every W-th batch, and all know the whole."""

from __future__ import annotations

from itertools import chain, zip_longest

from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor


class Team:
    """What one process does of the work, and how the parts come together again.

    Batches are the same ones in whatever number of processes they are shared, pixel counts are
    whole numbers (torchmetrics adds them up), and vectors are put back into their order: so the
    figures are the same bit for bit.

    Args:
        accelerator: The processes of the launch.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.device = accelerator.device
        self.is_first = accelerator.is_main_process
        self._rank = accelerator.process_index
        self._size = accelerator.num_processes
        self._accelerator = accelerator

    def share(self, count: int) -> range:
        """Numbers of the batches out of `count` that this process takes."""
        return range(self._rank, count, self._size)

    def in_order(self, found: list[Tensor]) -> list[Tensor]:
        """One tensor for each batch of this process -> those of all processes, in batch order."""
        by_rank = gather_object([[tensor.cpu() for tensor in found]])
        turns = zip_longest(*by_rank)
        return [tensor for tensor in chain.from_iterable(turns) if tensor is not None]

    def wait(self) -> None:
        """Returns once every process is here."""
        self._accelerator.wait_for_everyone()
