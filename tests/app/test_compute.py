from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from support.tiny import random_images, random_label, tiny_pipeline

from semflow.app import compute
from semflow.core.errors import UserError
from semflow.core.labels import IGNORE_INDEX
from semflow.filmstrip import has_filmstrip
from semflow.networks.anchors import anchor_distances, unit_range_anchors
from semflow.networks.encoding import to_unit_range
from semflow.pipeline import SemFlowPipeline

COLORS = [(0, 0, 0), (200, 100, 50)]


def test_an_overlay_mixes_each_pixel_with_the_colour_of_its_class() -> None:
    image = np.full((1, 3, 3), 100, np.uint8)
    label = np.array([[0, 1, IGNORE_INDEX]], np.uint8)
    mixed = compute.overlay(image, label, COLORS, 0.25)
    assert mixed.tolist() == [[[75, 75, 75], [125, 100, 88], [107, 107, 107]]]
    assert np.array_equal(compute.overlay(image, label, COLORS, 0.0), image)
    assert compute.overlay(image, label, COLORS, 1.0)[0, 1].tolist() == [200, 100, 50]


def test_shares_leave_out_pixels_without_a_class() -> None:
    label = np.array([[0, 0], [2, IGNORE_INDEX]], np.uint8)
    assert compute.shares_of(label, 3) == [0.5, 0.0, 0.25]


def test_an_agreement_is_worked_out_over_labelled_pixels() -> None:
    label = np.array([[0, 0, 1, IGNORE_INDEX]], np.uint8)
    found = np.array([[0, 1, 1, 0]], np.uint8)
    # Class 0: 1 of 2; class 1: 1 of 2; class 2 is neither labelled nor found.
    assert compute.agreement(found, label, 3) == compute.Agreement(0.5, pytest.approx(2 / 3))


def test_segmenting_is_the_pipelines(moving_pipeline: SemFlowPipeline) -> None:
    image = random_images(1)[0]
    [expected] = moving_pipeline.segment(Image.fromarray(image), 3)
    assert np.array_equal(compute.segment(moving_pipeline, image, 3), expected)


def test_round_trips_are_the_commands_syntheses_and_what_the_flow_sees_in_them(
    moving_pipeline: SemFlowPipeline,
) -> None:
    label = random_label(0)
    trips = compute.round_trips(moving_pipeline, label, seed=7, count=3, num_steps=4)
    made = moving_pipeline.synthesize([label] * 3, 4, seed=7)
    for trip, image in zip(trips, made, strict=True):
        assert np.array_equal(trip.image, np.asarray(image))
        [again] = moving_pipeline.segment(image)
        assert np.array_equal(trip.label, again)
        assert trip.agreement.pixel_accuracy == pytest.approx(float((again == label).mean()))
    assert not np.array_equal(trips[0].image, trips[1].image)


def test_a_filmstrip_begins_at_the_image_and_ends_where_the_segmentation_is_read(
    moving_pipeline: SemFlowPipeline,
) -> None:
    image = random_images(1)[0]
    frames = compute.filmstrip(moving_pipeline, image, num_steps=5, frames=4)
    assert [frame.t for frame in frames] == [0, pytest.approx(1 / 3), pytest.approx(2 / 3), 1]
    assert np.abs(frames[0].picture.astype(int) - image).max() <= 1
    anchors = unit_range_anchors(moving_pipeline.palette.anchors)
    end = to_unit_range(torch.from_numpy(frames[-1].picture[None]))
    found = anchor_distances(end, anchors).argmin(dim=1)[0].numpy()
    # Rounding to grey levels may move a pixel that lies between two anchors.
    assert (found == compute.segment(moving_pipeline, image, 5)).mean() > 0.98


def test_a_formulation_whose_states_lie_elsewhere_has_no_filmstrip(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Elsewhere:
        name = "elsewhere"

    pipeline = tiny_pipeline()
    monkeypatch.setattr(pipeline, "formulation", Elsewhere())
    assert not has_filmstrip(pipeline)
    with pytest.raises(UserError, match="elsewhere has no path from image to mask"):
        compute.filmstrip(pipeline, random_images(1)[0], 1)
