from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.tiny import CHANNELS, PATCH, random_images, random_label, same_weights, tiny_pipeline
from support.tiny_data import CLASSES, NOISE, SIZE

import semflow
from semflow.core.errors import UserError
from semflow.core.files import read_json, write_json
from semflow.flow.solvers import DOPRI5, SOLVERS, solve, solve_dopri5, time_grid
from semflow.pipeline import SemFlowPipeline, load_pipeline
from semflow.pseudo_masks.noise import MaskNoise, draw_noise


def pictures(count: int) -> list[Image.Image]:
    return [Image.fromarray(array) for array in random_images(count)]


def levels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("steps", [1, 3])
def test_without_motion_a_pseudo_mask_is_segmented_to_its_own_label(
    still_pipeline: SemFlowPipeline, solver: str, steps: int
) -> None:
    label = random_label(0)
    image = Image.fromarray(still_pipeline.palette.colorize(label))
    [found] = still_pipeline.segment(image, steps, solver)
    assert found.dtype == np.uint8
    assert np.array_equal(found, label)


def test_without_motion_a_synthesis_is_the_perturbed_pseudo_mask(
    still_pipeline: SemFlowPipeline,
) -> None:
    label = random_label(1)
    label[:4] = 255
    colors = still_pipeline.palette.colorize(label)
    [plain] = still_pipeline.synthesize(label, amplitude=0.0)
    assert np.array_equal(np.asarray(plain), colors)
    [noisy] = still_pipeline.synthesize(label, seed=5)
    [noise] = draw_noise([0], label.shape, 5, still_pipeline.noise)
    expected = np.clip(np.rint(colors + 40.0 * noise.permute(1, 2, 0).numpy()), 0, 255)
    assert np.abs(levels(noisy) - expected).max() <= 1
    assert np.array_equal(still_pipeline.segment(noisy)[0][4:], label[4:])


@torch.no_grad()
def test_segmenting_steps_forward_and_synthesizing_backward_along_one_velocity(
    moving_pipeline: SemFlowPipeline,
) -> None:
    vae, scale = moving_pipeline.vae, moving_pipeline.vae.config.scaling_factor

    def velocity(x: torch.Tensor, t: float) -> torch.Tensor:
        prompt = moving_pipeline.null_prompt.embedding
        return moving_pipeline.unet(x, torch.tensor([1000.0 * t]), prompt).sample

    def latent(pixels: np.ndarray) -> torch.Tensor:
        image = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1
        return scale * vae.encode(image).latent_dist.mean

    def image(x: torch.Tensor) -> np.ndarray:
        pixels = (vae.decode(x / scale).sample[0].permute(1, 2, 0) + 1) * 127.5
        return pixels.numpy()

    pixels, label = random_images(1)[0], random_label(3)
    x = latent(pixels)
    x = x + 0.5 * velocity(x, 0.0)
    x = x + 0.5 * velocity(x, 0.5)
    distance = np.linalg.norm(image(x)[:, :, None] - moving_pipeline.palette.anchors, axis=-1)
    [found] = moving_pipeline.segment(Image.fromarray(pixels), 2)
    assert np.array_equal(found, distance.argmin(axis=-1))

    x = latent(moving_pipeline.palette.colorize(label))
    for t in (1.0, 0.75, 0.5, 0.25):
        x = x - 0.25 * velocity(x, t)
    [made] = moving_pipeline.synthesize(label, 4, amplitude=0.0)
    assert np.abs(levels(made) - np.clip(image(x), 0, 255)).max() <= 0.51


def test_decoding_alone_gives_labels_back(still_pipeline: SemFlowPipeline) -> None:
    label = random_label(2)
    x_1 = still_pipeline.encode_label(torch.from_numpy(label[None]), None)
    assert np.array_equal(still_pipeline.class_scores(x_1).argmax(dim=1)[0].numpy(), label)


