"""What training runs on, what made its result, and where it leaves what is unfinished."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from semflow.core.errors import UserError
from semflow.core.provenance import Provenance, processor, provenance_of
from semflow.core.scratch import held, scratch_path
from semflow.training.fsdp import shard_where_asked
from semflow.training.schema import TrainParams

MICRO_BATCH = "SEMFLOW_MICRO_BATCH"


def new_accelerator(params: TrainParams) -> Accelerator:
    """The processes and devices that the environment gives.

    Raises:
        UserError: accelerate's configuration asks for a kind of sharding that is not supported.
    """
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(), mixed_precision=params.mixed_precision
    )
    shard_where_asked(accelerator)
    return accelerator


def training_provenance(
    parameters: dict[str, Any], inputs: Iterable[Path], accelerator: Accelerator
) -> Provenance:
    """What a trained model's bytes follow from.

    Args:
        parameters: those that the stage declares in dvc.yaml; others would change the bytes of a
            result that DVC holds to be the same.
        inputs: shard folders and model folders.
        accelerator: of the run.
    """
    batch_size = parameters["train"]["batch_size"]
    hardware: dict[str, str | int] = {
        "processor": processor(),
        "device": _device_name(accelerator),
        "threads": torch.get_num_threads(),
        "distributed": accelerator.distributed_type.value.lower(),
        "world_size": accelerator.num_processes,
        "micro_batch": micro_batch(batch_size, accelerator.num_processes),
        "mixed_precision": accelerator.mixed_precision,
    }
    return provenance_of(parameters, inputs, hardware)


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


@contextmanager
def working_folder(
    stage: str, dataset: str, provenance: Provenance, accelerator: Accelerator
) -> Iterator[Path]:
    """The scratch folder of a run, held by its main process and removed once the block ends well.

    Args:
        stage: name of the stage.
        dataset: name of the data set.
        provenance: of the result; another one is another folder.
        accelerator: of the run.

    Raises:
        UserError: another run with the same provenance is at work.
    """
    folder = scratch_path(stage, dataset, provenance.fingerprint())
    if not accelerator.is_main_process:
        accelerator.wait_for_everyone()
        yield folder
        return
    with held(folder):
        accelerator.wait_for_everyone()
        yield folder


def _device_name(accelerator: Accelerator) -> str:
    if accelerator.device.type == "cuda":
        return torch.cuda.get_device_name(accelerator.device)
    return accelerator.device.type
