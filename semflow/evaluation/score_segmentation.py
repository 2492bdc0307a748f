"""Label PNGs of any system against the truth, as mmsegmentation and Cityscapes score them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from semflow.core.errors import UserError
from semflow.core.labels import IGNORE_INDEX
from semflow.core.progress import progress_over
from semflow.datasets.base import UnreadableSample
from semflow.datasets.cityscapes import TRAIN_IDS
from semflow.datasets.files import map_ids, read_label
from semflow.evaluation.results import Result, Score
from semflow.evaluation.score_files import LabelIds, match_labels
from semflow.metrics.confusion import ConfusionMatrix

CITYSCAPES_CLASSES = 1 + max(class_id for class_id in TRAIN_IDS.values() if class_id < IGNORE_INDEX)


class Ignored(Result):
    """What did not count.

    index: The class id of pixels without a class; pixels: of the truth that have it.
    predictions: Files that belong to no truth.
    """

    index: int
    pixels: int
    predictions: int


class SegmentationScores(Result):
    """From one confusion matrix over all images.

    miou: Mean over the classes that occur or are predicted; null if no pixel counted.
    miou_without_background: The same without the background's IoU; its pixels still count as
        errors of the other classes. Null where no background was named.
    pixel_accuracy: Null if no pixel counted.
    iou_per_class: In class order; null where a class neither occurs nor is predicted.
    """

    miou: Score
    miou_without_background: Score
    pixel_accuracy: Score
    iou_per_class: list[Score]
    images: int
    num_classes: int
    ignored: Ignored


@dataclass(frozen=True)
class SegmentationProtocol:
    """How label PNGs are read and scored.

    Args:
        num_classes: Class ids are 0 .. num_classes - 1, and 255 for ignore.
        prediction_ids, truth_ids: What the pixels mean.
        background: The class that `miou_without_background` leaves out.

    Raises:
        UserError: Cityscapes' ids with other than its 19 classes, or a background that is no class.
    """

    num_classes: int
    prediction_ids: LabelIds
    truth_ids: LabelIds
    background: int | None

    def __post_init__(self) -> None:
        """Checks that the settings fit each other."""
        if not 1 <= self.num_classes <= IGNORE_INDEX:
            raise UserError(f"num-classes is {self.num_classes}; give 1 to {IGNORE_INDEX}")
        cityscapes = "cityscapes" in (self.prediction_ids, self.truth_ids)
        if cityscapes and self.num_classes != CITYSCAPES_CLASSES:
            raise UserError(
                f"num-classes is {self.num_classes}; cityscapes ids have {CITYSCAPES_CLASSES}"
            )
        if self.background is not None and not 0 <= self.background < self.num_classes:
            raise UserError(
                f"background is {self.background}; give a class, 0 to {self.num_classes - 1}"
            )


def score_segmentation(
    predictions: Path, truth: Path, protocol: SegmentationProtocol
) -> SegmentationScores:
    """Scores a folder of label PNGs; one pair of them is in memory at a time.

    A predicted 255, or a Cityscapes id that is not evaluated, is wrong for the class of its label
    and accuses no other class, as in the official evaluator.

    Raises:
        UserError: Files do not match, differ in size, are unreadable or hold unknown ids.
    """
    matches = match_labels(predictions, truth, protocol.prediction_ids, protocol.truth_ids)
    confusion = ConfusionMatrix(protocol.num_classes, IGNORE_INDEX)
    ignored = 0
    pairs = matches.pairs.values()
    for guess_path, label_path in progress_over(pairs, len(pairs), "score", "images"):
        guess = _read(guess_path, protocol.prediction_ids, protocol.num_classes)
        label = _read(label_path, protocol.truth_ids, protocol.num_classes)
        if guess.shape != label.shape:
            raise UserError(
                f"{guess_path} is {guess.shape[1]}x{guess.shape[0]}, its truth is "
                f"{label.shape[1]}x{label.shape[0]}; resize the prediction by nearest pixel"
            )
        confusion.update(torch.from_numpy(guess)[None], torch.from_numpy(label)[None])
        ignored += int(np.count_nonzero(label == IGNORE_INDEX))
    return _scores(
        confusion,
        protocol,
        len(matches.pairs),
        Ignored(index=IGNORE_INDEX, pixels=ignored, predictions=len(matches.unused)),
    )


def _scores(
    confusion: ConfusionMatrix, protocol: SegmentationProtocol, images: int, ignored: Ignored
) -> SegmentationScores:
    background = protocol.background
    return SegmentationScores(
        miou=confusion.miou,
        miou_without_background=(
            None if background is None else confusion.miou_without(background)
        ),
        pixel_accuracy=confusion.pixel_accuracy,
        iou_per_class=confusion.iou_per_class.tolist(),
        images=images,
        num_classes=protocol.num_classes,
        ignored=ignored,
    )


def _read(path: Path, ids: LabelIds, num_classes: int) -> NDArray[np.uint8]:
    mapping = {class_id: class_id for class_id in (*range(num_classes), IGNORE_INDEX)}
    try:
        return map_ids(read_label(path), TRAIN_IDS if ids == "cityscapes" else mapping)
    except (UnreadableSample, OSError) as reason:
        raise UserError(
            f"cannot score {path} as {ids} ids of {num_classes} classes: {reason}; mend the file, "
            "or say which ids it holds"
        ) from None
