"""Synthesized images of any system against photos, under one of the field's presets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor, nn

from semflow import __version__
from semflow.core.errors import UserError
from semflow.core.progress import progress_over
from semflow.evaluation.presets import (
    DIVERSITY_SAMPLES,
    RESIZE_FILTER,
    Preset,
    choose_samples,
    count_samples,
    resolution_of,
)
from semflow.evaluation.results import (
    InceptionScores,
    MobileNetScores,
    ProtocolRecord,
    SynthesisScores,
)
from semflow.evaluation.score_files import (
    SampleMatches,
    batches_at,
    match_samples,
    read_at,
    size_of,
)
from semflow.metrics.distribution import distances
from semflow.metrics.features import FeatureName, FeatureNetwork
from semflow.metrics.lpips_alexnet import SMALLEST_SIDE

PACKAGES = ("torch", "torch-fidelity", "lpips", "pillow")
"""Whose versions are recorded."""

_NAMES: Mapping[FeatureName, tuple[type[SynthesisScores], str, str]] = {
    "pt_inception-2015-12-05": (InceptionScores, "fid", "kid"),
    "mobilenetv2": (MobileNetScores, "fd_mobilenetv2", "kd_mobilenetv2"),
}

Resolution = tuple[int, int]


@dataclass(frozen=True)
class PerceptualNetwork:
    """LPIPS.

    Args:
        network: Two (N, 3, H, W) in [-1, 1] -> (N,).
        sha256: Of its weight file.
    """

    network: nn.Module
    sha256: str


def score_synthesis(
    predictions: Path,
    truth: Path,
    preset: Preset,
    features: FeatureNetwork,
    perceptual: PerceptualNetwork | None,
    device: torch.device,
) -> SynthesisScores:
    """Scores a folder of syntheses against the photos of the same stems.

    All photos are the real set. The syntheses' own size is the training resolution. The floor is
    the distance between two halves of the photos, those at even and at odd positions. `lpips_gt`
    takes the first sample of every mask, `lpips_div` the first DIVERSITY_SAMPLES of every mask.
    Beside the feature vectors, which the kernel distance needs, memory is flat.

    Args:
        predictions: `<stem>.png` or `.jpg`, or `<stem>.<k>.png` for sample k.
        truth: Photos.
        preset: A protocol of the field.
        features: What the distances are named after.
        perceptual: For the LPIPS figures; None leaves them out.
        device: Where both networks are.

    Raises:
        UserError: Files do not match, are too few for the preset, unreadable, or of several sizes.
    """
    matches = match_samples(predictions, truth)
    _check_counts(preset, matches)
    resolution = resolution_of(preset, _common_size(matches))
    _check_perceptible(perceptual, resolution)
    photos, samples = list(matches.photos.values()), list(matches.samples.values())
    chosen = [samples[mask][sample] for sample, mask in choose_samples(preset, len(photos))]
    common = {
        "protocol": _record(preset, photos, len(chosen), resolution, features, perceptual),
        "unused_predictions": len(matches.unused),
        **_perceived(perceptual, photos, samples, resolution, device),
    }
    groups = {
        "photos, first half": photos[::2],
        "photos, second half": photos[1::2],
        "syntheses": chosen,
    }
    sets = (
        _features(features.network, paths, resolution, purpose, device)
        for purpose, paths in groups.items()
    )
    return _named(features.name, common, *sets)


@torch.no_grad()
def lpips_gt(perceptual: nn.Module, syntheses: Tensor, photos: Tensor) -> Tensor:
    """LPIPS of each synthesis to the photo that its mask belongs to; lower is better.

    What BBDM, SC-GAN and SemFlow report, as the mean over all masks.

    Args:
        perceptual: Two (N, 3, H, W) in [-1, 1] -> (N,).
        syntheses, photos: (N, 3, H, W) uint8.

    Returns:
        (N,) float32.
    """
    found: Tensor = perceptual(_unit_range(syntheses), _unit_range(photos))
    return found


@torch.no_grad()
def lpips_div(perceptual: nn.Module, samples: Tensor) -> float:
    """Mean LPIPS over all pairs of samples of one mask; higher is more diverse.

    What SDM and SCDM report, as the mean over masks, with DIVERSITY_SAMPLES samples of each.

    Args:
        perceptual: Two (N, 3, H, W) in [-1, 1] -> (N,).
        samples: (K, 3, H, W) uint8, K >= 2.

    Raises:
        ValueError: There is no pair.
    """
    if len(samples) < 2:
        raise ValueError(f"{len(samples)} samples make no pair; give at least 2 of one mask")
    images = _unit_range(samples)
    found = [
        perceptual(images[i : i + 1].expand_as(images[i + 1 :]), images[i + 1 :])
        for i in range(len(images) - 1)
    ]
    return float(torch.cat(found).mean())


def _unit_range(images: Tensor) -> Tensor:
    return images.float() / 127.5 - 1


def _record(
    preset: Preset,
    photos: Sequence[Path],
    fake: int,
    resolution: Resolution,
    features: FeatureNetwork,
    perceptual: PerceptualNetwork | None,
) -> ProtocolRecord:
    return ProtocolRecord(
        preset=preset.name,
        real=len(photos),
        fake=fake,
        samples_per_mask=count_samples(preset, len(photos)).per_mask,
        resolution=resolution,
        resize_filter=RESIZE_FILTER,
        squashed_photos=sum(_is_squashed(size_of(path), resolution) for path in photos),
        features=features.name,
        features_sha256=features.sha256,
        lpips_sha256=perceptual.sha256 if perceptual else None,
        versions={"semflow": __version__, **{name: version(name) for name in PACKAGES}},
    )


@torch.no_grad()
def _features(
    network: nn.Module,
    paths: Sequence[Path],
    resolution: Resolution,
    purpose: str,
    device: torch.device,
) -> Tensor:
    batches = batches_at(paths, resolution, purpose)
    return torch.cat([network(batch.to(device)).cpu() for batch in batches])


def _named(
    name: FeatureName, common: Mapping[str, object], even: Tensor, odd: Tensor, fake: Tensor
) -> SynthesisScores:
    halves = (len(even), len(odd))
    large_enough = min(halves) >= 2
    kind, *names = _NAMES[name]
    found = zip(names, distances(fake, torch.cat([even, odd])), strict=True)
    floors = zip(names, distances(even, odd) if large_enough else (None, None), strict=True)
    return kind.model_validate(
        {
            **common,
            **dict(found),
            **{f"floor_{distance}": value for distance, value in floors},
            "floor_real": halves if large_enough else None,
        }
    )


def _perceived(
    perceptual: PerceptualNetwork | None,
    photos: Sequence[Path],
    samples: Sequence[Sequence[Path]],
    resolution: Resolution,
    device: torch.device,
) -> dict[str, float | int | None]:
    """The fields of SynthesisScores that come from LPIPS."""
    if perceptual is None:
        return {"lpips_gt": None, "lpips_div": None, "lpips_div_samples": None}
    compared = min(len(samples[0]), DIVERSITY_SAMPLES)
    to_photo, among_samples = [], []
    masks = zip(photos, samples, strict=True)
    for photo, paths in progress_over(masks, len(photos), "score: LPIPS", "masks"):
        images = torch.cat([read_at(path, resolution) for path in paths[:compared]]).to(device)
        truth = read_at(photo, resolution).to(device)
        to_photo.append(float(lpips_gt(perceptual.network, images[:1], truth)))
        if compared > 1:
            among_samples.append(lpips_div(perceptual.network, images))
    return {
        "lpips_gt": fmean(to_photo),
        "lpips_div": fmean(among_samples) if among_samples else None,
        "lpips_div_samples": compared if among_samples else None,
    }


def _check_counts(preset: Preset, matches: SampleMatches) -> None:
    if len(matches.photos) < 2:
        raise UserError(f"{len(matches.photos)} photo gives no distance; give 2 or more")
    first = next(iter(matches.samples))
    wanted = count_samples(preset, len(matches.photos)).per_mask
    for key, paths in matches.samples.items():
        if len(paths) < wanted:
            raise UserError(
                f"{key} has {len(paths)} samples; {preset.name} takes {wanted} of each of "
                f"{len(matches.photos)} masks: semflow synthesize --samples {wanted}"
            )
        if len(paths) != len(matches.samples[first]):
            raise UserError(
                f"{key} has {len(paths)} samples, {first} has {len(matches.samples[first])}; "
                "give the same number of each mask"
            )


def _check_perceptible(perceptual: PerceptualNetwork | None, resolution: Resolution) -> None:
    if perceptual and min(resolution) < SMALLEST_SIDE:
        raise UserError(
            f"LPIPS takes sides of {SMALLEST_SIDE} pixels or more, the syntheses have "
            f"{min(resolution)}; leave --lpips out"
        )


def _common_size(matches: SampleMatches) -> Resolution:
    paths = [path for group in matches.samples.values() for path in group]
    height, width = size_of(paths[0])
    for path in paths:
        other = size_of(path)
        if other != (height, width):
            raise UserError(
                f"{path} is {other[1]}x{other[0]}, {paths[0]} is {width}x{height}; "
                "give all syntheses at the training resolution"
            )
    return height, width


def _is_squashed(size: Resolution, resolution: Resolution) -> bool:
    height, width = size
    return abs(height * resolution[1] / width - resolution[0]) > 1
