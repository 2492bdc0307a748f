"""A pipeline called as diffusers' pipelines are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.tiny import CHANNELS, random_images, random_label, tiny_pipeline
from support.tiny_data import SIZE

from semflow.core.errors import UserError
from semflow.inference.pictures import SemFlowOutput
from semflow.networks.ends import Ends
from semflow.pipeline import SemFlowPipeline

LABELS = [random_label(seed) for seed in range(3)]
PICTURES = [Image.fromarray(array) for array in random_images(2)]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(pipeline: SemFlowPipeline, *arguments: Any, **options: Any) -> np.ndarray:
    """Syntheses (N, H, W, 3) as whole levels."""
    output = pipeline(*arguments, output_type="np", return_dict=False, **options)
    return np.rint(output[0] * 255).astype(int)


def test_a_call_with_images_segments_and_one_with_labels_synthesizes(
    moving_pipeline: SemFlowPipeline,
) -> None:
    output = moving_pipeline(PICTURES, num_inference_steps=2, output_type="np")
    assert isinstance(output, SemFlowOutput)
    assert output.images is None
    assert np.array_equal(output.labels, np.stack(moving_pipeline.segment(PICTURES, 2)))
    output = moving_pipeline(labels=LABELS)
    assert output.labels is None
    assert [image.size for image in output.images] == [(SIZE, SIZE)] * 3
    for both in ({}, {"images": PICTURES, "labels": LABELS}):
        with pytest.raises(UserError, match="give either images"):
            moving_pipeline(**both)
    with pytest.raises(UserError, match="unknown output_type 'latent'; known are pil, np, pt"):
        moving_pipeline(labels=LABELS, output_type="latent")


def test_sample_k_of_a_generator_is_the_same_whatever_the_batch(
    moving_pipeline: SemFlowPipeline,
) -> None:
    together = made(moving_pipeline, labels=LABELS, generator=seeded(4))
    one = seeded(4)
    alone = np.concatenate([made(moving_pipeline, labels=x, generator=one) for x in LABELS])
    assert np.abs(together - alone).max() <= 1


def test_a_generator_for_each_sample_makes_each_of_them_its_own(
    moving_pipeline: SemFlowPipeline,
) -> None:
    label, seeds = LABELS[0], (5, 6, 7)
    each = made(moving_pipeline, labels=[label] * 3, generator=[seeded(seed) for seed in seeds])
    for image, seed in zip(each, seeds, strict=True):
        assert np.abs(image - made(moving_pipeline, labels=label, generator=seeded(seed))).max() < 2
    assert np.abs(each[0] - each[1]).mean() > 5
    with pytest.raises(UserError, match="got 2 generators for 3 pictures"):
        moving_pipeline(labels=[label] * 3, generator=[seeded(0), seeded(1)])


def test_without_a_generator_torchs_own_seed_decides(moving_pipeline: SemFlowPipeline) -> None:
    torch.manual_seed(3)
    first, second = (made(moving_pipeline, labels=LABELS[0]) for _ in range(2))
    torch.manual_seed(3)
    assert np.array_equal(first, made(moving_pipeline, labels=LABELS[0]))
    assert np.abs(first - second).mean() > 5


def test_a_callback_sees_every_step_and_may_replace_the_latents(
    moving_pipeline: SemFlowPipeline,
) -> None:
    seen: list[tuple[int, float, torch.Tensor]] = []

    def watch(pipe: Any, step: int, t: float, kwargs: dict[str, Any]) -> dict[str, Any]:
        assert pipe is moving_pipeline
        seen.append((step, t, kwargs["latents"]))
        return {}

    options: dict[str, Any] = {"labels": LABELS[0], "num_inference_steps": 4}
    plain = made(moving_pipeline, generator=seeded(0), **options)
    watched = made(moving_pipeline, generator=seeded(0), callback_on_step_end=watch, **options)
    assert np.array_equal(plain, watched)
    assert [(step, t) for step, t, _ in seen] == [(0, 1.0), (1, 0.75), (2, 0.5), (3, 0.25)]
    x_0 = seen[-1][2]
    pixels = moving_pipeline.decode_pixels(x_0).numpy()
    assert np.array_equal(pixels, watched)

    def blank(*arguments: Any) -> dict[str, Any]:
        return {"latents": torch.zeros_like(arguments[3]["latents"])}

    [replaced] = made(moving_pipeline, callback_on_step_end=blank, **options)
    assert np.array_equal(replaced, moving_pipeline.decode_pixels(torch.zeros_like(x_0))[0].numpy())


def test_a_callback_that_cannot_be_called_is_refused(moving_pipeline: SemFlowPipeline) -> None:
    def callback(*_: Any) -> None:
        raise AssertionError

    with pytest.raises(UserError, match="dopri5 chooses its own steps and calls nothing back"):
        moving_pipeline(PICTURES, solver="dopri5", callback_on_step_end=callback)
    with pytest.raises(UserError, match="given 'latents' alone, asked for 'prompt_embeds'"):
        moving_pipeline(PICTURES, callback_on_step_end_tensor_inputs=["prompt_embeds"])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_in_half_precision_networks_compute_in_it_and_results_stay_close(
    dtype: torch.dtype,
) -> None:
    ends = Ends(CHANNELS)
    ends.mean.data.fill_(1 / 3)
    pipeline = tiny_pipeline(moving=True, ends=ends)
    exact = made(pipeline, labels=LABELS[0], generator=seeded(0))
    assert pipeline.to("cpu", dtype) is pipeline
    assert {pipeline.vae.dtype, pipeline.unet.dtype, pipeline.null_prompt.dtype} == {dtype}
    # What scales latents keeps its precision.
    assert ends.mean.dtype == torch.float32
    assert pipeline.encode_label(torch.from_numpy(LABELS[0][None]), None).dtype == torch.float32
    assert np.abs(made(pipeline, labels=LABELS[0], generator=seeded(0)) - exact).mean() < 3
