from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

from semflow.core.errors import UserError
from semflow.evaluation.presets import PRESETS, RESIZE_FILTER, Preset
from semflow.evaluation.results import InceptionScores, MobileNetScores, SynthesisScores
from semflow.evaluation.score_synthesis import (
    PerceptualNetwork,
    lpips_div,
    lpips_gt,
    score_synthesis,
)
from semflow.metrics.distribution import distances
from semflow.metrics.features import FeatureName, FeatureNetwork

SIDE = 32
CPU = torch.device("cpu")
KEYS = "abcdef"


class Pooled(nn.Module):
    """A feature network: 2x2 means of each channel, 12 numbers."""

    def forward(self, images: Tensor) -> Tensor:
        return functional.adaptive_avg_pool2d(images.float(), 2).flatten(1) / 255


class MeanDifference(nn.Module):
    """A perceptual distance that can be worked by hand."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return (a - b).abs().mean(dim=(1, 2, 3))


def save(path: Path, seed: int, size: tuple[int, int] = (SIDE, SIDE)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def pixels(path: Path, side: int = SIDE) -> Tensor:
    image = Image.open(path).convert("RGB")
    if image.size != (side, side):
        image = image.resize((side, side), Image.Resampling.BICUBIC)
    return torch.tensor(np.asarray(image)).permute(2, 0, 1)[None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six photos of twice the training resolution, three samples of each mask."""
    for seed, key in enumerate(KEYS):
        save(tmp_path / "truth" / f"{key}.png", seed, (2 * SIDE, 2 * SIDE))
        for k in range(3):
            save(tmp_path / "predictions" / f"{key}.{k}.png", 100 + 10 * seed + k)
    return tmp_path


def score(
    folder: Path,
    preset: Preset = PRESETS["paper"],
    name: FeatureName = "pt_inception-2015-12-05",
    lpips: bool = False,
) -> SynthesisScores:
    return score_synthesis(
        folder / "predictions",
        folder / "truth",
        preset,
        FeatureNetwork(name, Pooled(), "f" * 64),
        PerceptualNetwork(MeanDifference(), "e" * 64) if lpips else None,
        CPU,
    )


def features(paths: list[Path], side: int = SIDE) -> Tensor:
    return torch.cat([Pooled()(pixels(path, side)) for path in paths])


def photos(folder: Path, keys: str = KEYS) -> list[Path]:
    return [folder / "truth" / f"{key}.png" for key in keys]


def syntheses(folder: Path, *samples: int) -> list[Path]:
    return [folder / "predictions" / f"{key}.{k}.png" for k in samples for key in KEYS]


def fid_and_kid(x: Tensor, y: Tensor) -> tuple[float, float]:
    """By torch-fidelity; KID over one subset that is the whole of both sets."""
    statistics = [fid_features_to_statistics(values.double()) for values in (x, y)]
    fid = fid_statistics_to_metric(*statistics, verbose=False)
    kid = kid_features_to_metric(
        x.double(), y.double(), kid_subsets=1, kid_subset_size=len(x), verbose=False
    )
    return fid["frechet_inception_distance"], kid["kernel_inception_distance_mean"]


@pytest.mark.parametrize(("count", "dimensions"), [(200, 24), (20, 48)])
def test_both_distances_are_those_of_torch_fidelity(count: int, dimensions: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, count, dimensions, generator=generator).abs()
    y = 1.1 * y + 0.2
    assert distances(x, y) == pytest.approx(fid_and_kid(x, y), rel=1e-4)


def test_a_folder_s_fid_and_kid_are_torch_fidelity_s_at_the_training_resolution(
    folder: Path,
) -> None:
    scores = score(folder)
    assert isinstance(scores, InceptionScores)
    expected = fid_and_kid(features(photos(folder)), features(syntheses(folder, 0)))
    assert (scores.fid, scores.kid) == pytest.approx(expected, rel=1e-4)
    floor = fid_and_kid(features(photos(folder, "ace")), features(photos(folder, "bdf")))
    assert (scores.floor_fid, scores.floor_kid) == pytest.approx(floor, rel=1e-4)
    assert scores.floor_real == (3, 3)


def test_the_record_says_what_was_compared(folder: Path) -> None:
    save(folder / "predictions" / "stranger.png", 7)
    scores = score(folder, lpips=True)
    record = scores.protocol
    assert scores.unused_predictions == 1
    assert (record.preset, record.real, record.fake, record.samples_per_mask) == ("paper", 6, 6, 1)
    assert (record.resolution, record.squashed_photos) == ((SIDE, SIDE), 0)
    assert record.resize_filter == RESIZE_FILTER
    assert (record.features, record.features_sha256) == ("pt_inception-2015-12-05", "f" * 64)
    assert record.lpips_sha256 == "e" * 64
    assert record.versions["torch-fidelity"] == "0.4.0"
    assert set(record.versions) == {"semflow", "torch", "torch-fidelity", "lpips", "pillow"}


def test_sis256_brings_both_sets_to_256(folder: Path) -> None:
    scores = score(folder, PRESETS["sis256"])
    assert isinstance(scores, InceptionScores)
    assert scores.protocol.resolution == (256, 256)
    expected = fid_and_kid(features(photos(folder), 256), features(syntheses(folder, 0), 256))
    assert (scores.fid, scores.kid) == pytest.approx(expected, rel=1e-4)


def test_a_total_takes_several_samples_of_each_mask(folder: Path) -> None:
    scores = score(folder, Preset("fifteen", total=15, short_side=None))
    assert isinstance(scores, InceptionScores)
    assert (scores.protocol.real, scores.protocol.fake) == (6, 15)
    assert scores.protocol.samples_per_mask == 3
    fake = features(syntheses(folder, 0, 1, 2)[:15])
    statistics = [fid_features_to_statistics(v.double()) for v in (features(photos(folder)), fake)]
    expected = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert scores.fid == pytest.approx(expected, rel=1e-4)


