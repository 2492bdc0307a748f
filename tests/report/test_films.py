"""The rows of pictures between image and mask."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
from report.page_reader import Reader
from support.tiny import random_images, random_label, tiny_pipeline

from semflow.pipeline import SemFlowPipeline
from semflow.report.content import Content
from semflow.report.films import FILM_STEPS, FILM_TIMES, LARGEST_SIDE, fitted, make_films
from semflow.report.page import render_page

SPACE = "\N{NO-BREAK SPACE}"


def test_a_film_begins_at_one_end_and_leads_to_the_other(moving_pipeline: SemFlowPipeline) -> None:
    image, label = random_images(1)[0], random_label(0)
    (film,) = make_films(moving_pipeline, [("a", image, label)], seed=5)
    assert len(film.to_mask) == len(film.to_image) == len(FILM_TIMES) == 6
    assert np.abs(film.to_mask[0].astype(int) - image).max() <= 1
    (made,) = moving_pipeline.synthesize(label, FILM_STEPS, "euler", seed=5)
    np.testing.assert_array_equal(film.to_image[-1], np.asarray(made))
    ids = moving_pipeline.segment(image, FILM_STEPS, "euler")[0]
    end = film.to_mask[-1].astype(float)
    anchors = np.asarray(moving_pipeline.palette.anchors)
    nearest = ((end[:, :, None] - anchors) ** 2).sum(-1).argmin(-1)
    # Rounding to whole grey levels may turn a few close calls.
    assert (nearest == ids).mean() > 0.95


def test_each_film_is_made_of_its_sample_alone(moving_pipeline: SemFlowPipeline) -> None:
    samples = [(str(i), random_images(2)[i], random_label(i)) for i in range(2)]
    both = make_films(moving_pipeline, samples, seed=0)
    alone = make_films(moving_pipeline, samples[1:], seed=0)
    for one, other in zip(both[1].to_image, alone[0].to_image, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_has_no_states_between_image_and_mask_has_no_film() -> None:
    pipeline = tiny_pipeline(moving=True)
    pipeline.__dict__["formulation"] = SimpleNamespace(name="symmflow")
    sample = ("a", random_images(1)[0], random_label(0))
    assert make_films(pipeline, [sample], seed=0) == ()


def test_large_pictures_are_scaled_down_by_means() -> None:
    small = np.zeros((LARGEST_SIDE, 2, 3), np.uint8)
    assert fitted(small) is small
    halves = np.zeros((2 * LARGEST_SIDE, 4, 3), np.uint8)
    halves[::2] = 100
    found = fitted(halves)
    assert found.shape == (LARGEST_SIDE, 2, 3)
    assert set(np.unique(found)) == {50}


def test_the_page_names_every_frame_with_its_time(content: Content) -> None:
    page = render_page(content)
    section = page[page.index('<section id="paths"') : page.index('<section id="segmentation"')]
    reader = Reader(section)
    alternatives = [attrs["alt"] for tag, attrs in reader.tags if tag == "img"]
    forward = [f"Image to mask, tile_a, at t{SPACE}={SPACE}{t:g}" for t in FILM_TIMES]
    backward = [f"Mask to image, tile_a, at t{SPACE}={SPACE}{t:g}" for t in reversed(FILM_TIMES)]
    assert alternatives == forward + backward
    assert f"in 25{SPACE}Euler steps either way" in reader.text


def test_a_page_without_films_has_neither_their_section_nor_a_link_to_it(content: Content) -> None:
    assert "paths" not in render_page(replace(content, films=()))
