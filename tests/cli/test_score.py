from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.tiny import Command, Result
from torch import Tensor, nn

from semflow.core.files import sha256_of
from semflow.metrics import inception, lpips_alexnet, mobilenet
from tools.closure import ROOT

SEGMENTATION = ("score", "--task", "segmentation", "--predictions", "out", "--truth", "truth")
SYNTHESIS = ("score", "--task", "synthesis", "--predictions", "made", "--truth", "photos")


class ChannelMeans(nn.Module):
    """A feature network of three numbers."""

    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean(dim=(2, 3)) / 255


class MeanDifference(nn.Module):
    """A perceptual distance."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return (a - b).abs().mean(dim=(1, 2, 3))


@pytest.fixture
def folders(workspace: Path) -> Path:
    """Labels in truth/, predictions in out/, photos in photos/, two samples of each in made/."""
    for name in ("truth", "out", "photos", "made"):
        (workspace / name).mkdir()
    random = np.random.default_rng(0)
    for name in "abcd":
        label = random.integers(0, 4, (40, 40), np.uint8)
        Image.fromarray(label).save(workspace / "truth" / f"{name}.png")
        label[:10] = 1
        Image.fromarray(label).save(workspace / "out" / f"{name}.png")
        for path in (f"photos/{name}.png", f"made/{name}.0.png", f"made/{name}.1.png"):
            pixels = random.integers(0, 256, (40, 40, 3), np.uint8)
            Image.fromarray(pixels).save(workspace / path)
    return workspace


@pytest.fixture
def weights(folders: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands in for the released weight files, whose loading has tests of its own."""
    path = folders / "weights.pth"
    path.write_bytes(b"weights")
    monkeypatch.setattr(inception, "load_inception_features", lambda _: ChannelMeans())
    monkeypatch.setattr(mobilenet, "load_mobilenet_features", lambda _: ChannelMeans())
    monkeypatch.setattr(lpips_alexnet, "load_lpips", lambda _: MeanDifference())
    return path


def printed(result: Result) -> dict[str, Any]:
    assert result.code == 0, result.err
    value: dict[str, Any] = json.loads(result.out)
    return value


def refusal(result: Result) -> str:
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    return result.err


@pytest.mark.usefixtures("folders")
def test_segmentation_is_scored_by_the_command_in_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "semflow.cli.main", *SEGMENTATION, "--num-classes", "4"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stderr
    scores = json.loads(result.stdout)
    assert scores["images"] == 4
    assert 0.75 < scores["pixel_accuracy"] < 0.9
    assert scores["miou"] == pytest.approx(np.mean(scores["iou_per_class"]))
    assert scores["miou_without_background"] is None


@pytest.mark.usefixtures("folders")
def test_a_background_gives_a_second_mean(semflow_command: Command) -> None:
    scores = printed(semflow_command(*SEGMENTATION, "--num-classes", 4, "--background", 0))
    assert scores["miou_without_background"] == pytest.approx(np.mean(scores["iou_per_class"][1:]))


def test_cityscapes_ids_are_read_on_either_side(semflow_command: Command, folders: Path) -> None:
    frame = "ulm_000001_000019"
    for folder in ("truth", "out"):
        for path in (folders / folder).iterdir():
            path.unlink()
    # Road, sidewalk and an id that is not evaluated, against road, road, road.
    Image.fromarray(np.array([[7, 8, 0]], np.uint8)).save(
        folders / "truth" / f"{frame}_gtFine_labelIds.png"
    )
    Image.fromarray(np.array([[0, 0, 0]], np.uint8)).save(folders / "out" / f"{frame}_x.png")
    scores = printed(
        semflow_command(*SEGMENTATION, "--num-classes", 19, "--truth-ids", "cityscapes")
    )
    assert scores["iou_per_class"][:3] == [0.5, 0, None]
    assert scores["ignored"] == {"index": 255, "pixels": 1, "predictions": 0}


