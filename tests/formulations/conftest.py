from __future__ import annotations

from pathlib import Path

import pytest
from support.tiny import CHANNELS, TinyDataset, lossless_autoencoder
from support.tiny_data import BACKBONE

from semflow.mask_latents.encode_masks import encode_masks
from semflow.mask_latents.schema import MaskLatentsStage
from semflow.networks.null_prompt import NullPrompt
from semflow.networks.velocity import scratch_unet
from semflow.schema import DatasetParams


@pytest.fixture
def tiny_models(workspace: Path, dataset: TinyDataset, params: DatasetParams) -> Path:
    """A folder with `autoencoder`, `backbone` and the encoded `masks` that a training reads."""
    lossless_autoencoder(scaling_factor=0.5).save_pretrained(workspace / "autoencoder")
    scratch_unet(BACKBONE, 0, CHANNELS, CHANNELS).save_pretrained(workspace / "backbone" / "unet")
    NullPrompt(tokens=1, width=8).save_pretrained(workspace / "backbone" / "null_prompt")
    reads = MaskLatentsStage.model_validate(params.model_dump())
    encode_masks(
        "earth", reads, dataset.pseudo_masks, workspace / "autoencoder", workspace / "masks"
    )
    return workspace
