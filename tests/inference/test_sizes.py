"""Pictures of other sizes than the model's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from support.tiny import random_images, random_label
from support.tiny_data import SIZE

from semflow.core.errors import UserError
from semflow.inference.sizes import Fit, canvas_for
from semflow.networks.anchors import anchor_distances, nearest_anchor
from semflow.pipeline import SemFlowPipeline


def blocks(height: int, width: int) -> np.ndarray:
    """Label ids (height, width) that are constant over 8 x 8 pixels."""
    rows, columns = np.mgrid[:height, :width] // 8
    return ((rows + 2 * columns) % 4).astype(np.uint8)


@pytest.mark.parametrize("fit", ["resize", "window"])
def test_the_models_own_size_is_left_as_it_is(moving_pipeline: SemFlowPipeline, fit: Fit) -> None:
    images, labels = list(random_images(2)), [random_label(0), random_label(1)]
    for one, other in zip(
        moving_pipeline.segment(images), moving_pipeline.segment(images, fit=fit), strict=True
    ):
        assert np.array_equal(one, other)
    for one, other in zip(
        moving_pipeline.synthesize(labels), moving_pipeline.synthesize(labels, fit=fit), strict=True
    ):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("fit", ["resize", "window"])
def test_results_have_the_sizes_of_what_they_are_made_from(
    moving_pipeline: SemFlowPipeline, fit: Fit
) -> None:
    sizes = [(SIZE, SIZE), (37, 21), (5, 50), (16, 40), (1, 1), (1, 50), (50, 1)]
    pictures = [Image.fromarray(random_images(1)[0]).resize(size[::-1]) for size in sizes]
    assert [label.shape for label in moving_pipeline.segment(pictures, fit=fit)] == sizes
    made = moving_pipeline.synthesize([blocks(*size) for size in sizes], fit=fit)
    assert [image.size[::-1] for image in made] == sizes


@pytest.mark.parametrize("size", [(40, 24), (33, 16), (10, 50)])
def test_without_motion_windows_give_every_pixel_of_a_pseudo_mask_its_own_label(
    still_pipeline: SemFlowPipeline, size: tuple[int, int]
) -> None:
    label = np.random.default_rng(0).integers(0, 4, size).astype(np.uint8)
    colors = still_pipeline.palette.colorize(label)
    [found] = still_pipeline.segment(colors, fit="window")
    assert np.array_equal(found, label)
    [made] = still_pipeline.synthesize(label, amplitude=0.0, fit="window")
    assert np.array_equal(np.asarray(made), colors)


def test_without_motion_a_resized_pseudo_mask_keeps_its_regions(
    still_pipeline: SemFlowPipeline,
) -> None:
    label = blocks(16, 16).repeat(3, 0).repeat(2, 1)
    [found] = still_pipeline.segment(still_pipeline.palette.colorize(label), fit="resize")
    assert (found == label).mean() > 0.9
    [made] = still_pipeline.synthesize(label, amplitude=0.0, fit="resize")
    [again] = still_pipeline.segment(made, fit="resize")
    assert (again == label).mean() > 0.9


def test_every_network_sees_the_models_own_size_only(moving_pipeline: SemFlowPipeline) -> None:
    seen: set[tuple[int, ...]] = set()
    handle = moving_pipeline.unet.register_forward_pre_hook(
        lambda _, inputs: seen.add(tuple(inputs[0].shape))
    )
    try:
        moving_pipeline.synthesize(blocks(40, 24), fit="window")
    finally:
        handle.remove()
    assert len(seen) == 1
    assert seen.pop()[2:] == (SIZE // 4, SIZE // 4)


def test_neighbouring_windows_see_one_noise_and_a_batch_changes_nothing(
    moving_pipeline: SemFlowPipeline,
) -> None:
    labels = [blocks(40, 24), blocks(24, 40)]
    together = moving_pipeline.synthesize(labels, seed=2, fit="window")
    [alone] = moving_pipeline.synthesize(labels[0], seed=2, fit="window")
    assert together[0].tobytes() == alone.tobytes()
    [other] = moving_pipeline.synthesize(labels[0], seed=3, fit="window")
    assert other.tobytes() != alone.tobytes()


def test_resizing_the_decoded_mask_is_resizing_every_classs_score() -> None:
    generator = torch.Generator().manual_seed(0)
    mask = torch.rand(3, 16, 16, generator=generator) * 2 - 1
    anchors = torch.rand(5, 3, generator=generator) * 2 - 1
    canvas = canvas_for((41, 29), (16, 16), (4, 4), "resize", 0.25)
    scores = torch.nn.functional.interpolate(
        -anchor_distances(mask[None], anchors), (41, 29), mode="bilinear", antialias=False
    )
    found = nearest_anchor(canvas.lift(mask)[None], anchors)
    assert torch.equal(found.long(), scores.argmax(dim=1))


def test_an_unknown_way_is_refused(still_pipeline: SemFlowPipeline) -> None:
    with pytest.raises(UserError, match="unknown fit 'crop'; known are resize, window"):
        still_pipeline.segment(Image.new("RGB", (20, 20)), fit="crop")  # type: ignore[arg-type]
