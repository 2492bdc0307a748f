"""What all fixed networks behind metrics share: their weight files, and what they ask of images."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from semflow.core.errors import UserError
from semflow.core.files import sha256_of

Network = TypeVar("Network", bound=nn.Module)

# Saturated images with rounding stay allowed; 0..255 or unclamped samples do not.
_RANGE_SLACK = 1e-3


@dataclass(frozen=True)
class Release:
    """A weight file that its authors released, told by its checksum from any other file.

    Args:
        name: The file's own name.
        url: Where its authors offer it.
        sha256: Hexadecimal, of its bytes.
    """

    name: str
    url: str
    sha256: str


def read_release(release: Release, path: Path) -> dict[str, Tensor]:
    """Reads a state dict from the user's copy of a released file; nothing is downloaded.

    Args:
        release: What the file must be.
        path: The copy, under any name.

    Returns:
        The tensors by name, on the CPU.

    Raises:
        UserError: There is no such file, it has other bytes, or it holds more than tensors.
    """
    if not path.is_file():
        raise UserError(
            f"no {release.name} at {path}; download {release.url} to there, or give its path"
        )
    found = sha256_of(path)
    if found != release.sha256:
        raise UserError(
            f"{path} is not {release.name}: its sha256 is {found[:12]}..., not "
            f"{release.sha256[:12]}...; download {release.url}"
        )
    return read_weights(path)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Reads a state dict without running any code that the file may contain.

    Returns:
        The tensors by name, on the CPU, in the dtypes of the file.

    Raises:
        UserError: There is no such file, or it holds anything but named tensors.
    """
    if not path.is_file():
        raise UserError(f"no metric weights at {path}; place the file there or give its path")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        # The message of torch advises to run the code in the file, and takes several lines.
        reason = type(error).__name__
        raise UserError(f"cannot read weights from {path} ({reason}); fetch it again") from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"{path} holds no tensors by name; fetch it again")
    return state


def freeze_with(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Gives a network exactly the named tensors, in eval mode and without gradients.

    Args:
        network: Filled in place; may be on the meta device.
        state: Its parameters and buffers by name.
        path: Where they come from, for the error.

    Raises:
        UserError: A name or a shape differs.
    """
    try:
        network.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        raise UserError(
            f"{path} holds another network: tensor names or shapes differ; give the right file"
        ) from error
    network.eval().requires_grad_(False)


def channels_last(network: Network) -> Network:
    """A network of convolutions in the memory format that a CPU takes half the time in."""
    # torch's stubs know no memory format without a dtype.
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def check_pixels(images: Tensor) -> None:
    """Wants (N, 3, H, W) uint8; another kind would pass as a figure.

    Raises:
        ValueError: On other shapes or dtypes.
    """
    if images.ndim != 4 or images.shape[1] != 3 or images.dtype != torch.uint8:
        raise ValueError(
            f"images are {images.dtype} {tuple(images.shape)}; give uint8 (N, 3, H, W)"
        )


def check_unit_range(images: Tensor, smallest_side: int) -> None:
    """Wants (N, 3, H, W) float in [-1, 1]; another kind would pass as a figure.

    Args:
        images: N >= 1 of them.
        smallest_side: Pixels.

    Raises:
        ValueError: On other shapes, dtypes or ranges.
    """
    if images.ndim != 4 or images.shape[1] != 3 or not len(images):
        raise ValueError(f"images are {tuple(images.shape)}; give (N, 3, H, W)")
    if min(images.shape[2:]) < smallest_side:
        raise ValueError(
            f"images are {tuple(images.shape[2:])}; give sides of {smallest_side} or more"
        )
    if not images.is_floating_point():
        raise ValueError(f"images are {images.dtype}; give floating-point images in -1..1")
    if not images.detach().abs().max() <= 1 + _RANGE_SLACK:
        raise ValueError("images leave -1..1 or hold nan; rescale or clamp them")


def check_pair(a: Tensor, b: Tensor, smallest_side: int) -> None:
    """Wants two batches (N, 3, H, W) of one size, float in [-1, 1].

    Raises:
        ValueError: On unequal shapes, and as `check_unit_range`.
    """
    if a.shape != b.shape:
        raise ValueError(
            f"images are {tuple(a.shape)} and {tuple(b.shape)}; give two equal (N, 3, H, W)"
        )
    check_unit_range(a, smallest_side)
    check_unit_range(b, smallest_side)
