from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from semflow.core.errors import UserError
from semflow.core.files import write_json
from semflow.cost import page
from semflow.cost.disk import mask_members, npy_bytes, tar_bytes
from semflow.cost.hardware import GPU_TABLE, gpu_hours
from semflow.cost.layers import Size, Work
from semflow.cost.samples import samples_of
from semflow.cost.sheet import Sheet, make_sheet
from semflow.networks.schema import HubSource
from semflow.schema import DatasetParams, read_params
from semflow.shards.tar import write_shard
from tools.closure import ROOT

NOWHERE = Path("no/index")
PARAMS = read_params(ROOT / "params.yaml")
STABLE_DIFFUSION = "stable-diffusion-v1-5/stable-diffusion-v1-5"


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks in folders have paths below the root."""
    monkeypatch.chdir(ROOT)


def changed(block: DatasetParams, group: str, **values: Any) -> DatasetParams:
    """A block with some values of one group replaced."""
    new = getattr(block, group).model_copy(update=values)
    return block.model_copy(update={group: new})


def sheet(name: str, block: DatasetParams | None = None, **options: Any) -> Sheet:
    return make_sheet(name, block or PARAMS.dataset(name), NOWHERE, 0.4, **options)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("cityscapes", (2_826, 149, 500)),
        ("celebamask_hq", (24_183, 2_993, 2_824)),
        ("coco_stuff", (112_372, 5_915, 5_000)),
        ("robots", (6_000, 512, 1_024)),
    ],
)
def test_samples_are_those_that_the_readers_find(name: str, counts: tuple[int, int, int]) -> None:
    found = samples_of(name, PARAMS.dataset(name).index, NOWHERE)
    assert (found.train, found.val, found.test) == counts


def test_an_index_says_how_many_there_are_and_earth_has_a_bound_without_one(
    tmp_path: Path,
) -> None:
    index = PARAMS.dataset("earth").index
    bound = samples_of("earth", index, tmp_path)
    assert "at most" in bound.source
    write_json(tmp_path / "index.json", {"counts": {"train": 2_353, "val": 45, "test": 96}})
    found = samples_of("earth", index, tmp_path)
    assert (found.train, found.val, found.test) == (2_353, 45, 96)
    # A third of the planet is land; never fewer places than tiles.
    assert 1 < bound.train / found.train < 4
    assert bound.val >= found.val
    assert bound.test >= found.test


def test_a_training_step_is_three_passes_and_an_encoding_of_the_masks() -> None:
    found = sheet("cityscapes")
    network, coder = found.network, found.autoencoder
    assert found.training.network.flops == pytest.approx(3 * 256 * network.flops, rel=0.001)
    assert found.training.masks.flops == 256 * coder.encoder.flops
    assert found.training.own_states.flops == found.training.anchors.flops == 0
    cached = changed(PARAMS.dataset("cityscapes"), "latents", mask_noise="variants")
    assert sheet("cityscapes", cached).training.masks.flops == 0


def test_own_states_and_anchor_loss_cost_their_expected_passes() -> None:
    found = sheet("earth")
    # Half of what lies between the ends, 0.74 of the draws, in 2.5 steps each in the mean.
    own = 0.5 * (1 - 0.2 - 0.06)
    assert found.training.own_states.flops == pytest.approx(32 * own * 2.5 * found.network.flops)
    passes = 2 * (0.2 + own)
    decoder = found.autoencoder.decoder.flops
    assert found.training.anchors.flops == pytest.approx(32 * passes * decoder)


@pytest.mark.parametrize(
    ("solver", "evaluations"), [("euler", 1), ("midpoint", 2), ("heun", 2), ("ddim", 1)]
)
def test_solver_steps_cost_their_evaluations(solver: str, evaluations: int) -> None:
    block = changed(PARAMS.dataset("cityscapes"), "inference", solver=solver)
    more, fewer = (sheet("cityscapes", block, num_steps=steps) for steps in (10, 4))
    difference = 6 * evaluations * more.network.flops
    assert more.segment.flops - fewer.segment.flops == pytest.approx(difference)
    assert more.synthesize.flops == more.segment.flops


def test_memory_counts_the_average_where_one_is_asked() -> None:
    block = PARAMS.dataset("cityscapes")
    without = sheet("cityscapes").memory
    weights = 4 * 859_520_964
    assert (without.weights, without.gradients, without.moments) == (weights, weights, 2 * weights)
    assert (without.average, without.half_weights) == (0, weights // 2)
    with_average = sheet("cityscapes", changed(block, "train", ema_decay=0.999)).memory
    assert with_average.average == weights
    single = sheet("cityscapes", changed(block, "train", mixed_precision="no")).memory
    assert single.half_weights == 0


@pytest.mark.parametrize(("samples", "crops"), [(5, 1), (4, 2), (1, 1)])
def test_bytes_of_tars_are_those_that_are_written(tmp_path: Path, samples: int, crops: int) -> None:
    members, packing = [100, 512, 1_000], 2
    written = 0
    for first in range(0, samples, packing):
        count = min(packing, samples - first) * crops
        records = [
            (str(number), {f"m{k}": bytes(size) for k, size in enumerate(members)})
            for number in range(count)
        ]
        path = tmp_path / f"{first}.tar"
        write_shard(records, path)
        written += path.stat().st_size
    assert tar_bytes(samples, crops, members, packing) == written


def test_image_latents_are_two_members_of_float16_for_each_sample() -> None:
    # What the stage writes for Earth's 2,353 train tiles in shards of 512.
    assert npy_bytes(2 * 32 * 16 * 16) == 32_896
    assert tar_bytes(2_353, 1, [32_896] * 2, 512) == 159_068_160


@pytest.mark.parametrize(
    ("mode", "members"),
    [("online", []), ("variants", [328] * 6), ("moments", [528] * 2)],
)
def test_mask_latents_have_the_members_of_their_noise_mode(mode: str, members: list[int]) -> None:
    assert mask_members(mode, 3, 100) == members


def test_mask_latents_of_every_mode_are_listed_and_the_configured_one_is_marked() -> None:
    found = sheet("cityscapes")
    assert found.disk.mask_latents["online"] == 0
    # Four draws of C numbers each way, or mean and deviation each way.
    ratio = found.disk.mask_latents["variants"] / found.disk.mask_latents["moments"]
    assert ratio == pytest.approx(2, rel=0.01)
    assert found.disk.mask_latents["moments"] == pytest.approx(
        found.disk.image_latents * found.samples.train / (found.samples.train + 649), rel=0.01
    )
    assert page.text(found).count("as configured") == 1
    assert "mask latents, online, as configured" in page.text(found)


def test_hours_are_operations_by_eight_times_the_used_peak() -> None:
    a100, h100 = GPU_TABLE
    assert gpu_hours(Work(312e12, 312e12), Work(), a100, 0.5) == pytest.approx(2 / 4 / 3600)
    assert gpu_hours(Work(), Work(156e12, 19.5e12), a100, 1.0) == pytest.approx(2 / 8 / 3600)
    assert gpu_hours(Work(989e12), Work(), h100, 1.0) == pytest.approx(1 / 8 / 3600)
    once, twice = (
        make_sheet("cityscapes", PARAMS.dataset("cityscapes"), NOWHERE, share)
        for share in (0.2, 0.4)
    )
    assert once.hours["A100 SXM"][0] == pytest.approx(2 * twice.hours["A100 SXM"][0])


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.0001234, "0.000123"), (7.018, "7.02"), (1234.5, "1,234"), (99.99, "100")],
)
def test_numbers_have_three_figures_or_all_before_the_point(value: float, shown: str) -> None:
    assert page.figure(value) == shown


def test_a_repository_of_unknown_sizes_is_one_line() -> None:
    source = HubSource(
        source="hub", repo_id="someone/something", revision="0" * 40, subfolder="unet"
    )
    block = PARAMS.dataset("cityscapes").model_copy(update={"backbone": source})
    with pytest.raises(UserError, match="sizes of someone/something/unet are not known") as error:
        sheet("cityscapes", block)
    assert STABLE_DIFFUSION in str(error.value)
    assert "\n" not in str(error.value)


def test_the_table_shows_what_the_json_holds() -> None:
    found = sheet("earth")
    values, text = page.as_json(found), page.text(found)
    assert values["memory_bytes"]["total"] == found.memory.total
    assert f"{values['parameters']['unet']:,}" in text
    assert page.figure(values["flops"]["training"] / 1e12) in text
    assert all(source in text for source in page.SOURCES)
    assert Size(*values["latents"][1:]) == found.autoencoder.latents


@pytest.mark.parametrize("name", ["cityscapes", "celebamask_hq", "coco_stuff", "earth"])
def test_docs_hold_the_sheets_as_the_command_prints_them(name: str) -> None:
    table = page.text(sheet(name)).split("\n\nformulas and sources")[0]
    assert table in (ROOT / "docs" / "cost.md").read_text("utf-8")
