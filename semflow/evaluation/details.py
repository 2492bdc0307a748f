"""What the report shows of an evaluation beside its figures: confusion, and every image's score."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from semflow.core.files import write_json
from semflow.evaluation.results import Result, Score, read_result


class SegmentationDetails(Result):
    """One segmenter on the tested images.

    steps: Solver steps, those of the checkpoint's default.
    confusion: Pixels by label and prediction, K rows of K + 1; the last column is no class.
    keys: Of the tested samples, in order.
    miou_by_image: In the same order: the mean IoU over the classes that the image's label or
        prediction holds; null where no pixel of it has a class.
    """

    steps: int
    confusion: list[list[int]] = Field(min_length=1)
    keys: list[str]
    miou_by_image: list[Score]

    @model_validator(mode="after")
    def _sizes_agree(self) -> SegmentationDetails:
        columns = len(self.confusion) + 1
        if any(len(row) != columns or min(row) < 0 for row in self.confusion):
            raise ValueError(f"the confusion matrix is not of rows of {columns} counts")
        if len(self.keys) != len(self.miou_by_image):
            raise ValueError(f"{len(self.keys)} keys, {len(self.miou_by_image)} scores")
        return self


class Details(Result):
    """The whole of details.json; null of a checkpoint that does not segment."""

    segmentation: SegmentationDetails | None


def write_details(details: Details, path: Path) -> None:
    """Writes it with sorted keys."""
    write_json(path, details.model_dump(mode="json"))


def read_details(path: Path) -> Details:
    """Reads details.json.

    Raises:
        UserError: It is absent or of another version.
    """
    return read_result(path, Details)
