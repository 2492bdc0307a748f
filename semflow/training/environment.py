"""What training runs on: processes, devices, precision and micro-batches."""

from __future__ import annotations

import os

import torch
from accelerate import Accelerator

from semflow.core.errors import UserError
from semflow.core.provenance import processor
from semflow.training.fsdp import shard_where_asked
from semflow.training.schema import OptimiserParams
from semflow.training.speed import SpeedSettings

MICRO_BATCH = "SEMFLOW_MICRO_BATCH"


def new_accelerator(params: OptimiserParams) -> Accelerator:
    """The processes and devices that the environment gives.

    Raises:
        UserError: accelerate's configuration asks for a kind of sharding that is not supported.
    """
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(), mixed_precision=params.mixed_precision
    )
    shard_where_asked(accelerator)
    return accelerator


def training_hardware(accelerator: Accelerator, batch_size: int) -> dict[str, str | int]:
    """What a trained model's bytes depend on beside parameters, inputs and code.

    Args:
        accelerator: Of the run.
        batch_size: Samples of a step over all processes.
    """
    return {
        "processor": processor(),
        "device": _device_name(accelerator),
        "threads": torch.get_num_threads(),
        "distributed": accelerator.distributed_type.value.lower(),
        "world_size": accelerator.num_processes,
        "micro_batch": micro_batch(batch_size, accelerator.num_processes),
        "mixed_precision": accelerator.mixed_precision,
        **SpeedSettings.from_environment().recorded(),
    }


def micro_batch(batch_size: int, num_processes: int) -> int:
    """Samples that one process passes through the network at once; gradients of a step add up.

    SEMFLOW_MICRO_BATCH where it is set and less than the process's share of the batch.

    Args:
        batch_size: samples of a step over all processes.
        num_processes: that share them equally.

    Raises:
        UserError: the numbers do not divide each other.
    """
    share, rest = divmod(batch_size, num_processes)
    if rest or not share:
        raise UserError(
            f"train.batch_size {batch_size} cannot be shared by {num_processes} processes; "
            "change one of them"
        )
    wanted = os.environ.get(MICRO_BATCH) or str(share)
    if not wanted.isdecimal() or int(wanted) == 0:
        raise UserError(f"{MICRO_BATCH} is {wanted!r}; give a number of samples")
    part = min(int(wanted), share)
    if share % part:
        raise UserError(
            f"{MICRO_BATCH} {part} does not divide the {share} samples of one process; change it"
        )
    return part


def _device_name(accelerator: Accelerator) -> str:
    if accelerator.device.type == "cuda":
        return torch.cuda.get_device_name(accelerator.device)
    return accelerator.device.type
