from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from semflow.core.errors import UserError
from semflow.datasets import earth
from semflow.datasets.earth import FETCH, IMAGE_FILE, LABEL_FILE, EarthReader, majority
from semflow.datasets.readers import open_reader
from semflow.datasets.schema import EarthClass, EarthIndex, SplitStride
from semflow.schema import read_params
from tools.closure import ROOT

WIDTH, HEIGHT = 5400, 120  # all longitudes, eight degrees from the north pole down
LABEL_WIDTH, LABEL_HEIGHT = 7200, 160

COMMITTED = read_params(ROOT / "params.yaml").dataset("earth").index
assert isinstance(COMMITTED, EarthIndex)
PARAMS = COMMITTED.model_copy(
    update={
        "tile_size": 32,
        "stride": SplitStride(train=16, val=8, test=32),
        "mode_filter": 3,
        "latitudes": (83.0, 89.0),
        "min_land": 0.5,
        "block_degrees": 20,
        "hold_out_every": 3,
        "gap": 24,
    }
)


def slow_majority(label: NDArray[np.uint8], window: int) -> NDArray[np.uint8]:
    """Counts every window by itself."""
    margin = window // 2
    rows, columns = label.shape
    out = np.empty_like(label)
    for y in range(rows):
        for x in range(columns):
            votes: Counter[int] = Counter()
            for dy in range(-margin, margin + 1):
                for dx in range(-margin, margin + 1):
                    row, column = min(max(y + dy, 0), rows - 1), min(max(x + dx, 0), columns - 1)
                    votes[int(label[row, column])] += 1
            most = max(votes.values())
            winners = sorted(class_id for class_id, count in votes.items() if count == most)
            out[y, x] = label[y, x] if label[y, x] in winners else winners[0]
    return out


def test_a_lone_pixel_takes_the_class_around_it() -> None:
    label = np.zeros((5, 5), np.uint8)
    label[2, 2] = 1
    assert not majority(label, 2, 3).any()


def test_a_straight_border_stays_where_it_is() -> None:
    label = np.repeat(np.array([[0, 0, 0, 1, 1, 1]], np.uint8), 6, axis=0)
    assert np.array_equal(majority(label, 2, 5), label)


def test_of_classes_that_are_equally_frequent_the_pixels_own_wins() -> None:
    # Around the centre: four of class 0, four of class 2, and the centre itself of class 2 or 0.
    around = [0, 0, 0, 2, -1, 2, 2, 2, 1]
    for own, expected in ((2, 2), (0, 0), (1, 2)):
        label = np.array([own if c < 0 else c for c in around], np.uint8).reshape(3, 3)
        assert majority(label, 3, 3)[1, 1] == expected


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 5]), st.integers(1, 5))
def test_the_majority_equals_a_count_of_every_window(seed: int, window: int, classes: int) -> None:
    draws = np.random.default_rng(seed)
    shape = tuple(draws.integers(1, 8, 2))
    label = draws.integers(0, classes, shape).astype(np.uint8)
    assert np.array_equal(majority(label, classes, window), slow_majority(label, window))


def test_a_window_without_a_centre_is_refused() -> None:
    with pytest.raises(ValueError, match="mode_filter must be odd, got 4"):
        majority(np.zeros((3, 3), np.uint8), 1, 4)


def merging(*groups: tuple[int, ...]) -> tuple[EarthClass, ...]:
    """Classes of these land cover classes; their colours tell them apart."""
    return tuple(
        EarthClass(name=f"class {number}", color=(number, 0, 0), igbp=group)
        for number, group in enumerate(groups)
    )


LAND = tuple(range(1, 17))


@pytest.mark.parametrize(
    ("groups", "complaint"),
    [
        (((0,), LAND[:-1]), r"igbp classes \[16\] are in no class; add them to one"),
        (((0,), LAND, (4,)), "igbp class 4 is there twice"),
        (((0, *LAND),), "class 'class 0' merges water with land, which min_land tells apart"),
        (((3,), (0, 1)), r"igbp classes \[2, 4, "),
        (((0,), LAND, ()), "at least 1 item"),
        (((0,), (*LAND, 17)), "less than or equal to 16"),
    ],
)
def test_the_land_covers_classes_are_each_in_exactly_one_class(
    groups: tuple[tuple[int, ...], ...], complaint: str
) -> None:
    classes = [{"name": f"class {i}", "color": (i, 0, 0), "igbp": g} for i, g in enumerate(groups)]
    values = PARAMS.model_dump() | {"classes": classes}
    with pytest.raises(ValueError, match=complaint):
        EarthIndex.model_validate(values)


def test_two_classes_of_one_name_are_refused() -> None:
    classes = [one.model_dump() | {"name": "land"} for one in merging((0,), LAND)]
    with pytest.raises(ValueError, match="class 'land' is there twice"):
        EarthIndex.model_validate(PARAMS.model_dump() | {"classes": classes})


