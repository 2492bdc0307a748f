from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.tiny import random_images, random_label, tiny_pipeline

from semflow.app import compute
from semflow.app.handlers import Handlers, agreeing
from semflow.app.inputs import find_examples
from semflow.core.errors import UserError
from semflow.pipeline import SemFlowPipeline


@pytest.fixture
def handlers(tmp_path: Path, moving_pipeline: SemFlowPipeline) -> Handlers:
    """Two examples, the first with a label."""
    for number, pixels in enumerate(random_images(2)):
        Image.fromarray(pixels).save(tmp_path / f"{number}-image.png")
    Image.fromarray(random_label(0)).save(tmp_path / "0-label.png")
    return Handlers(moving_pipeline, find_examples(tmp_path, tmp_path))


def pictures(html: str) -> list[Image.Image]:
    """The images of a piece of HTML, in order."""
    found = re.findall(r'<img src="data:image/png;base64,([^"]+)"', html)
    return [Image.open(io.BytesIO(base64.b64decode(one))) for one in found]


def saved(html: str, name: str) -> np.ndarray:
    """The pixels, or ids, of a file that a piece of HTML lets the visitor save."""
    [found] = re.findall(f'download="{re.escape(name)}" href="data:image/png;base64,([^"]+)"', html)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(found))))


def opaque(canvas: np.ndarray) -> np.ndarray:
    """A canvas as the editor gives it back."""
    return np.dstack([canvas, np.full(canvas.shape[:2], 255, np.uint8)])


def test_a_picked_example_is_segmented_and_held_against_its_label(handlers: Handlers) -> None:
    chosen = handlers.pick(0, 3)
    expected = compute.segment(handlers.pipeline, chosen.image, 3)
    assert np.array_equal(chosen.found, expected)
    html = handlers.segmentation(chosen, 0.5)
    assert "Segmentation, 3 steps" in html
    assert agreeing(compute.agreement(expected, random_label(0), 4)) in html
    assert np.array_equal(saved(html, "0.label.png"), expected)
    laid = compute.overlay(chosen.image, expected, handlers.colors, 0.5)
    assert np.array_equal(saved(html, "0.overlay.png"), laid)
    assert np.array_equal(handlers.start_label(chosen), random_label(0))


def test_where_no_label_is_known_the_page_says_so_and_paints_on_what_was_found(
    handlers: Handlers,
) -> None:
    chosen = handlers.pick(1, 1)
    assert "Segmentation, 1 step<" in (html := handlers.segmentation(chosen, 1.0))
    assert "not known" in html
    assert np.array_equal(handlers.start_label(chosen), chosen.found)


def test_another_number_of_steps_changes_the_answer_and_nothing_else(handlers: Handlers) -> None:
    chosen = handlers.pick(0, 1)
    again = handlers.again(chosen, 8)
    assert again.num_steps == 8
    assert np.array_equal(again.image, chosen.image)
    assert np.array_equal(again.found, compute.segment(handlers.pipeline, chosen.image, 8))


def test_an_upload_of_any_size_is_segmented(handlers: Handlers, tmp_path: Path) -> None:
    Image.new("RGB", (50, 30), (200, 10, 10)).save(tmp_path / "red.jpg")
    chosen = handlers.upload(tmp_path / "red.jpg", 1)
    assert (chosen.name, chosen.image.shape, chosen.known) == ("red", (16, 16, 3), None)


def test_the_filmstrip_shows_every_frame_with_its_time(handlers: Handlers) -> None:
    html = handlers.filmstrip(handlers.pick(0, 2))
    assert len(pictures(html)) == compute.FRAMES
    assert "t = 0.125" in html
    assert 'alt="0 on its way to the mask, at time 1"' in html


def test_a_painted_canvas_is_synthesized_and_segmented_again(handlers: Handlers) -> None:
    label = random_label(5)
    html = handlers.round_trips(opaque(handlers.canvas(label)), 7.0, 2, 3)
    assert np.array_equal(saved(html, "painted.label.png"), label)
    trips = compute.round_trips(handlers.pipeline, label, 7, 2, 3)
    for k, trip in enumerate(trips):
        assert np.array_equal(saved(html, f"synthesis.7.{k}.png"), trip.image)
        assert np.array_equal(saved(html, f"synthesis.7.{k}.label.png"), trip.label)
        assert agreeing(trip.agreement) in html
    assert all(re.findall(r'<img [^>]*alt="([^"]*)"', html))


@pytest.mark.parametrize("seed", [-1.0, 0.5, 2.0**60])
def test_a_seed_that_is_no_whole_number_is_refused(handlers: Handlers, seed: float) -> None:
    painted = opaque(handlers.canvas(handlers.blank_label()))
    with pytest.raises(UserError, match="the seed must be a whole number"):
        handlers.round_trips(painted, seed, 1, 1)


def test_an_uploaded_label_with_an_unknown_id_is_refused(
    handlers: Handlers, tmp_path: Path
) -> None:
    Image.new("L", (16, 16), 9).save(tmp_path / "strange.png")
    with pytest.raises(UserError, match=r"^strange\.png: label id 9 is outside 0\.\.3"):
        handlers.uploaded_label(tmp_path / "strange.png")


def test_the_canvas_begins_with_the_first_examples_label_or_blank(handlers: Handlers) -> None:
    assert np.array_equal(handlers.first_label(), random_label(0))
    assert not Handlers(tiny_pipeline(), []).first_label().any()


def test_an_example_that_is_not_there_is_refused(handlers: Handlers) -> None:
    with pytest.raises(UserError, match="there is no example 3; choose one of 2"):
        handlers.pick(2, 1)
