"""The page as visitors have it: `semflow app` as a process, Chromium, the shipped checkpoint."""

from __future__ import annotations

import base64
import importlib.util
import io
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from bench.app import chromium, found_chromium, opened, served, synthesize
from semflow.app.compute import agreement, overlay
from semflow.app.handlers import agreeing
from semflow.pipeline import SemFlowPipeline, load_pipeline
from tools.closure import ROOT

pytestmark = pytest.mark.browser

CHECKPOINT = ROOT / "pretrained" / "robots"
EXAMPLES = ROOT / "pretrained" / "robots-examples"
LOOPBACK = "127.0.0.1"
BODY, FACE = 1, 2
PHONE, SCREEN = {"width": 390, "height": 844}, {"width": 1280, "height": 1600}
Page = Any


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    for package in ("gradio", "playwright"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed; run make test-app")
    if found_chromium() is None:
        pytest.skip("the system has no Chromium")
    with served() as address:
        yield address


@pytest.fixture(scope="module")
def browser(url: str) -> Iterator[Any]:
    assert url
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def pipeline() -> SemFlowPipeline:
    return load_pipeline(CHECKPOINT)


@pytest.fixture
def page(browser: Any, url: str) -> Iterator[Page]:
    """The page on a wide screen; a request to another machine fails the test."""
    context = browser.new_context(viewport=SCREEN)
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    yield opened(context, url)
    context.close()
    hosts = {urlsplit(one.removeprefix("blob:")).hostname for one in asked}
    assert hosts - {None} == {LOOPBACK}


def decoded(source: str) -> np.ndarray:
    """The pixels, or ids, of a data URL."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.partition("base64,")[2]))))


def saved(page: Page, name: str, folder: Path) -> np.ndarray:
    """Clicks a link and reads what Chromium saved."""
    with page.expect_download() as waiting:
        page.locator(f'a[download="{name}"]').click()
    waiting.value.save_as(folder / name)
    return np.asarray(Image.open(folder / name))


def example(number: int) -> tuple[Image.Image, np.ndarray]:
    """An example's image and its true label."""
    label = np.asarray(Image.open(EXAMPLES / f"{number}-label.png"))
    return Image.open(EXAMPLES / f"{number}-image.png"), label


def upload(page: Page, button: str, path: Path) -> None:
    """Chooses a file as a visitor does."""
    with page.expect_file_chooser() as waiting:
        page.get_by_role("button", name=button).click()
    waiting.value.set_files(path)


def paint(page: Page, brush: str, *points: tuple[float, float]) -> None:
    """Draws a line over the canvas with a class's brush; points are shares of its sides."""
    page.locator("#brushes button", has_text=brush).click()
    page.wait_for_selector(f'#brushes [aria-pressed="true"]:has-text("{brush}")')
    settled(page)
    box = page.locator("#canvas canvas").first.bounding_box()
    side = drawn_side(page)
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    places = [(middle[0] + (x - 0.5) * side, middle[1] + (y - 0.5) * side) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places:
        page.mouse.move(*place, steps=8)
    page.mouse.up()
    settled(page)


def settled(page: Page) -> None:
    """Waits until no answer is on its way, and what came is drawn."""
    page.wait_for_timeout(300)
    page.wait_for_function("!/processing|queue/.test(document.body.innerText)")
    page.wait_for_timeout(1000)


def drawn_side(page: Page) -> float:
    """How wide the label map is drawn, pixels of the screen, by the editor's own zoom."""
    zoom = page.locator("#canvas").inner_text()
    return 448 * float(re.findall(r"(\d+)%", zoom)[0]) / 100


def test_an_example_is_picked_and_segmented_as_the_pipeline_does(
    page: Page, pipeline: SemFlowPipeline, tmp_path: Path
) -> None:
    page.get_by_role("button", name="Example 3").click()
    page.wait_for_selector('img[alt="The image 3"]')
    image, label = example(3)
    [expected] = pipeline.segment(image)
    shown = page.locator("#segmentation")
    assert agreeing(agreement(expected, label, 6)) in shown.inner_text()
    legend = shown.locator(".legend").inner_text()
    assert all(name in legend for name in ("background", "body", "face", "mouth", "eyes"))
    assert np.array_equal(saved(page, "3.label.png", tmp_path), expected)
    assert page.locator("#film img").count() == 9
    assert page.locator("img:not([alt])").count() == 0


def test_steps_and_opacity_change_what_is_shown(page: Page, pipeline: SemFlowPipeline) -> None:
    page.get_by_label("Steps from image to mask").first.fill("1")
    page.keyboard.press("Tab")
    page.wait_for_selector("text=Segmentation, 1 step")
    image, _ = example(0)
    [expected] = pipeline.segment(image, 1)
    page.get_by_label("Opacity of the segmentation, %").first.fill("100")
    page.keyboard.press("Tab")
    wanted = overlay(np.asarray(image.convert("RGB")), expected, pipeline.config.class_colors, 1.0)
    for _ in range(100):
        source = page.get_by_alt_text("The segmentation of 0").get_attribute("src")
        if np.array_equal(decoded(source), wanted):
            return
        page.wait_for_timeout(200)
    pytest.fail("the overlay never became opaque")


def test_a_painted_stroke_becomes_its_class_and_the_syntheses_follow(
    page: Page, pipeline: SemFlowPipeline, tmp_path: Path
) -> None:
    page.get_by_role("button", name="All background").click()
    settled(page)
    paint(page, "face", (0.25, 0.5), (0.75, 0.5))
    paint(page, "body", (0.5, 0.9), (0.5, 0.85))
    page.get_by_label("Seed").fill("7")
    synthesize(page)
    label = saved(page, "painted.label.png", tmp_path)
    assert np.unique(label).tolist() == [0, BODY, FACE]
    assert (label[32, 20:44] == FACE).all()
    assert label[57, 32] == BODY
    assert (label == FACE).mean() < 0.2
    made = pipeline.synthesize([label] * 3, seed=7)
    for k, image in enumerate(made):
        assert np.array_equal(saved(page, f"synthesis.7.{k}.png", tmp_path), np.asarray(image))
        [again] = pipeline.segment(image)
        assert np.array_equal(saved(page, f"synthesis.7.{k}.label.png", tmp_path), again)
        assert agreeing(agreement(again, label, 6)) in page.locator("#round-trips").inner_text()


def test_an_uploaded_label_is_synthesized_with_every_id_kept(page: Page, tmp_path: Path) -> None:
    _, label = example(5)
    upload(page, "Upload a label map", EXAMPLES / "5-label.png")
    settled(page)
    synthesize(page)
    assert np.array_equal(saved(page, "painted.label.png", tmp_path), label)


def test_a_picked_example_replaces_what_was_painted(page: Page, tmp_path: Path) -> None:
    paint(page, "accessory", (0.1, 0.1), (0.9, 0.1))
    page.get_by_role("button", name="Example 2").click()
    page.wait_for_selector('img[alt="The image 2"]')
    settled(page)
    synthesize(page)
    assert np.array_equal(saved(page, "painted.label.png", tmp_path), example(2)[1])


def test_an_uploaded_photo_of_another_size_is_segmented(page: Page, tmp_path: Path) -> None:
    example(1)[0].convert("RGB").resize((300, 200)).save(tmp_path / "my photo.jpg")
    upload(page, "Upload an image", tmp_path / "my photo.jpg")
    page.wait_for_selector("text=The true label of this image is not known.")
    source = page.get_by_alt_text("The image my photo").get_attribute("src")
    assert decoded(source).shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("button", "complaint"),
    [("Upload an image", "cannot take this file"), ("Upload a label map", "cannot take this file")],
)
def test_a_bad_upload_is_one_line_of_text(
    page: Page, tmp_path: Path, button: str, complaint: str
) -> None:
    path = tmp_path / "<b>bad.png"
    path.write_text("no image", encoding="utf-8")
    upload(page, button, path)
    said = page.get_by_text(complaint)
    said.wait_for()
    assert "unreadable" in said.inner_text()
    assert "\n" not in said.inner_text().strip()
    assert said.locator("b").count() == 0
    # What was there stays.
    assert page.locator('img[alt="The image 0"]').count() == 1


def test_a_phone_shows_the_page_without_scrolling_aside_and_dark_where_the_system_is(
    browser: Any, url: str
) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        context = browser.new_context(viewport=PHONE, color_scheme=scheme)
        page = opened(context, url)
        assert page.evaluate("document.scrollingElement.scrollWidth") <= PHONE["width"]
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        context.close()
    light, dark = (sum(map(int, re.findall(r"\d+", ground)[:3])) for ground in grounds)
    assert light > 600 > 150 > dark


def test_a_port_that_is_taken_is_one_line_and_exit_code_2(url: str) -> None:
    port = str(urlsplit(url).port)
    command = [sys.executable, "-m", "semflow.cli.main", "app", "--port", port]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: cannot listen on {LOOPBACK}, port {port} (")
    assert done.stderr.count("\n") == 1


def test_the_page_is_reached_from_this_machine_only(url: str) -> None:
    port = urlsplit(url).port
    assert port is not None
    addresses = {one[4][0] for one in socket.getaddrinfo(socket.gethostname(), port)}
    for address in addresses - {LOOPBACK, "::1", "127.0.1.1"}:
        with socket.socket(socket.AF_INET6 if ":" in str(address) else socket.AF_INET) as one:
            assert one.connect_ex((str(address), port)) != 0
