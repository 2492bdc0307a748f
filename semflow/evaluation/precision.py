"""The precision that a checkpoint is evaluated in: on accelerators that of its training.

What judges their results, metric networks included, stays in float32, where its figures are
defined, and so does everything on a processor.
"""

from __future__ import annotations

from pathlib import Path

import torch
from accelerate.utils import convert_outputs_to_fp32

from semflow.core.provenance import read_provenance
from semflow.evaluation.results import Precision
from semflow.inference.latent_pipeline import LatentPipeline

_DTYPES: dict[Precision, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}


def precision_for(checkpoint: Path, device: torch.device) -> Precision:
    """What a checkpoint is evaluated in on a device.

    Args:
        checkpoint: Its folder, which notes what it was trained in; "no" where it notes nothing.
        device: Where its networks run.

    Raises:
        UserError: The note is not JSON.
    """
    made_of = None if device.type == "cpu" else read_provenance(checkpoint)
    noted = None if made_of is None else made_of.hardware.get("mixed_precision")
    return next((name for name in _DTYPES if name == noted), "no")


def run_in(pipeline: LatentPipeline, precision: Precision) -> None:
    """Makes a checkpoint's networks compute in autocast, as in training, and answer in float32.

    Args:
        pipeline: On its device; its weights stay float32.
        precision: Of matrix products and convolutions.
    """
    if precision == "no":
        return
    autocast = torch.autocast(pipeline.device.type, _DTYPES[precision])
    # The autoencoder's answers are float32 again where they are read: semflow/networks/encoding.py.
    for name in ("encode", "decode"):
        setattr(pipeline.vae, name, autocast(getattr(pipeline.vae, name)))
    field = pipeline.field
    field.forward = convert_outputs_to_fp32(autocast(field.forward))  # type: ignore[method-assign]
