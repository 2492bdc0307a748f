"""How an autoencoder is run so that it fits a device: settings of the environment, recorded.

They are those of diffusers' AutoencoderKL, whose layers at full resolution are what takes the
memory. The patch autoencoder has none such; both settings pass it by.
"""

from __future__ import annotations

from diffusers import AutoencoderKL

from semflow.core.switches import is_on
from semflow.networks.encoding import Autoencoder

SLICING = "SEMFLOW_VAE_SLICING"
TILING = "SEMFLOW_VAE_TILING"


def fit_autoencoder(autoencoder: Autoencoder) -> dict[str, int]:
    """Makes an autoencoder run as the environment asks; its weights and configuration stay.

    SLICING takes the images of a batch one by one: the same results up to the order in which sums
    are rounded. TILING cuts an image that is larger than the autoencoder's own `sample_size` into
    tiles that overlap by a quarter, and blends them: normalisation and attention see a tile and no
    longer the whole, so results differ; smaller images are not cut.

    Returns:
        What provenance says of it: the settings that are on, and that this autoencoder has.

    Raises:
        UserError: A variable is neither 1, nor 0 or empty.
    """
    slicing, tiling = is_on(SLICING), is_on(TILING)
    if not isinstance(autoencoder, AutoencoderKL):
        return {}
    if slicing:
        autoencoder.enable_slicing()
    if tiling:
        autoencoder.enable_tiling()
    return {
        name: 1 for name, asked in {"vae_slicing": slicing, "vae_tiling": tiling}.items() if asked
    }
