"""The picture of docs/app.md: the page of `semflow app`, on a wide screen and on a phone.

    pip install -c constraints.txt -e '.[test-app]'
    python -m bench.app

Starts the page with the checkpoint of the repository, synthesizes in the system's Chromium, and
writes docs/app.png: both side by side. `--out DIR` keeps both whole, as 1280.png and 390.png.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from tools.closure import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
"""Names of what the page is opened in."""
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SCREENS = {1280: (900, "light"), 390: (844, "dark")}
"""Width: height, pixels, and what the system prefers."""
OUT = ROOT / "docs" / "app.png"
HEIGHT, GAP, COLORS, KMEANS = 1000, 24, 256, 3
SECONDS = 120
"""Until something has to be there."""


def main() -> None:
    """Writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as temporary, served() as url, chromium() as browser:
        folder = Path(temporary) if out is None else out
        folder.mkdir(parents=True, exist_ok=True)
        shots = [shot(browser, url, width, folder) for width in SCREENS]
        side_by_side(shots).save(OUT, optimize=True)


def found_chromium() -> str | None:
    """The program, if the system has it."""
    return next((path for name in CHROMIUM if (path := shutil.which(name))), None)


@contextmanager
def served(*arguments: str) -> Iterator[str]:
    """`semflow app` in a process of its own, ended with the block; the address of its page.

    Args:
        arguments: More of the command's.

    Raises:
        RuntimeError: The process ends before the page is there.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "semflow.cli.main", "app", "--port", str(port), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline().decode()
            if url not in said:
                raise RuntimeError(f"semflow app said: {said}{process.stdout.read().decode()}")
            yield url
        finally:
            process.terminate()


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium without a window, which asks nobody for anything by itself."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found_chromium(), args=list(FLAGS))
        yield browser
        browser.close()


def opened(context: BrowserContext, url: str) -> Page:
    """A page that shows its first segmentation."""
    page = context.new_page()
    page.set_default_timeout(SECONDS * 1000)
    page.goto(url)
    page.wait_for_selector("#segmentation img")
    page.wait_for_selector("#canvas canvas")
    return page


def synthesize(page: Page) -> None:
    """Presses the button and waits for new results."""
    before = page.locator("#round-trips").inner_html()
    page.get_by_role("button", name="Synthesize", exact=True).click()
    ends = time.monotonic() + SECONDS
    while (
        page.locator("#round-trips").inner_html() == before
        or not page.locator("#round-trips img").count()
    ):
        if time.monotonic() > ends:
            raise TimeoutError("no syntheses came")
        page.wait_for_timeout(100)


def shot(browser: Browser, url: str, width: int, folder: Path) -> Path:
    """The whole page on a screen of a width, with syntheses: the file."""
    height, scheme = SCREENS[width]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = opened(context, url)
    synthesize(page)
    # Until the marks of progress have faded.
    page.wait_for_timeout(1500)
    path = folder / f"{width}.png"
    page.screenshot(path=path, full_page=True)
    context.close()
    return path


def side_by_side(paths: Sequence[Path]) -> Image.Image:
    """The tops of pictures, made equally high, in few colours."""
    wide, narrow = (Image.open(path).convert("RGB") for path in paths)
    wide = wide.resize((HEIGHT * wide.width // wide.height, HEIGHT), Image.Resampling.LANCZOS)
    # The phone's whole page would be too small to read.
    narrow = narrow.crop((0, 0, narrow.width, min(narrow.height, narrow.width * 5 // 2)))
    narrow = narrow.resize(
        (HEIGHT * narrow.width // narrow.height, HEIGHT), Image.Resampling.LANCZOS
    )
    both = Image.new("RGB", (wide.width + GAP + narrow.width, HEIGHT), "white")
    both.paste(wide, (0, 0))
    both.paste(narrow, (wide.width + GAP, 0))
    # Median cut alone gives small areas, such as a class in a legend, the colour of others.
    return both.quantize(COLORS, kmeans=KMEANS)


def free_port() -> int:
    """One that nothing listens on at this moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


if __name__ == "__main__":
    main()
