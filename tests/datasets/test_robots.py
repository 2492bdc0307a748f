from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
import sys
from collections import defaultdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from support.robot_layers import BOXES, SIDE, make_layers, save
from support.tiny_data import SHAPE, index_of, pixels_of

from semflow.core.errors import UserError
from semflow.datasets.base import Sample
from semflow.datasets.readers import open_reader
from semflow.datasets.robots import (
    BACKGROUNDS,
    CLASS_IDS,
    COLORS,
    DESIGNS,
    HELD_OUT,
    PARTS,
    RobotsReader,
)
from semflow.datasets.schema import RobotsIndex
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder
from semflow.shards.tar import png_pixels
from tools.closure import ROOT

BLOCK: dict[str, Any] = {
    "reader": "robots",
    "samples": {"train": 40, "val": 12, "test": 12},
    "size": SIDE,
    "seed": 0,
    "max_across": 0.1,
    "down": [0.0, 0.1],
    "scale": [0.8, 1.25],
    "max_rejects": 0,
}
FETCH = "dvc repro stages/dvc.yaml:raw@robots"


def params(**changes: Any) -> RobotsIndex:
    return RobotsIndex.model_validate(BLOCK | changes)


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_layers(tmp_path_factory.mktemp("raw"))


@pytest.fixture
def own_layers(tmp_path: Path) -> Path:
    return make_layers(tmp_path / "raw")


def digest(reader: RobotsReader) -> str:
    found = hashlib.sha256()
    for sample in reader.samples():
        found.update(json.dumps([sample.key, sample.split, dict(sample.place)]).encode())
        for pixels in reader.read(sample):
            found.update(pixels.tobytes())
    return found.hexdigest()


def design_of(place: str) -> int:
    return int(Path(place).stem.rpartition("-")[2])


def test_the_topmost_part_is_the_label_and_the_paint_says_which_design_it_is(layers: Path) -> None:
    reader = RobotsReader(layers, params(max_across=0.0, down=[0.0, 0.0], scale=[1.0, 1.0]))
    for sample in reader.samples():
        image, label = reader.read(sample)
        expected = np.full((SIDE, SIDE), CLASS_IDS["background"])
        for part in ("body", "face", "accessory", "eyes", "mouth"):
            left, top, right, bottom = BOXES[part]
            design = design_of(str(sample.place[part]))
            expected[top:bottom, left : right + design % 2] = CLASS_IDS[part]
        # Unmoved and unscaled, every pixel is one of a layer.
        assert np.array_equal(label, expected)
        color = COLORS.index(str(sample.place["face"]).split("/")[1])
        for order, part in enumerate(PARTS):
            paint = [20 * order, 20 * design_of(str(sample.place[part])), 20 * color]
            assert (image[label == CLASS_IDS[part]] == paint).all()
        name = str(sample.place["background"]).partition("#")[2].removesuffix(".png")
        grey = 10 * BACKGROUNDS.index(name)
        assert (image[label == CLASS_IDS["background"]] == grey).all()


def test_keys_are_split_and_number_and_more_samples_change_none_before(layers: Path) -> None:
    few = list(RobotsReader(layers, params()).samples())
    many = list(
        RobotsReader(layers, params(samples={"train": 60, "val": 12, "test": 30})).samples()
    )
    assert [sample.key for sample in few[:2]] == ["train_000000", "train_000001"]
    assert few[-1] == Sample("test_000011", "test", few[-1].place)
    assert [sample.split for sample in few] == ["train"] * 40 + ["val"] * 12 + ["test"] * 12
    by_key = {sample.key: sample for sample in many}
    assert all(by_key[sample.key] == sample for sample in few)
    assert len({json.dumps(dict(sample.place), sort_keys=True) for sample in many}) == len(many)


@settings(max_examples=25)
@given(st.integers(0, 2**63 - 1))
def test_every_robot_of_val_and_test_has_a_design_that_no_other_split_has(
    layers: Path, seed: int
) -> None:
    colors: defaultdict[str, set[str]] = defaultdict(set)
    for sample in RobotsReader(layers, params(seed=seed)).samples():
        designs = {design_of(str(sample.place[part])) for part in PARTS}
        others = {own for split, own in HELD_OUT.items() if split != sample.split}
        assert not designs & others
        assert sample.split not in HELD_OUT or HELD_OUT[sample.split] in designs
        # One robot has one colour.
        (color,) = {str(sample.place[part]).split("/")[1] for part in PARTS}
        colors[sample.split].add(color)
        assert -100 <= int(sample.place["across"]) <= 100
        assert 0 <= int(sample.place["down"]) <= 100
        assert 800 <= int(sample.place["scale"]) <= 1250
    assert len(colors["train"]) > 5


def test_every_design_colour_and_background_occurs(layers: Path) -> None:
    samples = {"train": 400, "val": 100, "test": 100}
    used = {
        value
        for sample in RobotsReader(layers, params(samples=samples)).samples()
        for value in sample.place.values()
    }
    seen = {
        (part, design_of(str(value)))
        for value in used
        if isinstance(value, str) and value.startswith("set1")
        for part in PARTS
        if f"#{PARTS[part]}/" in value
    }
    assert seen == {(part, design) for part in PARTS for design in DESIGNS}
    assert sum(str(value).startswith("backgrounds") for value in used) == len(BACKGROUNDS) == 20