def test_a_saved_checkpoint_comes_back_with_identical_outputs(
    moving_pipeline: SemFlowPipeline, tmp_path: Path
) -> None:
    moving_pipeline.save_pretrained(tmp_path)
    for again in (load_pipeline(tmp_path), semflow.SemFlowPipeline.from_pretrained(tmp_path)):
        assert isinstance(again, SemFlowPipeline)
        for part in ("vae", "unet", "null_prompt"):
            assert same_weights(getattr(again, part), getattr(moving_pipeline, part))
        assert np.array_equal(again.palette.anchors, moving_pipeline.palette.anchors)
        assert np.array_equal(again.palette.ignore_color, moving_pipeline.palette.ignore_color)
        assert again.noise == moving_pipeline.noise
        assert again.formulation is moving_pipeline.formulation
        for picture in pictures(2):
            one, two = (p.segment(picture, 2, "heun")[0] for p in (moving_pipeline, again))
            assert np.array_equal(one, two)
        labels = [random_label(0), random_label(1)]
        mine, its = (p.synthesize(labels, seed=3) for p in (moving_pipeline, again))
        assert all(np.array_equal(levels(a), levels(b)) for a, b in zip(mine, its, strict=True))
    assert not [
        path for path in tmp_path.rglob("*") if path.suffix not in ("", ".json", ".safetensors")
    ]


def test_a_batch_of_three_equals_three_single_images(moving_pipeline: SemFlowPipeline) -> None:
    images = pictures(3)
    together = moving_pipeline.segment(images, 2)
    alone = [moving_pipeline.segment(image, 2)[0] for image in images]
    assert all(np.array_equal(a, b) for a, b in zip(together, alone, strict=True))

    labels = torch.from_numpy(np.stack([random_label(seed) for seed in range(3)]))
    noise = moving_pipeline.draw_noise(range(3), 0).pixels

    def synthesized(part: slice) -> torch.Tensor:
        x_1 = moving_pipeline.encode_label(labels[part], MaskNoise(noise[part], None))
        return moving_pipeline.decode_pixels(moving_pipeline.to_image(x_1)).int()

    batch = synthesized(slice(0, 3))
    for i in range(3):
        assert int((batch[i] - synthesized(slice(i, i + 1))[0]).abs().max()) <= 1


