from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.tiny import random_images, random_label
from support.tiny_data import CLASSES

from semflow.core.errors import UserError
from semflow.inference.pictures import images_as, labels_as, read_images, read_labels

IMAGES = random_images(2)
LABELS = np.stack([random_label(0), random_label(1)])
LABELS[0, 0, 0] = 255
TENSOR = torch.from_numpy(IMAGES).permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    "images",
    [
        [Image.fromarray(image) for image in IMAGES],
        IMAGES,
        list(IMAGES),
        IMAGES.astype(np.float32) / 255,
        IMAGES.astype(np.float64) / 255,
        TENSOR,
        list(TENSOR),
        TENSOR / 255,
        TENSOR.half() / 255,
        [IMAGES[0], Image.fromarray(IMAGES[1])],
    ],
)
def test_images_are_the_same_in_every_form(images: Any) -> None:
    assert np.array_equal(np.stack(read_images(images)), IMAGES)
    assert np.array_equal(read_images(images[1])[0], IMAGES[1])


@pytest.mark.parametrize(
    "labels",
    [
        [Image.fromarray(label) for label in LABELS],
        LABELS,
        LABELS.astype(np.int64),
        torch.from_numpy(LABELS),
        list(torch.from_numpy(LABELS).long()),
    ],
)
def test_labels_are_the_same_in_every_form(labels: Any) -> None:
    assert np.array_equal(np.stack(read_labels(labels)), LABELS)
    assert np.array_equal(read_labels(labels[1])[0], LABELS[1])


@pytest.mark.parametrize(
    ("images", "complaint"),
    [
        ([], "got no image; give at least one"),
        (np.zeros((4, 4)), r"an image has shape \(4, 4\); arrays are"),
        (np.zeros((3, 4, 4)), r"an image has shape \(3, 4, 4\); arrays are"),
        (torch.zeros(4, 4, 3), r"an image has shape \(4, 4, 3\); arrays are"),
        (np.full((4, 4, 3), -1.0), r"an image is float64 in \[-1, -1\]; give uint8"),
        (np.full((4, 4, 3), 200.0), r"an image is float64 in \[200, 200\]"),
        (np.full((4, 4, 3), np.nan), "an image is float64 in"),
        (np.zeros((4, 4, 3), np.int64), "an image is int64 in"),
        (Image.new("I", (4, 4)), "the image has mode I; convert it to 8 bits"),
    ],
)
def test_what_could_be_misread_as_an_image_is_refused(images: Any, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        read_images(images)


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        ([], "got no label; give at least one"),
        (np.zeros((4, 4)), "a label is float64"),
        (np.full((4, 4), 256), r"a label has ids in 256 \.\. 256"),
        (torch.full((4, 4), -1), r"a label has ids in -1 \.\. -1"),
        (Image.new("RGB", (4, 4)), "a label has mode RGB; give ids"),
    ],
)
def test_what_could_be_misread_as_a_label_is_refused(labels: Any, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        read_labels(labels)


def test_results_in_every_form_hold_the_same_levels_and_are_read_back() -> None:
    for form in ("pil", "np", "pt"):
        assert np.array_equal(np.stack(read_images(images_as(IMAGES, form))), IMAGES)
        labels = labels_as(LABELS, CLASSES.colors, form)
        assert np.array_equal(np.stack(read_labels(labels)), LABELS)
    levels = images_as(IMAGES, "pt")
    assert isinstance(levels, torch.Tensor)
    assert (levels.dtype, tuple(levels.shape)) == (torch.float32, (2, 3, 16, 16))
    assert float(levels.max()) == 1.0


def test_a_label_as_picture_shows_its_display_colours() -> None:
    picture = labels_as([LABELS[1]], CLASSES.colors, "pil")[0]
    shown = np.asarray(picture.convert("RGB"))
    assert np.array_equal(shown, np.array(CLASSES.colors)[LABELS[1]])


def test_one_array_of_several_sizes_is_refused() -> None:
    with pytest.raises(UserError, match="several sizes; take 'pil'"):
        images_as([IMAGES[0], IMAGES[1][:8]], "np")
