"""Where the stages that run the autoencoder leave what is unfinished."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from semflow.core.provenance import processor, provenance_of
from semflow.core.scratch import held, scratch_path


@contextmanager
def encoding_scratch(
    stage: str,
    dataset: str,
    parameters: Mapping[str, Any],
    inputs: Iterable[Path],
    accelerator: Accelerator,
) -> Iterator[Path]:
    """The scratch folder of a stage that encodes, held by its main process.

    How many processes share the work is no part of its key: the bytes do not depend on it.

    Args:
        stage: its name.
        dataset: name of the data set.
        parameters: those that the stage declares in dvc.yaml.
        inputs: folders and files that it reads.
        accelerator: of the run.

    Raises:
        UserError: another run with the same key is at work.
    """
    hardware: dict[str, str | int] = {
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "device": accelerator.device.type,
    }
    made_of = provenance_of(dict(parameters), inputs, hardware)
    scratch = scratch_path(stage, dataset, made_of.fingerprint())
    with held(scratch) if accelerator.is_main_process else nullcontext():
        yield scratch