def test_noise_is_that_of_the_training_unless_another_amplitude_is_given(
    still_pipeline: SemFlowPipeline,
) -> None:
    label = torch.from_numpy(random_label(0)[None])
    noise = still_pipeline.draw_noise([3], 7)
    assert torch.equal(noise.pixels, draw_noise([3], (SIZE, SIZE), 7, still_pipeline.noise))
    assert noise.latents is None
    plain, default, named, double = (
        still_pipeline.encode_label(label, *arguments)
        for arguments in ((None,), (noise,), (noise, NOISE.amplitude), (noise, 2 * NOISE.amplitude))
    )
    assert torch.equal(default, named)
    assert not torch.equal(default, plain)
    # The autoencoder is linear here.
    torch.testing.assert_close(double - plain, 2 * (default - plain), atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("solver", SOLVERS)
def test_both_directions_are_the_field_solved_on_uniform_grids(
    moving_pipeline: SemFlowPipeline, solver: str
) -> None:
    x = torch.randn(2, CHANNELS, SIZE // PATCH, SIZE // PATCH)

    def velocity(x: torch.Tensor, t: float) -> torch.Tensor:
        return moving_pipeline.field(x, torch.full((len(x),), t))

    step = SOLVERS[solver]
    forward = solve(velocity, x, [0.0, 1 / 3, 2 / 3, 1.0], step)
    backward = solve(velocity, x, [1.0, 0.5, 0.0], step)
    torch.testing.assert_close(moving_pipeline.to_mask(x, 3, solver), forward)
    torch.testing.assert_close(moving_pipeline.to_image(x, 2, solver), backward)


@torch.no_grad()
def test_the_power_of_the_grid_and_the_tolerance_are_the_checkpoints_own() -> None:
    pipeline = tiny_pipeline(moving=True)
    pipeline.register_to_config(grid_power=2.0, tolerance=1e-2)
    x = torch.randn(2, CHANNELS, SIZE // PATCH, SIZE // PATCH)
    evaluations = [0]

    def velocity(x: torch.Tensor, t: float) -> torch.Tensor:
        evaluations[0] += len(x)
        return pipeline.field(x, torch.full((len(x),), t))

    forward = solve(velocity, x, time_grid(0.0, 1.0, 3, 2.0), SOLVERS["euler"])
    torch.testing.assert_close(pipeline.to_mask(x, 3), forward)
    evaluations[0] = 0
    backward = solve_dopri5(velocity, x, 1.0, 0.0, 1e-2)
    loose = evaluations[0]
    assert torch.equal(pipeline.to_image(x, solver=DOPRI5), backward)
    solve_dopri5(velocity, x, 1.0, 0.0, 1e-5)
    assert 0 < loose < evaluations[0] - loose


def test_a_batch_solved_by_dopri5_equals_its_samples_solved_alone(
    moving_pipeline: SemFlowPipeline,
) -> None:
    x = torch.randn(3, CHANNELS, SIZE // PATCH, SIZE // PATCH)
    for solve_way in (moving_pipeline.to_mask, moving_pipeline.to_image):
        together = solve_way(x, solver=DOPRI5)
        alone = torch.cat([solve_way(one, solver=DOPRI5) for one in x.split(1)])
        assert torch.equal(together, alone)


def test_a_number_of_steps_for_a_solver_that_chooses_them_is_refused(
    still_pipeline: SemFlowPipeline,
) -> None:
    for attempt in (
        lambda: still_pipeline.segment(pictures(1), 4, "dopri5"),
        lambda: still_pipeline.synthesize(random_label(0), 4, "dopri5"),
    ):
        with pytest.raises(UserError, match="dopri5 chooses its own steps, got 4; leave the"):
            attempt()
    label = random_label(0)
    image = Image.fromarray(still_pipeline.palette.colorize(label))
    assert np.array_equal(still_pipeline.segment(image, solver="dopri5")[0], label)


def test_a_checkpoint_of_an_earlier_version_has_the_uniform_grid(
    still_pipeline: SemFlowPipeline, tmp_path: Path
) -> None:
    still_pipeline.save_pretrained(tmp_path)
    index = read_json(tmp_path / "model_index.json")
    earlier = {key: index[key] for key in index if key not in ("grid_power", "tolerance")}
    assert len(earlier) == len(index) - 2
    write_json(tmp_path / "model_index.json", earlier)
    config = load_pipeline(tmp_path).config
    assert (config.grid_power, config.tolerance) == (1.0, 1e-5)


def test_sample_k_of_a_label_is_the_same_however_many_are_drawn(
    moving_pipeline: SemFlowPipeline,
) -> None:
    label = random_label(0)
    few = moving_pipeline.synthesize([label] * 2, seed=4)
    many = moving_pipeline.synthesize([label] * 5, seed=4)
    assert all(np.abs(levels(a) - levels(b)).max() <= 1 for a, b in zip(few, many, strict=False))


def test_a_seed_repeats_itself_and_another_gives_another_image(
    moving_pipeline: SemFlowPipeline,
) -> None:
    label = random_label(0)
    torch.manual_seed(1)
    first = moving_pipeline.synthesize([label] * 2, seed=0)
    torch.manual_seed(2)
    again = moving_pipeline.synthesize([label] * 2, seed=0)
    other = moving_pipeline.synthesize([label] * 2, seed=1)
    for i in range(2):
        assert np.array_equal(levels(first[i]), levels(again[i]))
        assert np.abs(levels(first[i]) - levels(other[i])).mean() > 5
    assert np.abs(levels(first[0]) - levels(first[1])).mean() > 5


def test_defaults_are_the_checkpoints_own(moving_pipeline: SemFlowPipeline) -> None:
    [picture] = pictures(1)
    label = random_label(0)
    assert np.array_equal(
        moving_pipeline.segment(picture)[0], moving_pipeline.segment(picture, 1, "euler")[0]
    )
    default, same, other = (
        levels(moving_pipeline.synthesize(label, *arguments)[0])
        for arguments in ((), (2, "euler"), (7, "heun"))
    )
    assert np.array_equal(default, same)
    assert not np.array_equal(default, other)


def test_a_moving_field_changes_what_a_still_one_leaves(
    still_pipeline: SemFlowPipeline, moving_pipeline: SemFlowPipeline
) -> None:
    [picture] = pictures(1)
    still, moved = (p.segment(picture)[0] for p in (still_pipeline, moving_pipeline))
    assert 0 < (still != moved).mean() < 1
    assert moved.max() < len(CLASSES.names)


def test_an_image_or_label_of_another_size_is_refused(still_pipeline: SemFlowPipeline) -> None:
    with pytest.raises(UserError, match="the picture is 20x16, this model takes 16x16; resize"):
        still_pipeline.segment(Image.new("RGB", (20, SIZE)))
    with pytest.raises(UserError, match="the picture is 16x24, this model takes 16x16"):
        still_pipeline.synthesize(np.zeros((24, SIZE), np.uint8))
    with pytest.raises(UserError, match="the picture is 3x16, this model takes 16x16"):
        still_pipeline.synthesize(np.zeros((SIZE, SIZE, 3), np.uint8))


def test_an_unknown_id_is_refused(still_pipeline: SemFlowPipeline) -> None:
    label = random_label(0)
    label[3, 3] = 4
    with pytest.raises(UserError, match=r"label id 4 is outside 0\.\.3.*give label ids"):
        still_pipeline.synthesize([random_label(1), label])


def test_an_unknown_solver_is_refused_with_the_known_ones(still_pipeline: SemFlowPipeline) -> None:
    for attempt in (
        lambda: still_pipeline.segment(pictures(1), solver="rk4"),
        lambda: still_pipeline.synthesize(random_label(0), solver="rk4"),
    ):
        with pytest.raises(UserError, match="'rk4'; known are euler, midpoint, heun, dopri5"):
            attempt()


@pytest.mark.parametrize("steps", [0, -1])
def test_a_number_of_steps_below_one_is_refused(
    still_pipeline: SemFlowPipeline, steps: int
) -> None:
    with pytest.raises(UserError):
        still_pipeline.segment(pictures(1), steps)


def test_greyscale_and_palette_images_are_read_as_colours(still_pipeline: SemFlowPipeline) -> None:
    grey = Image.fromarray(random_images(1)[0][..., 0])
    expected = still_pipeline.segment(grey.convert("RGB"))[0]
    assert np.array_equal(still_pipeline.segment(grey)[0], expected)


def test_a_folder_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no checkpoint \(model_index\.json\)"):
        load_pipeline(tmp_path)


@pytest.mark.parametrize("damage", ["missing", "altered"])
def test_a_checkpoint_with_damaged_weights_is_refused(
    still_pipeline: SemFlowPipeline, tmp_path: Path, damage: str
) -> None:
    still_pipeline.save_pretrained(tmp_path)
    weights = tmp_path / "unet" / "diffusion_pytorch_model.safetensors"
    if damage == "missing":
        weights.unlink()
    else:
        weights.write_bytes(b"no weights")
    with pytest.raises(UserError):
        load_pipeline(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("part", ["unet", "vae", "null_prompt"])
def test_a_checkpoint_with_weights_that_are_not_finite_is_refused(
    tmp_path: Path, part: str, value: float
) -> None:
    pipeline = tiny_pipeline()
    weights = next(getattr(pipeline, part).parameters())
    weights.data[-1] = value
    pipeline.save_pretrained(tmp_path)
    with pytest.raises(UserError, match=rf"{part} has weights that are not finite; train it anew"):
        load_pipeline(tmp_path)


def test_large_finite_weights_are_no_reason_to_refuse_a_checkpoint(tmp_path: Path) -> None:
    pipeline = tiny_pipeline()
    pipeline.unet.conv_in.weight.data.fill_(3e38)
    pipeline.save_pretrained(tmp_path)
    load_pipeline(tmp_path)


def test_a_checkpoint_of_an_unknown_formulation_is_refused_with_the_known_ones(
    still_pipeline: SemFlowPipeline, tmp_path: Path
) -> None:
    still_pipeline.save_pretrained(tmp_path)
    index = read_json(tmp_path / "model_index.json")
    write_json(tmp_path / "model_index.json", {**index, "formulation": "of_tomorrow"})
    with pytest.raises(UserError, match=r"unknown formulation 'of_tomorrow'; .* knows semflow"):
        load_pipeline(tmp_path)
