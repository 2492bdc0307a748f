"""How a network is run so that it fits a device and keeps it busy: settings of the environment.

None of them is part of what is learned, so none stands in params.yaml; all are recorded with the
checkpoint. Attention is torch's scaled_dot_product_attention without any setting: diffusers takes
it where torch has it.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Self

import torch
from diffusers import UNet2DConditionModel

from semflow.core.errors import UserError
from semflow.core.switches import is_on

CHECKPOINTING = "SEMFLOW_GRADIENT_CHECKPOINTING"
TF32 = "SEMFLOW_TF32"
WORKERS = "SEMFLOW_LOADER_WORKERS"
GPU_WORKERS = 4
"""For each process that trains on one."""


@dataclass(frozen=True)
class SpeedSettings:
    """What the environment asks for.

    Args:
        gradient_checkpointing: Blocks are computed again on the way back instead of kept: about a
            third more time for a fraction of the memory; the same bytes.
        tf32: Matrix products and convolutions of float32 in TF32 on GPUs that have it: 10 bits of
            mantissa instead of 23.
    """

    gradient_checkpointing: bool
    tf32: bool

    @classmethod
    def from_environment(cls) -> Self:
        """Reads both variables; each is 1, or 0 or empty.

        Raises:
            UserError: A variable has another value.
        """
        return cls(is_on(CHECKPOINTING), is_on(TF32))

    def apply(self, unet: UNet2DConditionModel) -> None:
        """Makes a backbone that is to be trained run so; its weights and their names stay."""
        if self.gradient_checkpointing:
            unet.enable_gradient_checkpointing()
        torch.backends.cuda.matmul.allow_tf32 = self.tf32
        torch.backends.cudnn.allow_tf32 = self.tf32

    def recorded(self) -> dict[str, int]:
        """What a trained model's provenance says of them: those that are on."""
        return {name: 1 for name, is_on in asdict(self).items() if is_on}


def loader_workers(device: torch.device) -> int:
    """Processes beside this one that read its samples and draw their noise.

    SEMFLOW_LOADER_WORKERS where it is set; what is trained has the same bytes for any number. By
    default none where the network itself runs on the processor, whose cores it keeps busy: a worker
    would take from it what it gives. A GPU waits for every sample that is not ready, and gets
    GPU_WORKERS.

    Args:
        device: Where the network runs.

    Raises:
        UserError: The variable holds no number of processes.
    """
    default = GPU_WORKERS if device.type == "cuda" else 0
    wanted = os.environ.get(WORKERS) or str(default)
    if not wanted.isdecimal():
        raise UserError(f"{WORKERS} is {wanted!r}; give a number of processes, 0 for none")
    return int(wanted)
