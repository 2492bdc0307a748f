from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.tiny import Command, TinyDataset
from support.tiny_data import CLASSES, RandomReader, index_of, pixels_of

from semflow.core.files import read_json, sha256_of, write_json
from semflow.evaluation.results import (
    Metrics,
    Segmentation,
    SegmentationFigures,
    Synthesis,
    SynthesisFigures,
    System,
    write_metrics,
)
from semflow.pseudo_masks.palette import make_palette
from semflow.schema import DatasetParams


@pytest.fixture
def metrics() -> Metrics:
    """Numbers that can be told apart."""
    segmenting = SegmentationFigures(
        miou=0.25,
        miou_without_background=None,
        pixel_accuracy=0.5,
        iou_per_class=[0.1, None, 0.2, 0.3],
    )
    synthesizing = SynthesisFigures(
        fd_mobilenetv2=1.5,
        kd_mobilenetv2=0.25,
        st_lpips_to_truth=0.4,
        roundtrip_miou_unet=0.3125,
        roundtrip_miou_semflow=0.35,
    )
    return Metrics(
        split="test",
        groups=4,
        classes=list(CLASSES.names),
        segmentation=Segmentation(
            samples=37,
            steps=2,
            miou=0.4375,
            miou_without_background=None,
            pixel_accuracy=0.75,
            oracle_miou=0.9375,
            oracle_pixel_accuracy=0.96,
            by_steps={2: segmenting},
        ),
        synthesis=Synthesis(
            samples=37,
            steps=5,
            reference_samples=37,
            floor_samples=(1, 1),
            resolution=(16, 16),
            floor_fd_mobilenetv2=0.5,
            floor_kd_mobilenetv2=0.1,
            diversity_st_lpips=0.2,
            protocol=None,
            roundtrip_miou=0.3125,
            by_steps={5: synthesizing},
        ),
        baselines={"unet": segmenting},
        systems={
            "semflow": System(
                segmentation={"euler-2": segmenting},
                synthesis={
                    "euler-5": synthesizing,
                    "dopri5": synthesizing.model_copy(update={"evaluations": 43.1875}),
                },
            ),
            "segmenter only": System(
                segmentation={"heun-1": segmenting.model_copy(update={"miou": None})}, synthesis={}
            ),
        },
    )


def test_a_checkpoint_is_described_with_its_weights_checksums(
    semflow_command: Command, checkpoint: Path
) -> None:
    result = semflow_command("inspect", checkpoint)
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0] == f"{checkpoint}: SemFlowPipeline, 4 classes, 16x16 pixels"
    assert lines[1] == "  classes: water, left ear, right ear, land"
    assert "euler, 1 steps to segment, 2 to synthesize, amplitude 40, grid power 1" in lines[2]
    for part in ("vae", "unet", "null_prompt"):
        weights = f"{part}/diffusion_pytorch_model.safetensors"
        assert f"  {weights}: sha256 {sha256_of(checkpoint / weights)}" in lines


def test_a_folder_of_shards_is_described_split_by_split(
    semflow_command: Command, tiny_shards: Path
) -> None:
    result = semflow_command("inspect", tiny_shards)
    assert (result.code, result.err) == (0, "")
    size = sum(path.stat().st_size for path in (tiny_shards / "train").glob("*.tar"))
    assert (
        f"{tiny_shards / 'train'}: 10 samples in 3 tars, {size} bytes, checksums hold"
    ) in result.out.splitlines()
    assert "3 samples in 1 tars" in result.out
    assert "  members: image.png, json, label.png" in result.out.splitlines()
    alone = semflow_command("inspect", tiny_shards / "val")
    assert alone.out.startswith(f"{tiny_shards / 'val'}: 3 samples")
    assert "train" not in alone.out.replace(str(tiny_shards), "")


@pytest.fixture
def tiny_shards(dataset: TinyDataset, tmp_path: Path) -> Path:
    """A copy of the tiny data set's shards."""
    return Path(shutil.copytree(dataset.shards, tmp_path / "shards"))


def test_raw_samples_that_were_left_out_are_named_with_their_reasons(
    semflow_command: Command, tmp_path: Path, params: DatasetParams
) -> None:
    (tmp_path / "raw.txt").write_text("raw", encoding="utf-8")
    reader = RandomReader(tmp_path / "raw.txt", {"train": 2, "val": 2}, unreadable=("val_1",))
    index = index_of(reader, tmp_path / "listed" / "index", max_rejects=1)
    out = tmp_path / "made" / "shards"
    pixels_of(index, reader, params.shards, out)
    result = semflow_command("inspect", out / "val")
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[1:5] == [
        "  members: image.png, json, label.png, native_label.png",
        "  image_size: [16, 16]",
        "  split: val",
        "  rejected val_1: cut short",
    ]