def test_synthesis_is_scored_with_its_protocol(semflow_command: Command, weights: Path) -> None:
    options = ("--preset", "paper", "--inception", weights, "--lpips", weights)
    scores = printed(semflow_command(*SYNTHESIS, *options))
    assert set(scores) == {
        "fid",
        "kid",
        "floor_fid",
        "floor_kid",
        "floor_real",
        "lpips_gt",
        "lpips_div",
        "lpips_div_samples",
        "unused_predictions",
        "protocol",
    }
    assert scores["fid"] > 0
    assert scores["floor_real"] == [2, 2]
    assert scores["lpips_div_samples"] == 2
    assert scores["protocol"]["features_sha256"] == sha256_of(weights)
    assert scores["protocol"]["resolution"] == [40, 40]


def test_another_feature_network_is_chosen_and_named(
    semflow_command: Command, weights: Path
) -> None:
    options = ("--preset", "sis256", "--features", "mobilenetv2", "--mobilenet", weights)
    scores = printed(semflow_command(*SYNTHESIS, *options))
    assert "fid" not in scores
    assert scores["fd_mobilenetv2"] > 0
    assert scores["lpips_gt"] is None
    assert scores["protocol"]["features"] == "mobilenetv2"
    assert scores["protocol"]["resolution"] == [256, 256]


@pytest.mark.usefixtures("folders")
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (SEGMENTATION, "--task segmentation needs --num-classes"),
        ((*SEGMENTATION, "--num-classes", 2), "label id 2 is outside the mapping"),
        ((*SEGMENTATION, "--num-classes", 4, "--preset", "paper"), "--preset belongs to --task"),
        (SYNTHESIS, "--task synthesis needs --preset"),
        ((*SYNTHESIS, "--preset", "paper"), f"needs --inception: {inception.RELEASE.url}"),
        ((*SYNTHESIS, "--preset", "paper", "--inception", "no.pth"), "at no.pth; download https:"),
        ((*SYNTHESIS, "--preset", "paper", "--lpips", "no.pth"), "alexnet-owt-7be5be79.pth at no"),
        (
            (*SYNTHESIS, "--preset", "paper", "--mobilenet", "w"),
            "belongs to --features mobilenetv2",
        ),
        ((*SYNTHESIS, "--preset", "paper", "--features", "mobilenetv2"), "needs --mobilenet"),
        ((*SYNTHESIS, "--num-classes", 4), "--num-classes belongs to --task segmentation"),
    ],
)
def test_what_does_not_fit_is_one_line_and_exit_code_2(
    semflow_command: Command, arguments: tuple[str | int, ...], complaint: str
) -> None:
    assert complaint in refusal(semflow_command(*arguments))


def test_a_missing_prediction_another_size_and_a_doubled_one_are_refused(
    semflow_command: Command, folders: Path
) -> None:
    arguments = (*SEGMENTATION, "--num-classes", 4)
    (folders / "out" / "deep").mkdir()
    Image.new("L", (40, 40)).save(folders / "out" / "deep" / "a.png")
    assert "both stand for a" in refusal(semflow_command(*arguments))
    (folders / "out" / "deep" / "a.png").unlink()
    Image.new("L", (20, 40)).save(folders / "out" / "b.png")
    assert "out/b.png is 20x40" in refusal(semflow_command(*arguments))
    (folders / "out" / "b.png").unlink()
    assert "no prediction of truth/b.png" in refusal(semflow_command(*arguments))


def test_the_preset_that_wants_many_samples_says_how_many(
    semflow_command: Command, weights: Path
) -> None:
    options = ("--preset", "samples50k", "--inception", weights)
    assert "takes 12500 of each of 4 masks" in refusal(semflow_command(*SYNTHESIS, *options))


def test_networks_are_asked_without_gradients(
    semflow_command: Command, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []

    class Watching(ChannelMeans):
        def forward(self, images: Tensor) -> Tensor:
            modes.append(torch.is_grad_enabled())
            return super().forward(images)

    monkeypatch.setattr(inception, "load_inception_features", lambda _: Watching())
    printed(semflow_command(*SYNTHESIS, "--preset", "paper", "--inception", weights))
    assert modes
    assert not any(modes)
