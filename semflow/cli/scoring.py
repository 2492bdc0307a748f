"""What `semflow score` runs: which option belongs where, and the networks that options name."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from pydantic import BaseModel

from semflow.core.errors import UserError
from semflow.core.files import sha256_of
from semflow.evaluation.presets import PRESETS
from semflow.evaluation.score_files import LabelIds
from semflow.evaluation.score_segmentation import SegmentationProtocol, score_segmentation
from semflow.evaluation.score_synthesis import PerceptualNetwork, score_synthesis
from semflow.metrics import inception, lpips_alexnet, mobilenet
from semflow.metrics.features import FeatureNetwork
from semflow.params.messages import nearest_name

HELP = "see semflow score --help"

Value = TypeVar("Value")


@dataclass(frozen=True)
class LabelOptions:
    """What only segmentation takes; None where an option was not given."""

    num_classes: int | None
    prediction_ids: LabelIds | None
    truth_ids: LabelIds | None
    background: int | None


@dataclass(frozen=True)
class ImageOptions:
    """What only synthesis takes; None where an option was not given."""

    preset: str | None
    features: Literal["inception", "mobilenetv2"] | None
    inception: Path | None
    mobilenet: Path | None
    lpips: Path | None


def run(
    task: Literal["segmentation", "synthesis"],
    predictions: Path,
    truth: Path,
    labels: LabelOptions,
    images: ImageOptions,
) -> BaseModel:
    """Scores a folder.

    Args:
        task: What the predictions are.
        predictions: Any system's output folder.
        truth: Labels, or photos.
        labels: For segmentation.
        images: For synthesis.

    Raises:
        UserError: An option is missing or belongs to the other task, or a folder does not do.
    """
    if task == "segmentation":
        _refuse("--task synthesis", asdict(images))
        return _score_labels(predictions, truth, labels)
    _refuse("--task segmentation", asdict(labels))
    return _score_images(predictions, truth, images)


def _score_labels(predictions: Path, truth: Path, options: LabelOptions) -> BaseModel:
    protocol = SegmentationProtocol(
        num_classes=_given("--task segmentation", "num_classes", options.num_classes, HELP),
        prediction_ids=options.prediction_ids or "train",
        truth_ids=options.truth_ids or "train",
        background=options.background,
    )
    return score_segmentation(predictions, truth, protocol)


def _score_images(predictions: Path, truth: Path, options: ImageOptions) -> BaseModel:
    name = _given("--task synthesis", "preset", options.preset, HELP)
    if name not in PRESETS:
        raise UserError(f"unknown preset {name!r}; {nearest_name(name, list(PRESETS))}")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    perceptual = None
    if options.lpips:
        network = lpips_alexnet.load_lpips(options.lpips).to(device)
        perceptual = PerceptualNetwork(network, sha256_of(options.lpips))
    features = _features(options, device)
    return score_synthesis(predictions, truth, PRESETS[name], features, perceptual, device)


def _features(options: ImageOptions, device: torch.device) -> FeatureNetwork:
    if options.features == "mobilenetv2":
        chosen = "--features mobilenetv2"
        _refuse("--features inception", {"inception": options.inception})
        path = _given(chosen, "mobilenet", options.mobilenet, "stage metric_weights makes it")
        network = mobilenet.load_mobilenet_features(path)
        return FeatureNetwork("mobilenetv2", network.to(device), sha256_of(path))
    _refuse("--features mobilenetv2", {"mobilenet": options.mobilenet})
    hint = f"{inception.RELEASE.url}, or --features mobilenetv2"
    path = _given("--features inception", "inception", options.inception, hint)
    network = inception.load_inception_features(path)
    return FeatureNetwork("pt_inception-2015-12-05", network.to(device), sha256_of(path))


def _refuse(owner: str, options: dict[str, Any]) -> None:
    for name, value in options.items():
        if value is not None:
            raise UserError(f"{_flag(name)} belongs to {owner}; leave it out")


def _given(owner: str, name: str, value: Value | None, hint: str) -> Value:
    if value is None:
        raise UserError(f"{owner} needs {_flag(name)}: {hint}")
    return value


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
