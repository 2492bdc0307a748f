from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
import torch
from support.evaluate_alone import RowMeans, simple_evaluation
from support.tiny import ALONE, TinyDataset
from torch import Tensor, nn

from semflow.core.errors import UserError
from semflow.evaluation import protocol
from semflow.evaluation import samples as reading
from semflow.evaluation.evaluate import EvaluationInputs, evaluate, evaluate_dataset
from semflow.evaluation.schema import ProtocolParams
from semflow.evaluation.score_synthesis import PerceptualNetwork
from semflow.metrics.features import FeatureNetwork
from semflow.networks.autoencoder import PatchAutoencoder
from semflow.pipeline import SemFlowPipeline
from semflow.schema import DatasetParams
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder

SETTINGS = {
    "samples": 4,
    "reference": "other",
    "batch_size": 3,
    "segmentation_steps": (5, 2),
    "synthesis_steps": (1,),
    "diversity_labels": 2,
}


def test_the_split_is_read_once_and_each_image_is_encoded_once(
    moving_pipeline: SemFlowPipeline,
    pixels: Path,
    params: DatasetParams,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoded: Counter[bytes] = Counter()
    encoded: Counter[bytes] = Counter()
    read, encode = reading.png_pixels, PatchAutoencoder.encode

    def counting_read(content: bytes) -> object:
        decoded[content] += 1
        return read(content)

    def counting_encode(self: PatchAutoencoder, image: Tensor) -> object:
        encoded.update(pixels.numpy().tobytes() for pixels in image)
        return encode(self, image)

    monkeypatch.setattr(reading, "png_pixels", counting_read)
    monkeypatch.setattr(PatchAutoencoder, "encode", counting_encode)
    settings = params.evaluate.model_copy(update=SETTINGS)
    evaluate(
        simple_evaluation(moving_pipeline, pixels, settings, ALONE),
        settings,
        tmp_path,
    )
    test, val = (ShardFolder(read_manifest(pixels / split)) for split in ("test", "val"))
    names = ("image.png", "label.png", "native_label.png")
    members = {name: [test.read(position, name) for position in range(10)] for name in names}
    others = {val.read(position, "image.png") for position in range(7)}
    assert set(decoded.values()) == {1}
    assert len(set(members["image.png"]) & decoded.keys()) == 4
    assert len(set(members["native_label.png"]) & decoded.keys()) == 4
    assert len(others & decoded.keys()) == 4
    # Per tested sample: its image, its pseudo-mask plain and perturbed, syntheses with one and two
    # steps and by the painter; and for each of two labels two perturbed pseudo-masks.
    assert encoded.total() == 4 * (1 + 2 + 3) + 2 * 2
    image = torch.tensor(read(members["image.png"][0])).permute(2, 0, 1).float() / 127.5 - 1
    assert encoded[image.numpy().tobytes()] == 1


def test_figures_are_kept_by_system_and_sampler_and_those_of_the_default_again(
    moving_pipeline: SemFlowPipeline, pixels: Path, params: DatasetParams, tmp_path: Path
) -> None:
    settings = params.evaluate.model_copy(update=SETTINGS)
    evaluation = simple_evaluation(moving_pipeline, pixels, settings, ALONE)
    found = evaluate(evaluation, settings, tmp_path).metrics
    system, painter = found.systems.values()
    assert list(found.systems) == ["semflow", "painter"]
    assert painter.segmentation == {}
    assert list(painter.synthesis) == ["mean"]
    assert painter.synthesis["mean"].st_lpips_to_truth > 0
    assert (found.split, found.groups) == ("test", 4)
    low, high = found.segmentation.miou_interval or (1, 0)
    assert low <= (found.segmentation.miou or 0) <= high
    assert found.synthesis.diversity_st_lpips_interval is None  # of two labels
    # The checkpoint's own numbers of steps, 1 and 2, stand beside those asked for.
    assert list(system.segmentation) == ["euler-1", "euler-2", "euler-5"]
    assert list(system.synthesis) == ["euler-1", "euler-2"]
    assert found.segmentation.by_steps[5] == system.segmentation["euler-5"]
    assert (found.segmentation.steps, found.synthesis.steps) == (1, 2)
    assert found.segmentation.miou == system.segmentation["euler-1"].miou
    assert found.synthesis.roundtrip_miou == system.synthesis["euler-2"].roundtrip_miou_unet
    assert list(found.baselines) == ["blind"]
    assert found.baselines["blind"] != system.segmentation["euler-1"]
    assert found.baselines["blind"].blur == 2.5
    assert system.segmentation["euler-1"].blur is None
    assert found.segmentation.oracle_miou is not None
    assert found.segmentation.miou is not None
    assert found.segmentation.oracle_miou > found.segmentation.miou
    assert found.diagnosis is not None
    assert (found.diagnosis.samples, found.diagnosis.segmentation_steps) == (4, 5)
    assert list(found.diagnosis.surviving_shares) == [1, 2]
    # Both curves begin with one step from the image, as the default here is.
    first = found.diagnosis.states[0]
    assert first.miou_from_true == first.miou_from_own == found.segmentation.miou


def test_the_adaptive_solver_has_a_row_of_its_own_both_ways(
    moving_pipeline: SemFlowPipeline, pixels: Path, params: DatasetParams, tmp_path: Path
) -> None:
    settings = params.evaluate.model_copy(update={**SETTINGS, "adaptive": True})
    evaluation = simple_evaluation(moving_pipeline, pixels, settings, ALONE)
    found = evaluate(evaluation, settings, tmp_path).metrics
    system = found.systems["semflow"]
    assert list(system.segmentation) == ["euler-1", "euler-2", "euler-5", "dopri5"]
    assert list(system.synthesis) == ["euler-1", "euler-2", "dopri5"]
    assert list(found.segmentation.by_steps) == [1, 2, 5]
    for ways in (system.segmentation, system.synthesis):
        adaptive = ways["dopri5"]
        assert adaptive.tolerance == moving_pipeline.config.tolerance
        assert adaptive.evaluations is not None
        assert adaptive.evaluations > 5
        assert [ways[f"euler-{n}"].evaluations for n in (1, 2)] == [1, 2]
    # All else is as without it.
    settings = params.evaluate.model_copy(update={**SETTINGS, "adaptive": False})
    without = evaluate(evaluation, settings, tmp_path).metrics
    assert without.synthesis == found.synthesis
    assert without.segmentation == found.segmentation
    assert list(without.systems["semflow"].synthesis) == ["euler-1", "euler-2"]


def test_a_split_of_three_samples_is_refused_before_anything_is_loaded(
    dataset: TinyDataset, params: DatasetParams, workspace: Path
) -> None:
    nowhere = workspace / "nowhere"
    nowhere.mkdir()
    inputs = EvaluationInputs(nowhere, nowhere, nowhere, dataset.shards)
    settings = params.evaluate.model_copy(update={"split": "val"})
    with pytest.raises(UserError, match="split val has 3 samples"):
        evaluate_dataset("earth", inputs, settings)


def test_a_split_that_the_data_set_has_not_is_refused_with_what_to_set(
    dataset: TinyDataset, pixels: Path, params: DatasetParams, workspace: Path
) -> None:
    nowhere = workspace / "nowhere"
    nowhere.mkdir()
    inputs = EvaluationInputs(nowhere, nowhere, nowhere, dataset.shards)
    with pytest.raises(UserError, match=r"has no split test; set evaluate\.split: val, or"):
        evaluate_dataset("earth", inputs, params.evaluate)
    shutil.copytree(pixels / "val", workspace / "shards/val")
    inputs = EvaluationInputs(nowhere, nowhere, nowhere, workspace / "shards")
    settings = params.evaluate.model_copy(update={"split": "val", "reference": "other"})
    with pytest.raises(UserError, match=r"no split test; set evaluate\.reference: own, or"):
        evaluate_dataset("earth", inputs, settings)


def test_the_field_s_distances_are_of_the_first_synthesis_with_the_default_steps(
    moving_pipeline: SemFlowPipeline,
    pixels: Path,
    params: DatasetParams,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Absolute(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return (a - b).abs().mean(dim=(1, 2, 3))

    features = FeatureNetwork("pt_inception-2015-12-05", RowMeans(), "ab" * 32)
    networks = (features, PerceptualNetwork(Absolute(), "cd" * 32))
    monkeypatch.setattr(protocol, "load_networks", lambda _params, _device: networks)
    monkeypatch.setattr("semflow.evaluation.score_synthesis.SMALLEST_SIDE", 1)
    asked = ProtocolParams(preset="paper", inception="inception.pth", lpips="alexnet.pth")
    changes = {**SETTINGS, "reference": "own", "protocol": asked}
    settings = params.evaluate.model_copy(update=changes)
    evaluation = simple_evaluation(moving_pipeline, pixels, settings, ALONE)
    found = evaluate(evaluation, settings, tmp_path).metrics.synthesis
    assert found.protocol is not None
    # The same distances of the same images, once from tensors and once from files.
    default = found.by_steps[found.steps]
    assert found.protocol.lpips_gt == pytest.approx(default.st_lpips_to_truth, rel=1e-5)
    assert found.protocol.fid == pytest.approx(default.fd_mobilenetv2, rel=1e-5)
    assert found.protocol.floor_kid == pytest.approx(found.floor_kd_mobilenetv2, rel=1e-4)