@pytest.fixture(scope="module")
def planet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The northern rim of a made-up planet: a random coast, colours that tell the longitude."""
    raw = tmp_path_factory.mktemp("raw")
    draws = np.random.default_rng(0)
    coarse = draws.integers(0, 17, (LABEL_HEIGHT // 20, LABEL_WIDTH // 20))
    coarse[draws.random(coarse.shape) < 0.3] = 0
    label = np.kron(coarse, np.ones((20, 20))).astype(np.uint8)
    Image.fromarray(label).save(raw / LABEL_FILE, compression="tiff_adobe_deflate")
    # Smooth colours survive JPEG within a few grey levels.
    columns, rows = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    image = np.stack([columns // 27, rows, 255 - columns // 27], axis=-1).astype(np.uint8)
    Image.fromarray(image).save(raw / IMAGE_FILE, quality=95)
    return raw


@pytest.fixture
def reader(planet: Path, monkeypatch: pytest.MonkeyPatch) -> EarthReader:
    """Reads the made-up planet; only its sizes differ from Earth's."""
    monkeypatch.setattr(earth, "IMAGE_SIZE", (WIDTH, HEIGHT))
    monkeypatch.setattr(earth, "LABEL_SIZE", (LABEL_WIDTH, LABEL_HEIGHT))
    return EarthReader(planet, PARAMS)


def test_a_reader_is_sent_to_a_worker_without_the_planet(reader: EarthReader) -> None:
    sample = next(reader.samples())
    image, label = reader.read(sample)
    sent = pickle.dumps(reader)
    assert len(sent) < 2000
    again_image, again_label = pickle.loads(sent).read(sample)
    # Both readers cut their tiles out of the one planet that this process has opened.
    assert np.shares_memory(image, again_image)
    assert np.shares_memory(label, again_label)


def columns_between(one: int, other: int, tile: int) -> int:
    """Columns between two tiles on the globe, where the last is next to the first."""
    ahead = (other - one) % WIDTH
    return min(ahead, WIDTH - ahead) - tile


@pytest.mark.parametrize("split", ["val", "test"])
def test_no_held_out_tile_comes_closer_than_the_gap_to_a_train_tile(
    reader: EarthReader, split: str
) -> None:
    places: dict[str, set[int]] = {"train": set(), "val": set(), "test": set()}
    for sample in reader.samples():
        places[sample.split].add(int(sample.place["x"]))
    assert min(map(len, places.values())) > 25
    nearest = min(
        columns_between(held_out, train, PARAMS.tile_size)
        for held_out in places[split]
        for train in places["train"]
    )
    # Tiles start at the very edge of their blocks, so the bound is reached.
    assert nearest >= PARAMS.gap
    assert nearest < PARAMS.gap + PARAMS.stride.train


def test_every_third_block_of_longitude_is_held_out(reader: EarthReader) -> None:
    for sample in reader.samples():
        first = int(sample.place["x"]) // 300
        last = (int(sample.place["x"]) + PARAMS.tile_size - 1) // 300
        assert first == last
        held_out = {3: "val", 12: "val", 0: "test", 6: "test", 9: "test", 15: "test"}
        assert sample.split == held_out.get(first, "train")
        assert sample.place["group"] == first


def test_tiles_lie_between_the_latitudes_and_have_enough_land(reader: EarthReader) -> None:
    samples = list(reader.samples())
    for sample in samples:
        # One row is a fifteenth of a degree; 89 degrees north is row 15, 83 is row 105.
        assert 15 <= int(sample.place["y"]) <= 105 - PARAMS.tile_size
        _, label = reader.read(sample)
        assert np.mean(label != 0) >= PARAMS.min_land
    assert [sample.key for sample in samples] == [sample.key for sample in reader.samples()]
    assert len({sample.key for sample in samples}) == len(samples)
    assert len({int(sample.place["y"]) for sample in samples}) > 1


