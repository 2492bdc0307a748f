"""Networks of hubs whose sizes are known here, so that no weights are fetched to know a shape.

Source: `unet/config.json` and `vae/config.json` of Stable Diffusion 1.5, as
https://huggingface.co/stable-diffusion-v1-5/stable-diffusion-v1-5 has them; only the sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semflow.core.errors import UserError

_SD15_UNET: dict[str, Any] = {
    "_class_name": "UNet2DConditionModel",
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": [320, 640, 1280, 1280],
    "layers_per_block": 2,
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    "attention_head_dim": 8,
    "cross_attention_dim": 768,
    "norm_num_groups": 32,
}
_SD15_VAE: dict[str, Any] = {
    "_class_name": "AutoencoderKL",
    "latent_channels": 4,
    "block_out_channels": [128, 256, 512, 512],
    "layers_per_block": 2,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "norm_num_groups": 32,
}
KNOWN: dict[tuple[str, str], dict[str, Any]] = {
    ("stable-diffusion-v1-5/stable-diffusion-v1-5", "unet"): _SD15_UNET,
    ("stable-diffusion-v1-5/stable-diffusion-v1-5", "vae"): _SD15_VAE,
}
"""diffusers' configuration by repository and subfolder; revisions change weights, not sizes."""


def known_config(repo_id: str, subfolder: str) -> Mapping[str, Any]:
    """diffusers' configuration of a hub's network, only the sizes.

    Raises:
        UserError: It is not known here.
    """
    config = KNOWN.get((repo_id, subfolder))
    if config is None:
        names = ", ".join(f"{name}/{folder}" for name, folder in KNOWN)
        raise UserError(
            f"the sizes of {repo_id}/{subfolder} are not known; known are {names}; "
            "give a local copy: source: folder"
        )
    return config
