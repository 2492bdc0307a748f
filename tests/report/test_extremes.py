"""The worst and the best samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from report.page_reader import Reader
from support.tiny import shard_folder

from semflow.core.errors import UserError
from semflow.evaluation.details import SegmentationDetails
from semflow.report.content import Content
from semflow.report.extremes import Extremes, choose, deciles, make_extremes
from semflow.report.page import render_page
from semflow.shards.reading import ShardFolder
from semflow.shards.tar import png_bytes

SPACE = "\N{NO-BREAK SPACE}"


class RedSegmenter:
    """Stands in for a checkpoint: segments by the red channel."""

    def segment(self, image: Image.Image) -> list[np.ndarray]:
        return [np.asarray(image)[:, :, 0] % 3]


@pytest.mark.parametrize(
    ("scores", "most", "expected"),
    [
        ([0.5, 0.1, None, 0.9, 0.3], 2, ([1, 4], [3, 0])),
        ([0.5, 0.1, None, 0.9, 0.3], 9, ([1, 4], [3, 0])),
        # Of equal scores the first counts as lower, so that nothing is at both ends.
        ([0.5, 0.5, 0.5, 0.5], 2, ([0, 1], [3, 2])),
        ([0.5], 2, ([], [])),
        ([None, None], 2, ([], [])),
    ],
)
def test_the_outermost_scores_are_chosen_and_none_twice(
    scores: list[float | None], most: int, expected: tuple[list[int], list[int]]
) -> None:
    assert choose(scores, most) == expected


def test_extremes_are_found_in_the_shards_by_their_keys(tmp_path: Path) -> None:
    images = [np.full((4, 4, 3), 10 * number, np.uint8) for number in range(5)]
    records = [
        (f"k{number}", {"image.png": png_bytes(image), "label.png": png_bytes(image[:, :, 0] % 2)})
        for number, image in enumerate(images)
    ]
    tested = ShardFolder(shard_folder(records, tmp_path, 2, {}))
    details = SegmentationDetails(
        steps=1, confusion=[[1, 0]], keys=["k4", "k0", "k2"], miou_by_image=[0.25, 0.75, 0.5]
    )
    pipeline: Any = RedSegmenter()
    found = make_extremes(pipeline, tested, details)
    (worst,), (best,) = found.worst, found.best
    assert (worst.key, worst.miou, best.key, best.miou) == ("k4", 0.25, "k0", 0.75)
    np.testing.assert_array_equal(worst.image, images[4])
    np.testing.assert_array_equal(worst.prediction, images[4][:, :, 0] % 3)
    lost = details.model_copy(update={"keys": ["k9", "k0", "k2"]})
    with pytest.raises(UserError, match=r"names 'k9', which is no tested sample; run: dvc repro"):
        make_extremes(pipeline, tested, lost)


def test_deciles_are_of_what_has_a_score() -> None:
    scores: list[float | None] = [number / 10 for number in range(11)]
    assert deciles([*scores, None]) == pytest.approx((0.1, 0.5, 0.9))
    assert deciles([0.5, None]) is None


def test_the_page_shows_both_ends_with_their_scores_in_order(content: Content) -> None:
    page = render_page(content)
    section = page[page.index('id="extremes"') : page.index('id="synthesis"')]
    texts = [section.index(text) for text in ("Worst</h3>", "12.4", "25.1", "Best</h3>", "75.3")]
    assert texts == sorted(texts)
    assert section.count("<img") == 4 * 3
    said = f"A tenth of the 5{SPACE}test images lie below 16.2{SPACE}%, half below 37.5{SPACE}%"
    assert said in Reader(page).text


def test_too_few_samples_leave_out_both_lists(content: Content) -> None:
    details = content.details.model_copy(update={"keys": ["a"], "miou_by_image": [0.5]})
    page = render_page(replace(content, extremes=Extremes((), ()), details=details))
    assert "Worst</h3>" not in page
    assert "A tenth of" not in page
