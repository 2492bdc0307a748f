"""Features of the Inception network that FID is defined by."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import torch
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from semflow.core.errors import UserError
from semflow.metrics.fixed_networks import Release, check_pixels, freeze_with, read_release

FEATURE_DIMENSIONS = 2048

RELEASE = Release(
    name="weights-inception-2015-12-05-6726825d.pth",
    url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth",
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
)
"""TensorFlow's network of 2015-12-05, converted; pytorch-fid offers the same bytes."""

_LAYER = "2048"


class _InceptionFeatures(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Features (N, D) of (N, 3, H, W) uint8."""
        check_pixels(images)
        features: Tensor = self.network(images)[0]
        return features


def load_inception_features(path: Path) -> nn.Module:
    """Loads the frozen feature network of FID and KID from the user's copy of RELEASE.

    The network is torch-fidelity's (Obukhov et al., 2020), which repeats TensorFlow's arithmetic.
    The module maps uint8 RGB images (N, 3, H, W) in 0..255 to float32 features (N, 2048) >= 0,
    without gradients. It enlarges or reduces images to 299x299 by TensorFlow's bilinear rule,
    without antialiasing: bring large images to the protocol's resolution first. Other images
    raise ValueError.

    Raises:
        UserError: the file is missing, has other bytes, or holds more than the network's tensors.
    """
    state = read_release(RELEASE, path)
    try:
        network = _network_without_values(state)
    except RuntimeError:
        raise UserError(
            f"{path} holds another network: tensor names or shapes differ; give the right file"
        ) from None
    freeze_with(network, state, path)
    return _InceptionFeatures(network).eval()


def _network_without_values(state: Mapping[str, Tensor]) -> nn.Module:
    # The extractor unpickles whatever file it is given, and downloads one where it is given none.
    # So it is given bytes written here, of the tensors' names and shapes alone.
    outline = BytesIO()
    torch.save({name: value.to("meta") for name, value in state.items()}, outline)
    outline.seek(0)
    # On the meta device the layers draw no random weights, so that the caller's seed stays put.
    with torch.device("meta"):
        network: nn.Module = FeatureExtractorInceptionV3(
            "inception-v3-compat", [_LAYER], feature_extractor_weights_path=outline
        )
    return network