def test_other_features_give_no_number_the_name_of_fid(folder: Path) -> None:
    scores, named = score(folder, name="mobilenetv2"), score(folder)
    assert isinstance(scores, MobileNetScores)
    assert isinstance(named, InceptionScores)
    assert scores.fd_mobilenetv2 == named.fid
    assert scores.floor_kd_mobilenetv2 == named.floor_kid
    assert not {"fid", "kid", "floor_fid", "floor_kid"} & scores.model_dump().keys()


def test_lpips_gt_takes_the_first_sample_and_lpips_div_all_pairs(folder: Path) -> None:
    scores = score(folder, lpips=True)
    images = {
        key: [pixels(folder / "predictions" / f"{key}.{k}.png").float() / 127.5 for k in range(3)]
        for key in KEYS
    }
    truths = [pixels(path).float() / 127.5 for path in photos(folder)]
    to_truth = [
        float((images[key][0] - truth).abs().mean())
        for key, truth in zip(KEYS, truths, strict=True)
    ]
    among = [
        float((images[key][i] - images[key][j]).abs().mean())
        for key in KEYS
        for i, j in ((0, 1), (0, 2), (1, 2))
    ]
    assert scores.lpips_gt == pytest.approx(np.mean(to_truth), rel=1e-5)
    assert scores.lpips_div == pytest.approx(np.mean(among), rel=1e-5)
    assert scores.lpips_div_samples == 3


def test_one_sample_a_mask_has_no_diversity_and_without_weights_there_is_no_lpips(
    folder: Path,
) -> None:
    assert score(folder).lpips_gt is None
    for path in syntheses(folder, 1, 2):
        path.unlink()
    scores = score(folder, lpips=True)
    assert scores.lpips_gt is not None
    assert scores.lpips_div is scores.lpips_div_samples is None


def test_no_more_than_ten_samples_are_compared(folder: Path) -> None:
    for seed, key in enumerate(KEYS):
        for k in range(3, 12):
            save(folder / "predictions" / f"{key}.{k}.png", 100 + 10 * seed + k)
    assert score(folder, lpips=True).lpips_div_samples == 10


def test_photos_of_another_shape_are_counted(folder: Path) -> None:
    save(folder / "truth" / "b.png", 1, (48, 64))
    save(folder / "truth" / "c.png", 2, (65, 64))
    assert score(folder).protocol.squashed_photos == 1


def test_three_photos_are_too_few_for_a_floor(folder: Path) -> None:
    for path in photos(folder, "def"):
        path.unlink()
    scores = score(folder)
    assert isinstance(scores, InceptionScores)
    assert scores.fid > 0
    assert scores.floor_fid is scores.floor_real is None


def grey(*levels: int) -> Tensor:
    return torch.tensor(levels, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 4, 4)


def test_lpips_gt_compares_each_synthesis_with_its_own_photo() -> None:
    distances = lpips_gt(MeanDifference(), grey(0, 255), grey(255, 255))
    torch.testing.assert_close(distances, torch.tensor([2.0, 0.0]))


def test_lpips_div_is_the_mean_over_all_pairs_worked_by_hand() -> None:
    # |0 - 51|, |0 - 255| and |51 - 255| of 255 levels that span 2.
    expected = 2 * (51 + 255 + 204) / 255 / 3
    assert lpips_div(MeanDifference(), grey(0, 51, 255)) == pytest.approx(expected)


def test_lpips_div_of_ten_samples_is_the_mean_of_their_45_pairs() -> None:
    samples = torch.randint(0, 256, (10, 3, 4, 4), generator=torch.Generator().manual_seed(0))
    samples = samples.byte()
    pairs = [
        float(lpips_gt(MeanDifference(), samples[i : i + 1], samples[j : j + 1]))
        for i, j in combinations(range(10), 2)
    ]
    assert len(pairs) == 45
    assert lpips_div(MeanDifference(), samples) == pytest.approx(sum(pairs) / 45, rel=1e-5)


def test_one_sample_has_no_diversity() -> None:
    with pytest.raises(ValueError, match="1 samples make no pair"):
        lpips_div(MeanDifference(), grey(0))


def refusal(folder: Path, preset: str = "paper", lpips: bool = False) -> str:
    with pytest.raises(UserError) as caught:
        score(folder, PRESETS[preset], lpips=lpips)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_fewer_samples_than_the_preset_takes_are_refused(folder: Path) -> None:
    message = refusal(folder, "samples50k")
    # 50,000 / 6, rounded up.
    assert "a has 3 samples; samples50k takes 8334 of each of 6 masks" in message


def test_unequal_numbers_of_samples_are_refused(folder: Path) -> None:
    (folder / "predictions" / "c.2.png").unlink()
    assert "c has 2 samples, a has 3" in refusal(folder)


def test_syntheses_of_several_sizes_are_refused(folder: Path) -> None:
    save(folder / "predictions" / "c.1.png", 0, (16, 32))
    message = refusal(folder)
    assert "c.1.png is 32x16" in message
    assert "32x32" in message


def test_a_single_photo_and_an_unreadable_image_are_refused(folder: Path) -> None:
    (folder / "truth" / "b.png").write_text("text")
    assert "b.png is not a readable image" in refusal(folder)
    for path in photos(folder, "bcdef"):
        path.unlink()
    assert "1 photo" in refusal(folder)


def test_images_too_small_for_lpips_are_refused(folder: Path) -> None:
    for path in syntheses(folder, 0, 1, 2):
        save(path, 0, (16, 16))
    assert "LPIPS takes sides of 31 pixels or more" in refusal(folder, lpips=True)