def test_an_altered_shard_is_told_and_is_exit_code_2(
    semflow_command: Command, tiny_shards: Path
) -> None:
    path = tiny_shards / "train" / "000001.tar"
    path.write_bytes(path.read_bytes()[::-1])
    result = semflow_command("inspect", tiny_shards)
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith(f"error: {path} was altered")
    assert result.err.count("\n") == 1


def test_metrics_are_described_by_their_chief_numbers(
    semflow_command: Command, workspace: Path, metrics: Metrics
) -> None:
    write_metrics(metrics, workspace / "metrics.json")
    for path in (workspace, workspace / "metrics.json"):
        result = semflow_command("inspect", path)
        assert (result.code, result.err) == (0, "")
        assert result.out.splitlines() == [
            f"{workspace / 'metrics.json'}: 37 test samples",
            "  mIoU 0.4375 with 2 steps, oracle 0.9375",
            "  mIoU 0.2500 unet",
            "  round trip mIoU 0.3125 with 5 steps",
            "  segmenter only heun-1: mIoU none",
            "  semflow euler-2: mIoU 0.2500",
            "  semflow dopri5: FD-MobileNetV2 1.5, round trip mIoU 0.3125, "
            "43.2 network evaluations",
            "  semflow euler-5: FD-MobileNetV2 1.5, round trip mIoU 0.3125",
        ]


def test_metrics_of_one_way_have_no_line_of_the_other(
    semflow_command: Command, workspace: Path, metrics: Metrics
) -> None:
    alone = metrics.systems["semflow"].model_copy(update={"segmentation": {}})
    changes = {"segmentation": None, "systems": {"semflow": alone}}
    write_metrics(metrics.model_copy(update=changes), workspace / "metrics.json")
    assert semflow_command("inspect", workspace).out.splitlines()[:3] == [
        f"{workspace / 'metrics.json'}: 37 test samples",
        "  mIoU 0.2500 unet",
        "  round trip mIoU 0.3125 with 5 steps",
    ]


def test_a_checkpoint_of_one_way_says_so_in_its_line_of_defaults(
    semflow_command: Command, checkpoint: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "pipeline"))
    index = read_json(folder / "model_index.json")
    write_json(folder / "model_index.json", {**index, "formulation": "dsm", "solver": "ddim"})
    lines = semflow_command("inspect", folder).out.splitlines()
    assert "ddim, 1 steps to segment (dsm does not synthesize), amplitude 40" in lines[2]


def test_metrics_of_another_version_are_one_line_and_exit_code_2(
    semflow_command: Command, tmp_path: Path
) -> None:
    write_json(tmp_path / "metrics.json", {"segmentation": {}})
    result = semflow_command("inspect", tmp_path)
    assert result.code == 2
    assert "metrics.json does not fit this version" in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("name", ["nowhere", "text.png", "."])
@pytest.mark.usefixtures("inputs")
def test_what_is_none_of_them_is_one_line_and_exit_code_2(
    semflow_command: Command, name: str
) -> None:
    result = semflow_command("inspect", name)
    assert result.code == 2
    assert result.err.startswith(f"error: {name} is neither")
    assert result.err.count("\n") == 1


def test_a_checkpoint_of_another_pipeline_is_refused(
    semflow_command: Command, tmp_path: Path
) -> None:
    write_json(tmp_path / "model_index.json", {"_class_name": "StableDiffusionPipeline"})
    assert semflow_command("inspect", tmp_path).code == 2


@pytest.mark.usefixtures("inputs")
def test_missing_metrics_are_named_as_they_were_given(semflow_command: Command) -> None:
    result = semflow_command("inspect", "metrics.json")
    assert result.code == 2
    assert "metrics.json/metrics.json" not in result.err


