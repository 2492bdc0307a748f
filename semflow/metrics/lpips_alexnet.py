"""LPIPS v0.1 with AlexNet: the perceptual distance that the field reports."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import lpips
import torch
from torch import Tensor, nn

from semflow.metrics.fixed_networks import (
    Release,
    check_pair,
    freeze_with,
    read_release,
    read_weights,
)

SMALLEST_SIDE = 31
"""Of a smaller image nothing is left for AlexNet's second pooling."""

RELEASE = Release(
    name="alexnet-owt-7be5be79.pth",
    url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
)
"""torchvision's AlexNet, IMAGENET1K_V1."""

# Which of LPIPS' slices holds a layer of torchvision's `features`.
_SLICES = {0: 1, 3: 2, 6: 3, 8: 4, 10: 5}
_LAYER_KEY = re.compile(r"features\.(\d+)\.(weight|bias)")
_HEAD_KEY = re.compile(r"lin(\d\.model\.1\.weight)")


class _Lpips(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Distances (N,) of two batches (N, 3, H, W), float in [-1, 1]."""
        check_pair(a, b, SMALLEST_SIDE)
        distances: Tensor = self.network(a, b)
        return distances.flatten()


def load_lpips(path: Path) -> nn.Module:
    """Loads frozen LPIPS v0.1 from the user's copy of RELEASE and the heads of the package lpips.

    The module maps two batches of RGB images (N, 3, H, W), float in -1..1, to distances (N,) >= 0,
    where 0 is no difference. It raises ValueError on other shapes, dtypes or ranges, and on sides
    below SMALLEST_SIDE. Source: Zhang et al., "The Unreasonable Effectiveness of Deep Features as
    a Perceptual Metric", CVPR 2018, and its package lpips. torchmetrics' metric of the same network
    takes no weight file: it downloads the backbone.

    Raises:
        UserError: The file is missing, has other bytes, or holds more than the network's tensors.
    """
    backbone = read_release(RELEASE, path)
    heads = read_weights(Path(lpips.__file__).parent / "weights" / "v0.1" / "alex.pth")
    network = _network_without_values()
    own = {name: value for name, value in network.state_dict().items() if "scaling" in name}
    state = {**own, **dict(_slices(backbone)), **dict(_heads(heads))}
    freeze_with(network, state, path)
    return _Lpips(network).eval()


def _network_without_values() -> nn.Module:
    # Told that its weights are random, the package neither downloads nor unpickles any; on the
    # meta device it draws none either. Its call of torchvision warns of an old spelling.
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        network: nn.Module = lpips.LPIPS(
            net="alex", version="0.1", pretrained=False, pnet_rand=True, verbose=False
        )
    return network


def _slices(backbone: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for name, value in backbone.items():
        match = _LAYER_KEY.fullmatch(name)
        if match is not None and int(match[1]) in _SLICES:
            layer = int(match[1])
            yield f"net.slice{_SLICES[layer]}.{layer}.{match[2]}", value
        elif not name.startswith("classifier."):
            yield name, value


def _heads(heads: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    # The package holds each head twice, by itself and in a list.
    for name, value in heads.items():
        yield name, value
        yield _HEAD_KEY.sub(r"lins.\1", name), value
