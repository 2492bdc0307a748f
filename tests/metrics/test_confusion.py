from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix, MulticlassJaccardIndex

from semflow.metrics.confusion import ConfusionMatrix, areas_by_image

IGNORE = 255
CLASSES = 4


def counted(prediction: Tensor, label: Tensor, num_classes: int) -> ConfusionMatrix:
    matrix = ConfusionMatrix(num_classes, ignore_index=IGNORE)
    matrix.update(prediction, label)
    return matrix


def image(*pixels: int) -> Tensor:
    return torch.tensor(pixels).view(1, 1, -1)


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    seed = draw(st.integers(0, 2**31))
    count = draw(st.integers(1, 6))
    generator = torch.Generator().manual_seed(seed)
    shape = (count, 3, 5)
    prediction = torch.randint(-1, CLASSES + 1, shape, generator=generator)
    label = torch.randint(0, CLASSES, shape, generator=generator)
    ignored = torch.rand(shape, generator=generator) < draw(st.sampled_from((0.0, 0.3, 1.0)))
    return prediction, torch.where(ignored, IGNORE, label)


def test_scores_of_six_pixels_are_those_worked_by_hand() -> None:
    # Class 0: 2 right, 3 labelled, 2 predicted. Class 1: 1, 2, 3. The last pixel is ignored.
    matrix = counted(image(0, 0, 1, 1, 1, 0), image(0, 0, 0, 1, 1, IGNORE), 3)
    assert matrix.counts.tolist() == [[2, 1, 0, 0], [0, 2, 0, 0], [0, 0, 0, 0]]
    torch.testing.assert_close(
        matrix.iou_per_class,
        torch.tensor([2 / 3, 2 / 3, torch.nan], dtype=torch.float64),
        equal_nan=True,
    )
    assert matrix.miou == pytest.approx(2 / 3)
    assert matrix.pixel_accuracy == pytest.approx(4 / 5)


def test_a_class_that_is_only_predicted_lowers_the_mean() -> None:
    matrix = counted(image(0, 0, 0, 2), image(0, 0, 0, 0), 3)
    assert matrix.iou_per_class[2] == 0
    assert matrix.miou == pytest.approx((3 / 4 + 0) / 2)


def test_a_prediction_that_is_no_class_is_wrong_but_accuses_no_other_class() -> None:
    for nothing in (255, 2, -1):
        matrix = counted(image(0, nothing, 1), image(0, 0, 1), 2)
        assert matrix.counts.tolist() == [[1, 0, 1], [0, 1, 0]]
        assert matrix.iou_per_class.tolist() == [0.5, 1.0]


def test_torchmetrics_alone_counts_such_a_prediction_for_another_label_or_fails() -> None:
    other = MulticlassConfusionMatrix(2, ignore_index=IGNORE)
    other.update(image(0, 2, 1), image(0, 0, 1))
    # The wrong pixel has label 0 and stands in the row of label 1.
    assert other.compute().tolist() == [[1, 0], [1, 1]]
    with pytest.raises(RuntimeError, match="shape"):
        other.update(image(0, 255, 1), image(0, 0, 1))


def test_torchmetrics_jaccard_index_tells_no_absent_class_from_a_missed_one() -> None:
    other = MulticlassJaccardIndex(3, average="none", ignore_index=IGNORE)
    other.update(image(0, 0), image(0, 1))
    assert other.compute().tolist() == [0.5, 0, 0]
    assert counted(image(0, 0), image(0, 1), 3).miou == pytest.approx(0.5 / 2)


def test_the_mean_is_over_the_data_set_and_not_over_images() -> None:
    matrix = ConfusionMatrix(2, ignore_index=IGNORE)
    matrix.update(image(0, 0, 0, 0), image(0, 0, 0, 0))
    matrix.update(image(0, 0, 0, 1), image(1, 1, 1, 1))
    # Per image class 1 would score 1/4 and class 0 would score 1 and 0.
    assert matrix.iou_per_class.tolist() == [4 / 7, 1 / 4]


