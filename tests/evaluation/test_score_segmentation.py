from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling
from cityscapesscripts.helpers.labels import id2label, labels, trainId2label
from numpy.typing import NDArray
from PIL import Image
from torchmetrics.classification import MulticlassJaccardIndex

from semflow.core.errors import UserError
from semflow.datasets.cityscapes import TRAIN_IDS
from semflow.evaluation.score_files import LabelIds
from semflow.evaluation.score_segmentation import (
    SegmentationProtocol,
    SegmentationScores,
    score_segmentation,
)

SHAPE = (24, 40)
FRAMES = [f"{city}_{n:06d}_000019" for city in ("lindau", "munster") for n in range(3)]
CLASSES = 4


def save(label: NDArray[np.uint8], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(label).save(path)


def score(
    folder: Path,
    num_classes: int = CLASSES,
    prediction_ids: LabelIds = "train",
    truth_ids: LabelIds = "train",
    background: int | None = None,
) -> SegmentationScores:
    protocol = SegmentationProtocol(num_classes, prediction_ids, truth_ids, background)
    return score_segmentation(folder / "predictions", folder / "truth", protocol)


def row(*ids: int) -> NDArray[np.uint8]:
    return np.array([ids], np.uint8)


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """One image: class 0 has 2 of 3 right, class 1 has 1 of 2, class 2 one wrong; 1 ignored."""
    save(row(0, 0, 0, 1, 1, 2, 255), tmp_path / "truth" / "a.png")
    save(row(0, 0, 1, 1, 0, 0, 2), tmp_path / "predictions" / "a.png")
    return tmp_path


def test_scores_of_seven_pixels_are_those_worked_by_hand(pair: Path) -> None:
    scores = score(pair, background=0)
    # 2 hits of 3 labelled and 4 predicted; 1 of 2 and 2; none of 1; class 3 does not occur.
    assert scores.iou_per_class == pytest.approx([2 / 5, 1 / 3, 0, None])
    assert scores.miou == pytest.approx((2 / 5 + 1 / 3) / 3)
    assert scores.miou_without_background == pytest.approx((1 / 3) / 2)
    assert scores.pixel_accuracy == pytest.approx(3 / 6)
    assert scores.images == 1
    assert scores.ignored.model_dump() == {"index": 255, "pixels": 1, "predictions": 0}


def test_without_a_named_background_there_is_one_mean(pair: Path) -> None:
    assert score(pair).miou_without_background is None


def test_where_all_is_ignored_no_score_is_made_up(tmp_path: Path) -> None:
    for folder in ("truth", "predictions"):
        save(row(255, 255), tmp_path / folder / "a.png")
    scores = score(tmp_path)
    assert scores.miou is scores.pixel_accuracy is None
    assert scores.iou_per_class == [None] * CLASSES


def test_miou_is_torchmetrics_jaccard_index_over_the_data_set(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    other = MulticlassJaccardIndex(CLASSES, average="macro", ignore_index=255)
    for name in "abc":
        label = random.choice([0, 1, 2, 2, 2, 255], SHAPE).astype(np.uint8)
        guess = random.choice([0, 1, 2], SHAPE).astype(np.uint8)
        save(label, tmp_path / "truth" / f"{name}.png")
        save(guess, tmp_path / "predictions" / f"{name}.png")
        other.update(torch.from_numpy(guess)[None].int(), torch.from_numpy(label)[None].int())
    assert score(tmp_path).miou == pytest.approx(float(other.compute()), rel=1e-6)


def cityscapes_pair(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Label ids of a truth, ignored ones among them, and of a prediction that is often right."""
    random = np.random.default_rng(seed)
    known = [label.id for label in labels if label.id >= 0 and label.id != 17]
    truth = random.choice(known, SHAPE).astype(np.uint8)
    # Some predictions are ids that are not evaluated; pole (17) is predicted but never true, and
    # no bus (28) is predicted at all.
    guesses = [i for i in (*known, 17) if i != 28]
    guess = np.where(random.random(SHAPE) < 0.6, truth, random.choice(guesses, SHAPE))
    return np.where(guess == 28, 0, guess).astype(np.uint8), truth


@pytest.fixture
def cityscapes(tmp_path: Path) -> Path:
    """Six small frames as the data set stores them, with predictions in label and train ids."""
    for seed, frame in enumerate(FRAMES):
        guess, truth = cityscapes_pair(seed)
        city = frame.split("_")[0]
        save(truth, tmp_path / "truth" / city / f"{frame}_gtFine_labelIds.png")
        save(guess, tmp_path / "predictions" / f"{frame}_pred.png")
        to_train = np.array([id2label[i].trainId % 256 for i in range(34)], np.uint8)
        save(to_train[guess], tmp_path / "train" / "predictions" / city / f"{frame}.png")
    (tmp_path / "train" / "truth").symlink_to(tmp_path / "truth")
    return tmp_path


def official_scores(predictions: Path, truths: Sequence[Path]) -> tuple[float, list[float]]:
    """Mean and IoU of each train id by cityscapesscripts."""
    official = evalPixelLevelSemanticLabeling
    arguments = copy.copy(official.args)
    arguments.evalInstLevelScore = arguments.JSONOutput = False
    arguments.quiet = True
    arguments.predictionPath = str(predictions)
    paths = [str(path) for path in truths]
    found = [official.getPrediction(arguments, path) for path in paths]
    result = official.evaluateImgLists(found, paths, arguments)
    per_class = [result["classScores"][trainId2label[i].name] for i in range(19)]
    return result["averageScoreClasses"], per_class


def test_label_ids_become_the_train_ids_of_the_official_tools() -> None:
    official = {label.id: label.trainId for label in labels if label.id >= 0}
    assert {raw: TRAIN_IDS[raw] for raw in official} == official


@pytest.mark.parametrize("ids", ["cityscapes", "train"])
def test_scores_are_those_of_the_official_cityscapes_evaluator(
    cityscapes: Path, ids: LabelIds
) -> None:
    truths = sorted((cityscapes / "truth").glob("*/*_labelIds.png"))
    mean, per_class = official_scores(cityscapes / "predictions", truths)
    folder = cityscapes if ids == "cityscapes" else cityscapes / "train"
    scores = score(folder, 19, prediction_ids=ids, truth_ids="cityscapes")
    assert scores.images == len(FRAMES)
    assert scores.iou_per_class == pytest.approx(per_class, abs=1e-6)
    assert scores.miou == pytest.approx(mean, abs=1e-6)
    assert 0.2 < mean < 0.9
    assert per_class[15] == per_class[5] == 0  # bus and pole


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ((0, "train", "train", None), "num-classes is 0"),
        ((256, "train", "train", None), "num-classes is 256"),
        ((4, "cityscapes", "train", None), "cityscapes ids have 19"),
        ((4, "train", "cityscapes", None), "cityscapes ids have 19"),
        ((4, "train", "train", 4), "give a class, 0 to 3"),
    ],
)
def test_settings_that_do_not_fit_each_other_are_refused(
    settings: tuple[int, LabelIds, LabelIds, int | None], complaint: str
) -> None:
    with pytest.raises(UserError, match=complaint):
        SegmentationProtocol(*settings)


def refusal(folder: Path, num_classes: int = CLASSES, ids: LabelIds = "train") -> str:
    with pytest.raises(UserError) as caught:
        score(folder, num_classes, prediction_ids=ids)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_another_size_is_refused_with_both_sizes(pair: Path) -> None:
    save(np.zeros((2, 7), np.uint8), pair / "predictions" / "a.png")
    message = refusal(pair)
    assert "7x2" in message
    assert "7x1" in message


def test_unknown_ids_are_refused_with_the_file_and_the_id(pair: Path) -> None:
    save(row(0, 0, 1, 1, 0, 4, 2), pair / "predictions" / "a.png")
    assert "predictions/a.png as train ids of 4 classes: label id 4" in refusal(pair)
    save(row(0, 0, 1, 1, 0, 34, 2), pair / "predictions" / "a.png")
    assert "label id 34" in refusal(pair, 19, ids="cityscapes")


def test_what_is_no_label_is_refused(pair: Path) -> None:
    Image.new("RGB", (7, 1)).save(pair / "predictions" / "a.png")
    assert "mode RGB" in refusal(pair)
    (pair / "predictions" / "a.png").write_text("text")
    assert "unreadable" in refusal(pair)
