"""Pictures of any size for a model of one: refused, resized, or covered with windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from semflow.core.errors import UserError
from semflow.inference.windows import Windows, windows_over

Fit = Literal["resize", "window"]
"""What is done with a picture of another size than the model's."""


@dataclass(frozen=True)
class Canvas:
    """What the networks work on in place of a picture of any size.

    Args:
        size: Height and width of the picture, pixels.
        canvas_size: Height and width of the canvas, pixels.
        windows: What the canvas is covered with; None where it has the model's size.
    """

    size: tuple[int, int]
    canvas_size: tuple[int, int]
    windows: Windows | None

    def lay(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture (H, W) or (H, W, 3) on its canvas.

        Beside windows it is repeated at the lower and right border; otherwise it is resized, an
        image smoothly and a label by its nearest pixel.
        """
        if self.size == self.canvas_size:
            return picture
        if self.windows is not None:
            below, right = (b - a for a, b in zip(self.size, self.canvas_size, strict=True))
            padding = ((0, below), (0, right), (0, 0))[: picture.ndim]
            return np.pad(picture, padding, mode="edge")
        smooth = picture.ndim == 3
        how = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
        return np.array(Image.fromarray(picture).resize(self.canvas_size[::-1], how))

    def lift(self, image: Tensor) -> Tensor:
        """A result (3, h, w) float on the canvas -> (3, H, W), at the size of the picture.

        Resized linearly. On decoded pseudo-masks that is the same as resizing every class's score:
        scores differ from class to class by what is linear in the pixel.
        """
        if self.size == self.canvas_size:
            return image
        if self.windows is not None:
            return image[:, : self.size[0], : self.size[1]]
        shrinks = self.size[0] < self.canvas_size[0] or self.size[1] < self.canvas_size[1]
        resized: Tensor = F.interpolate(
            image[None], self.size, mode="bilinear", align_corners=False, antialias=shrinks
        )[0]
        return resized


def canvas_for(
    size: tuple[int, int],
    model_size: tuple[int, int],
    latent_size: tuple[int, int],
    fit: Fit | None,
    overlap: float,
) -> Canvas:
    """The canvas of a picture.

    Args:
        size: Height and width of the picture, pixels.
        model_size: Height and width that the model was trained at, pixels.
        latent_size: Height and width of the model's latents.
        fit: What is done with another size.
        overlap: Least share of a window that lies in its neighbour, in [0, 1).

    Raises:
        UserError: Another size and nothing said, an unknown way, or no such share.
    """
    if fit is not None and fit not in get_args(Fit):
        raise UserError(f"unknown fit {fit!r}; known are {', '.join(get_args(Fit))}")
    if size == model_size:
        return Canvas(size, size, None)
    if fit is None:
        taken = f"{model_size[1]}x{model_size[0]}"
        raise UserError(
            f"the picture is {size[1]}x{size[0]}, this model takes {taken}; "
            "resize or crop it, or say fit='resize' or fit='window'"
        )
    if fit == "resize":
        return Canvas(size, model_size, None)
    factor = model_size[0] // latent_size[0]
    height, width = (
        max(-(-side // factor), least) for side, least in zip(size, latent_size, strict=True)
    )
    windows = windows_over((height, width), latent_size, overlap)
    return Canvas(size, (height * factor, width * factor), windows)