def test_without_a_counted_pixel_every_score_is_nan() -> None:
    matrix = counted(image(0, 1), image(IGNORE, IGNORE), 2)
    assert matrix.iou_per_class.isnan().all()
    assert matrix.miou != matrix.miou
    assert matrix.pixel_accuracy != matrix.pixel_accuracy


def test_byte_maps_with_more_than_sixteen_classes_do_not_overflow() -> None:
    label = torch.arange(171, dtype=torch.uint8).view(1, 1, -1)
    assert counted(label, label, 171).miou == 1


@given(batches())
def test_miou_equals_torchmetrics_macro_jaccard(batch: tuple[Tensor, Tensor]) -> None:
    prediction, label = batch[0].clamp(0, CLASSES - 1), batch[1]
    other = MulticlassJaccardIndex(CLASSES, average="macro", ignore_index=IGNORE)
    expected = float(other(prediction, label))
    assert counted(prediction, label, CLASSES).miou == pytest.approx(expected, nan_ok=True)


@given(batches(), st.data())
def test_any_partition_of_a_split_adds_up_to_the_same_counts(
    batch: tuple[Tensor, Tensor], data: st.DataObject
) -> None:
    prediction, label = batch
    cut = data.draw(st.integers(0, len(label)))
    parts = counted(prediction[:cut], label[:cut], CLASSES)
    parts.merge_state(counted(prediction[cut:], label[cut:], CLASSES))
    assert torch.equal(parts.counts, counted(prediction, label, CLASSES).counts)


@given(batches())
def test_the_right_answer_scores_one(batch: tuple[Tensor, Tensor]) -> None:
    label = batch[1].clamp(max=CLASSES - 1)
    perfect = counted(label, label, CLASSES)
    assert perfect.miou == perfect.pixel_accuracy == 1


@pytest.mark.parametrize(
    ("prediction", "label", "complaint"),
    [
        (image(0, 1), image(0), "must have one shape"),
        (torch.zeros(1, 2, 3, 3).long(), torch.zeros(1, 3, 3).long(), "argmax"),
        (image(0).float(), image(0), "prediction is torch.float32"),
        (image(0), image(0).double(), "label is torch.float64"),
        (image(0, 0), image(0, 7), "label 7 is outside 0..1"),
        (image(0, 0), image(0, -1), "label -1 is outside 0..1"),
    ],
)
def test_a_wrong_map_is_refused_and_not_counted(
    prediction: Tensor, label: Tensor, complaint: str
) -> None:
    matrix = ConfusionMatrix(2, ignore_index=IGNORE)
    with pytest.raises(ValueError, match=complaint):
        matrix.update(prediction, label)
    assert not matrix.counts.any()


def test_settings_without_a_meaning_are_refused() -> None:
    with pytest.raises(ValueError, match="num_classes is 0"):
        ConfusionMatrix(0)
    with pytest.raises(ValueError, match="ignore_index 255 is one of 300 classes"):
        ConfusionMatrix(300)


def test_areas_of_images_are_pixels_right_labelled_and_predicted_and_add_up_to_the_matrix() -> None:
    prediction = torch.tensor([0, 1, 1, 9, 0, 1])
    label = torch.tensor([0, 0, 1, 1, 255, 1])
    image = torch.tensor([0, 0, 0, 1, 1, 1])
    areas = areas_by_image(prediction, label, image, 3, 2)
    assert areas.tolist() == [
        [[1, 1], [2, 1], [1, 2]],
        [[0, 1], [0, 2], [0, 1]],
        [[0, 0], [0, 0], [0, 0]],
    ]
    counts = ConfusionMatrix(2)
    counts.update(prediction, label)
    right, labelled, predicted = areas.sum(dim=0).double()
    assert torch.equal(right / (labelled + predicted - right), counts.iou_per_class)