def test_without_a_condition_on_land_the_grid_of_tiles_is_complete(
    planet: Path, reader: EarthReader
) -> None:
    samples = list(EarthReader(planet, PARAMS.model_copy(update={"min_land": 0.0})).samples())
    # Rows: (90 - 32) // stride + 1; columns: (300 - 2 * gap - 32) // stride + 1 in each block.
    train, val = (90 - 32) // 16 + 1, (90 - 32) // 8 + 1
    assert sum(s.split == "train" for s in samples) == 12 * train * ((300 - 32) // 16 + 1)
    assert sum(s.split == "val" for s in samples) == 2 * val * ((300 - 48 - 32) // 8 + 1)
    test = (90 - 32) // 32 + 1
    assert sum(s.split == "test" for s in samples) == 4 * test * ((300 - 48 - 32) // 32 + 1)
    assert len(samples) > len(list(reader.samples()))


def test_a_tile_is_its_own_place_in_imagery_and_land_cover(
    planet: Path, reader: EarthReader
) -> None:
    raw = np.asarray(Image.open(planet / LABEL_FILE))
    merged = {igbp: c for c, one in enumerate(PARAMS.classes) for igbp in one.igbp}
    sample = next(s for s in reader.samples() if int(s.place["x"]) > 3000)
    y, x = int(sample.place["y"]), int(sample.place["x"])
    image, label = reader.read(sample)
    assert image.shape == (32, 32, 3)
    assert label.shape == (32, 32)
    assert image.dtype == label.dtype == np.uint8
    expected = np.stack(np.meshgrid((x + np.arange(32)) // 27, y + np.arange(32)), axis=-1)
    assert np.abs(image[..., :2].astype(int) - expected).max() <= 6
    # In the middle of a patch of 15 pixels no filter and no rounding reaches another class.
    for row in range(32):
        for column in range(32):
            if (y + row) % 15 == 7 and (x + column) % 15 == 7:
                assert label[row, column] == merged[raw[(y + row) * 4 // 3, (x + column) * 4 // 3]]


@pytest.mark.usefixtures("reader")
def test_land_cover_is_brought_to_the_imagerys_grid_by_its_nearest_pixel(planet: Path) -> None:
    raw = np.asarray(Image.open(planet / LABEL_FILE))
    merged = np.zeros(17, np.uint8)
    for class_id, one in enumerate(PARAMS.classes):
        merged[list(one.igbp)] = class_id
    unfiltered = EarthReader(planet, PARAMS.model_copy(update={"mode_filter": 1}))
    for sample in list(unfiltered.samples())[::200]:
        y, x = (int(sample.place[axis]) + np.arange(32) for axis in ("y", "x"))
        _, label = unfiltered.read(sample)
        # Pixel i is centred at (4 i + 2) / 3 in the finer grid, for every third on a border.
        candidates = [
            merged[raw[np.ix_(rows, columns)]]
            for rows in ((4 * y + 2) // 3, (4 * y + 1) // 3)
            for columns in ((4 * x + 2) // 3, (4 * x + 1) // 3)
        ]
        assert np.any([label == candidate for candidate in candidates], axis=0).all()


def test_classes_are_the_parameters_in_their_order(planet: Path, reader: EarthReader) -> None:
    assert reader.classes.names == tuple(one.name for one in PARAMS.classes)
    # Other mergings, and water that is not the first: the same planet, opened anew.
    classes = merging((1, 2, 3, 16), tuple(range(4, 16)), (0,))
    params = PARAMS.model_copy(update={"classes": classes, "mode_filter": 1})
    other = EarthReader(planet, params)
    assert other.classes.names == ("class 0", "class 1", "class 2")
    assert other.classes.colors == ((0, 0, 0), (1, 0, 0), (2, 0, 0))
    assert other.classes.mirrored == (0, 1, 2)
    fine = EarthReader(
        planet, params.model_copy(update={"classes": merging(*((i,) for i in range(17)))})
    )
    table = np.array([2, 0, 0, 0, *[1] * 12, 0])
    samples = list(other.samples())
    # Without a filter what is land does not depend on how land is merged.
    assert [sample.key for sample in samples] == [sample.key for sample in fine.samples()]
    for sample in samples[::200]:
        _, label = other.read(sample)
        assert np.mean(label != 2) >= PARAMS.min_land
        assert np.array_equal(label, table[fine.read(sample)[1]])


def test_opening_the_reader_needs_both_files(tmp_path: Path) -> None:
    for missing, present in ((IMAGE_FILE, LABEL_FILE), (LABEL_FILE, IMAGE_FILE)):
        folder = tmp_path / missing
        folder.mkdir()
        (folder / present).touch()
        with pytest.raises(UserError) as refusal:
            open_reader(folder, PARAMS)
        assert str(refusal.value) == f"{folder / missing} is missing; fetch it with: {FETCH}"


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("name", [IMAGE_FILE, LABEL_FILE])
def test_a_damaged_or_wrong_raw_file_is_named(
    name: str, planet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(earth, "IMAGE_SIZE", (WIDTH, HEIGHT))
    monkeypatch.setattr(earth, "LABEL_SIZE", (LABEL_WIDTH, LABEL_HEIGHT))
    for file in (IMAGE_FILE, LABEL_FILE):
        (tmp_path / file).write_bytes((planet / file).read_bytes())
    whole = (tmp_path / name).read_bytes()
    params = PARAMS.model_copy(update={"min_land": 0.0})

    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    assert f"{name} is unreadable" in _refusal_of(tmp_path, params)
    (tmp_path / name).write_bytes(b"no image at all")
    assert f"{name} is unreadable" in _refusal_of(tmp_path, params)
    Image.new("L", (30, 20)).save(tmp_path / name)
    assert f"{name} is 30x20, expected " in _refusal_of(tmp_path, params)


def _refusal_of(raw: Path, params: EarthIndex) -> str:
    reader = EarthReader(raw, params)
    with pytest.raises(UserError) as refusal:
        [reader.read(sample) for sample in reader.samples()]
    assert "\n" not in str(refusal.value)
    return str(refusal.value)