def test_pseudo_mask_shards_are_described_with_their_palette(
    semflow_command: Command, dataset: TinyDataset, params: DatasetParams
) -> None:
    result = semflow_command("inspect", dataset.pseudo_masks)
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    anchors = make_palette(params.palette, len(CLASSES.names)).anchors.astype(int)
    colors = " ".join(f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in anchors)
    assert lines[0].startswith(f"{dataset.pseudo_masks / 'train'}: 10 samples in 3 tars")
    assert lines[1] == "  members: pseudo_mask.png"
    assert lines[2] == f"  palette: 4 anchors {colors}, ignored #404040"
    assert sum(line.startswith("  palette: ") for line in lines) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"[1, 2]",
        b'{"about":[],"shards":[\n\n]}\n',
        b'{"about":{"rejects":7},"shards":[\n\n]}\n',
        b'{"about":{},"shards":[\n{"name":3}\n]}\n',
        b'{"about":{},"shards":[\n{"name":"a.tar","bytes":"x","sha256":1,"keys":2,"members":3}\n]}\n',
        b'{"about":{"anchors":["red"]},"shards":[\n]}\n',
    ],
)
def test_a_manifest_that_is_none_is_one_line_and_exit_code_2(
    semflow_command: Command, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    result = semflow_command("inspect", tmp_path)
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith(f"error: {tmp_path / 'manifest.json'}")
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    "note",
    [
        [],
        {"made": "by somebody else"},
        {"parameters": {}, "inputs": {}, "code": {}, "versions": {}, "hardware": {}},
        {"parameters": 3, "inputs": 3, "code": 3, "versions": 3, "hardware": 3},
    ],
)
def test_a_foreign_provenance_is_one_line_and_exit_code_2(
    semflow_command: Command, checkpoint: Path, tmp_path: Path, note: object
) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "pipeline"))
    write_json(folder / "provenance.json", note)
    result = semflow_command("inspect", folder)
    assert result.code == 2
    assert result.err.startswith(f"error: {folder / 'provenance.json'} does not fit this version")
    assert result.err.count("\n") == 1


def test_what_made_a_checkpoint_is_told_in_four_lines(
    semflow_command: Command, checkpoint: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "pipeline"))
    note = {
        "parameters": {"train": {"steps": 900, "batch_size": 32, "seed": 7, "other": 1}},
        "inputs": {"data/shards/earth/train/manifest.json": "0123456789abcdef"},
        "code": {"semflow.core": "aa", "semflow.flow": "bb"},
        "versions": {"python": "3.11.7"},
        "hardware": {"processor": "a kind", "threads": 2},
    }
    write_json(folder / "provenance.json", note)
    lines = semflow_command("inspect", folder).out.splitlines()
    assert "  trained: 900 steps of 32 samples, seed 7" in lines
    assert "  inputs: data/shards/earth/train/manifest.json 0123456789ab" in lines
    assert "  code: 2 modules; python 3.11.7" in lines
    assert "  hardware: processor a kind, threads 2" in lines


@pytest.mark.parametrize("index", [[], {"_class_name": "SemFlowPipeline"}, 3])
def test_a_checkpoints_index_that_is_none_is_one_line_and_exit_code_2(
    semflow_command: Command, tmp_path: Path, index: object
) -> None:
    write_json(tmp_path / "model_index.json", index)
    result = semflow_command("inspect", tmp_path)
    assert result.code == 2
    assert result.err.count("\n") == 1


def test_class_names_cannot_steer_the_terminal(
    semflow_command: Command, checkpoint: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "pipeline"))
    index = read_json(folder / "model_index.json")
    index["class_names"] = ["\x1b[2Jwater", "\x9b31m", "\u202eleft", "a\r\nb"]
    write_json(folder / "model_index.json", index)
    lines = semflow_command("inspect", folder).out.splitlines()
    assert lines[1] == r"  classes: \x1b[2Jwater, \x9b31m, \u202eleft, a\r\nb"


def test_as_json_a_checkpoint_names_its_classes_and_its_weights_checksums(
    semflow_command: Command, checkpoint: Path
) -> None:
    said = json.loads(semflow_command("inspect", checkpoint, "--json").out)
    assert (said["kind"], said["index"]["image_size"]) == ("checkpoint", [16, 16])
    weights = "unet/diffusion_pytorch_model.safetensors"
    assert said["weights"][weights] == sha256_of(checkpoint / weights)


def test_as_json_shards_have_numbers_for_each_split_and_a_spoilt_one_is_refused(
    semflow_command: Command, tiny_shards: Path
) -> None:
    said = json.loads(semflow_command("inspect", tiny_shards, "--json").out)
    assert said["kind"] == "shards"
    assert (said["splits"]["train"]["samples"], said["splits"]["train"]["tars"]) == (10, 3)
    assert said["splits"]["val"]["about"]["image_size"] == [16, 16]
    (tiny_shards / "train" / "000001.tar").write_bytes(b"x")
    result = semflow_command("inspect", tiny_shards, "--json")
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)


def test_as_json_a_report_has_its_metrics(
    semflow_command: Command, workspace: Path, metrics: Metrics
) -> None:
    write_metrics(metrics, workspace / "metrics.json")
    said = json.loads(semflow_command("inspect", workspace, "--json").out)
    assert said["kind"] == "report"
    assert said["metrics"]["segmentation"]["miou"] == 0.4375