def test_robots_are_the_same_bytes_in_every_process_and_others_with_another_seed(
    layers: Path,
) -> None:
    here = digest(RobotsReader(layers, params()))
    assert digest(RobotsReader(layers, params())) == here
    assert digest(RobotsReader(layers, params(seed=1))) != here
    code = (
        "import sys; from pathlib import Path; sys.path[:0] = ['tests', '.']\n"
        "from datasets.test_robots import digest, params\n"
        "from semflow.datasets.robots import RobotsReader\n"
        "print(digest(RobotsReader(Path(sys.argv[1]), params())))"
    )
    command = [sys.executable, "-c", code, str(layers)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == here


def test_a_reader_is_sent_to_a_worker_without_its_layers(layers: Path) -> None:
    reader = RobotsReader(layers, params())
    sample = next(reader.samples())
    reader.read(sample)
    sent = pickle.dumps(reader)
    assert len(sent) < 2000
    for here, there in zip(reader.read(sample), pickle.loads(sent).read(sample), strict=True):
        assert np.array_equal(here, there)


def test_what_is_read_is_the_callers_own(layers: Path) -> None:
    reader = RobotsReader(layers, params())
    sample = next(reader.samples())
    image, label = reader.read(sample)
    image[:], label[:] = 0, 0
    again, label_again = reader.read(sample)
    assert again.any()
    assert label_again.any()


@pytest.mark.parametrize(
    "lost",
    ["set1/red/*#Mouth/*-07.png", "set1/white/*#01Body/*-10.png", "backgrounds/*/*#final1.png"],
)
def test_a_missing_layer_is_told_with_the_command_that_fetches_it(
    own_layers: Path, lost: str
) -> None:
    (path,) = own_layers.glob(lost)
    path.unlink()
    with pytest.raises(UserError) as refusal:
        open_reader(own_layers, params())
    message = str(refusal.value)
    assert message.startswith(f"{own_layers}/{lost.split('*')[0]}")
    assert message.endswith(f"{lost.rpartition('/')[2][-8:]} is missing; fetch it with: {FETCH}")
    assert "\n" not in message


def test_an_unreadable_layer_is_told_with_the_command_that_fetches_it(own_layers: Path) -> None:
    reader = RobotsReader(own_layers, params())
    sample = next(reader.samples())
    path = own_layers / str(sample.place["eyes"])
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(UserError) as refusal:
        reader.read(sample)
    message = str(refusal.value)
    assert message.startswith(f"{own_layers}: {path.name} is unreadable (")
    assert message.endswith(f"; delete that folder and run: {FETCH}")


def test_index_and_shards_hold_what_the_reader_makes(layers: Path, tmp_path: Path) -> None:
    reader = open_reader(layers, params())
    assert isinstance(reader, RobotsReader)
    index = index_of(reader, tmp_path / "index")
    assert index.counts == BLOCK["samples"]
    assert index.rejects == ()
    header = json.loads((tmp_path / "index" / "index.json").read_text("utf-8"))
    assert len(header["raw_files"]) == 520
    pixels_of(index, reader, SHAPE, tmp_path / "shards")
    for split, count in BLOCK["samples"].items():
        folder = ShardFolder(read_manifest(tmp_path / "shards" / split))
        assert len(folder) == count
    for place, sample in enumerate(islice(index.samples("val"), 3)):
        native = ShardFolder(read_manifest(tmp_path / "shards" / "val"))
        _, label = reader.read(sample)
        assert np.array_equal(png_pixels(native.read(place, "native_label.png")), label)


def test_every_class_occurs_in_every_split(layers: Path) -> None:
    reader = RobotsReader(layers, params())
    found: defaultdict[str, set[int]] = defaultdict(set)
    for sample in reader.samples():
        found[sample.split] |= set(np.unique(reader.read(sample)[1]).tolist())
    assert found == {split: set(range(len(CLASS_IDS))) for split in ("train", "val", "test")}


def test_the_committed_parameters_make_no_sample_twice(layers: Path) -> None:
    block = YAML(typ="safe").load(ROOT / "params.yaml")["robots"]["index"]
    places = [
        tuple(sorted((name, str(value)) for name, value in sample.place.items()))
        for sample in RobotsReader(layers, RobotsIndex.model_validate(block)).samples()
    ]
    assert len(places) == sum(block["samples"].values())
    assert len(set(places)) == len(places)


def test_another_colours_file_is_not_taken_for_a_layer(own_layers: Path) -> None:
    (path,) = own_layers.glob("set1/blue/*#Eyes/*-03.png")
    save(np.zeros((4, 4, 4), np.uint8), path.with_name("000#red_eyes-03.png"))
    path.unlink()
    with pytest.raises(UserError, match=r"blue_\*-03\.png is missing"):
        RobotsReader(own_layers, params())
