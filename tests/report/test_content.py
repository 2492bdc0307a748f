"""The whole way: from metrics, a checkpoint and shards on disk to a page."""

import base64
import json
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.tiny import random_images, random_label, shard_folder
from support.tiny_data import CLASSES, SIZE

from semflow.core.errors import UserError
from semflow.evaluation.details import Details, SegmentationDetails, read_details, write_details
from semflow.evaluation.results import Metrics, write_metrics
from semflow.params.reading import read_stage_params
from semflow.pipeline import SemFlowPipeline
from semflow.report.content import ReportInputs, gather, make_examples, weight_files
from semflow.report.page import write_report
from semflow.report.schema import ReportParams, ReportStage
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder
from semflow.shards.tar import png_bytes, png_pixels
from semflow.training.curve import TrainingCurve, write_curve
from stages.entry import Folders
from stages.report import main
from tools.closure import ROOT

PARAMS = ReportParams(examples=3, seeds=(0, 1))


@pytest.fixture
def checkpoint(tmp_path: Path, moving_pipeline: SemFlowPipeline) -> Path:
    folder = tmp_path / "pipeline"
    moving_pipeline.save_pretrained(folder)
    return folder


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Ten train and three test samples of random pixels."""
    for split, count in (("train", 10), ("test", 3)):
        (tmp_path / "shards" / split).mkdir(parents=True)
        images = random_images(count)
        records = [
            (f"{split}_{i}", {"image.png": png_bytes(images[i]), "label.png": png_bytes(label)})
            for i, label in enumerate(map(random_label, range(count)))
        ]
        shard_folder(records, tmp_path / "shards" / split, 4, {})
    return tmp_path / "shards"


@pytest.fixture
def inputs(tmp_path: Path, metrics: Metrics, checkpoint: Path, shards: Path) -> ReportInputs:
    path = tmp_path / "metrics.json"
    write_metrics(metrics.model_copy(update={"classes": list(CLASSES.names)}), path)
    details = Details(
        segmentation=SegmentationDetails(
            steps=metrics.two_way_segmentation().steps,
            confusion=[[1] * (len(CLASSES.names) + 1)] * len(CLASSES.names),
            keys=[f"test_{i % 3}" for i in range(1024)],
            miou_by_image=[0.5, 0.25, 0.75] * 341 + [None],
        )
    )
    write_details(details, tmp_path / "details.json")
    return ReportInputs(path, tmp_path / "details.json", checkpoint, shards)


def test_a_report_is_written_twice_to_the_same_bytes(
    tmp_path: Path, block: Mapping[str, Any], inputs: ReportInputs
) -> None:
    pages = [tmp_path / name for name in ("one.html", "two.html")]
    for page in pages:
        write_report("earth", PARAMS, block, inputs, page)
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_a_report_shows_what_the_checkpoint_makes_of_each_sample_alone(
    tmp_path: Path,
    block: Mapping[str, Any],
    inputs: ReportInputs,
    moving_pipeline: SemFlowPipeline,
) -> None:
    out = tmp_path / "page.html"
    write_report("earth", PARAMS, block, inputs, out)
    page = out.read_text("utf-8")
    tested = ShardFolder(read_manifest(inputs.shards / "test"))
    for position in range(len(tested)):
        assert tested.key(position) in page
        label = png_pixels(tested.read(position, "label.png"))
        for seed in PARAMS.seeds:
            made = np.asarray(moving_pipeline.synthesize(label, seed=seed)[0])
            assert base64.b64encode(png_bytes(made)).decode() in page


def test_facts_come_from_the_checkpoint_and_the_shards(
    block: Mapping[str, Any], inputs: ReportInputs
) -> None:
    content = gather("earth", PARAMS, block, inputs)
    assert (content.image_size, content.solver) == ((SIZE, SIZE), "euler")
    assert (content.train_samples, content.split_samples) == (10, 3)
    assert content.class_colors == CLASSES.colors
    assert content.provenance is None
    assert "unet/diffusion_pytorch_model.safetensors" in [file.name for file in content.weights]


def test_the_stage_takes_its_inputs_and_the_whole_block_from_the_current_folder(
    workspace: Path, inputs: ReportInputs
) -> None:
    folders = Folders("earth")
    shutil.copy(ROOT / "params.yaml", workspace)
    for source, place in ((inputs.pipeline, folders.pipeline), (inputs.shards, folders.shards)):
        shutil.copytree(source, place)
    folders.metrics.parent.mkdir(parents=True)
    shutil.copy(inputs.metrics, folders.metrics)
    shutil.copy(inputs.details, folders.details)
    main("earth", read_stage_params("earth", ReportStage), folders)
    assert "All parameters of earth" in folders.report.read_text("utf-8")


def test_metrics_of_other_classes_are_refused_and_nothing_is_written(
    tmp_path: Path, block: Mapping[str, Any], inputs: ReportInputs, metrics: Metrics
) -> None:
    out = tmp_path / "page.html"
    write_metrics(metrics, inputs.metrics)
    with pytest.raises(UserError, match="dvc repro evaluate@earth"):
        write_report("earth", PARAMS, block, inputs, out)
    assert not out.exists()


def test_weight_files_are_listed_in_order_with_what_they_hold(tmp_path: Path) -> None:
    shapes = {"vae": [3, 4], "unet": [2, 5, 7]}
    for name, shape in shapes.items():
        header = json.dumps(
            {
                "__metadata__": {"format": "pt"},
                "w": {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]},
            }
        ).encode()
        (tmp_path / name).mkdir()
        content = struct.pack("<Q", len(header)) + header
        (tmp_path / name / "model.safetensors").write_bytes(content)
    files = weight_files(tmp_path)
    assert [(file.name, file.values) for file in files] == [
        ("unet/model.safetensors", 70),
        ("vae/model.safetensors", 12),
    ]
    assert len({file.sha256 for file in files}) == 2


class Mirror:
    """Stands in for a checkpoint: segments by the red channel, synthesizes the seed."""

    config = SimpleNamespace()

    def segment(self, image: Image.Image) -> list[np.ndarray]:
        return [np.asarray(image)[:, :, 0] % 3]

    def synthesize(self, label: np.ndarray, seed: int) -> list[Image.Image]:
        return [Image.fromarray(np.full((*label.shape, 3), seed, np.uint8))]


def test_examples_hold_a_synthesis_for_every_seed(tmp_path: Path) -> None:
    image = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)
    members = {"image.png": png_bytes(image), "label.png": png_bytes(image[:, :, 0] % 2)}
    tested = ShardFolder(shard_folder(((f"k{i}", members) for i in range(5)), tmp_path, 2, {}))
    pipeline: Any = Mirror()
    examples = make_examples(pipeline, tested, ReportParams(examples=3, seeds=(7, 9)))
    assert [example.key for example in examples] == ["k0", "k2", "k4"]
    for example in examples:
        np.testing.assert_array_equal(example.image, image)
        np.testing.assert_array_equal(example.segmentation, image[:, :, 0] % 3)
        assert [int(picture.max()) for picture in example.syntheses] == [7, 9]


def test_details_of_another_evaluation_are_refused_and_nothing_is_written(
    tmp_path: Path, block: Mapping[str, Any], inputs: ReportInputs
) -> None:
    out = tmp_path / "page.html"
    sound = read_details(inputs.details).segmentation
    assert sound is not None
    fewer = sound.model_copy(update={"keys": ["a"], "miou_by_image": [0.5]})
    other_steps = sound.model_copy(update={"steps": sound.steps + 1})
    for other in (fewer, other_steps, None):
        write_details(Details(segmentation=other), inputs.details)
        with pytest.raises(UserError, match=r"details\.json is of another evaluation than .*dvc"):
            write_report("earth", PARAMS, block, inputs, out)
    inputs.details.unlink()
    with pytest.raises(UserError, match=r"details\.json"):
        write_report("earth", PARAMS, block, inputs, out)
    assert not out.exists()


def test_what_the_training_logged_comes_with_the_checkpoint(
    block: Mapping[str, Any], inputs: ReportInputs
) -> None:
    curve = TrainingCurve(steps=[1], values={"loss": [0.5]})
    write_curve(curve, inputs.pipeline)
    content = gather("earth", PARAMS, block, inputs)
    assert content.curve == curve
    # Both ends of three examples, and both ends of the scores.
    assert [film.key for film in content.films] == ["test_0", "test_2"]
    assert len(content.extremes.worst) == len(content.extremes.best) == 4
    assert {sample.miou for sample in content.extremes.worst} == {0.25}
