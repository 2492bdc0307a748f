"""The way of some samples from image to mask and from mask to image, as rows of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semflow.filmstrip import (
    Picture,
    backward_path_states,
    decoded_states,
    has_filmstrip,
    path_states,
    segmenting_grid,
    states_at,
    synthesizing_grid,
)
from semflow.pipeline import SemFlowPipeline

FILM_STEPS = 25
"""Enough that the states between are the flow's, whatever the checkpoint's own numbers are."""
FILM_TIMES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
LARGEST_SIDE = 256
"""Pixels of a picture of a strip; larger ones are scaled down, since a page has dozens."""


@dataclass(frozen=True)
class Film:
    """One sample's way in either direction.

    Args:
        key: The data set's name for it.
        to_mask: (H, W, 3) uint8 at each of FILM_TIMES, from the image.
        to_image: The same at these times backward, from the perturbed mask of its label.
    """

    key: str
    to_mask: tuple[Picture, ...]
    to_image: tuple[Picture, ...]


def make_films(
    pipeline: SemFlowPipeline,
    samples: Sequence[tuple[str, Picture, NDArray[np.uint8]]],
    seed: int,
) -> tuple[Film, ...]:
    """Solves both ways for each sample by itself, as the command line would.

    Args:
        pipeline: The checkpoint.
        samples: Key, image (H, W, 3) uint8 and label (H, W) uint8 ids of each.
        seed: Of the perturbation that the way back starts from.

    Returns:
        None where the formulation's states do not lie between image and mask.
    """
    if not has_filmstrip(pipeline):
        return ()
    forward = segmenting_grid(pipeline, FILM_STEPS)
    backward = synthesizing_grid(pipeline, FILM_STEPS)
    films = []
    for key, image, label in samples:
        there = states_at(path_states(pipeline, [image], forward), forward, FILM_TIMES)
        times = FILM_TIMES[::-1]
        states = backward_path_states(pipeline, [label], seed, backward)
        back = decoded_states(pipeline, states_at(states, backward, times), times)
        found = decoded_states(pipeline, there, FILM_TIMES)
        films.append(Film(key, _small(found), _small(back)))
    return tuple(films)


def _small(frames: Sequence[Picture]) -> tuple[Picture, ...]:
    """The only picture of each frame, no side above LARGEST_SIDE."""
    return tuple(fitted(pictures[0]) for pictures in frames)


def fitted(picture: Picture) -> Picture:
    """A picture (H, W, 3) uint8 scaled down by means over areas until no side is too large."""
    height, width = picture.shape[:2]
    share = LARGEST_SIDE / max(height, width)
    if share >= 1:
        return picture
    size = max(1, round(width * share)), max(1, round(height * share))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))
