from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from semflow.core.errors import UserError
from semflow.schema import read_params, validate_params
from tools.closure import ROOT

Values = dict[str, Any]
COMMITTED: Values = YAML(typ="safe").load(ROOT / "params.yaml")


@pytest.fixture
def values() -> Values:
    """The plain values of the repository's params.yaml."""
    return copy.deepcopy(COMMITTED)


def complaint(values: object) -> str:
    """The error that values meet, which must be one line of bearable length."""
    with pytest.raises(UserError) as refusal:
        validate_params(values, "params.yaml")
    message = str(refusal.value)
    assert "\n" not in message
    return message


def change(path: str, value: object) -> Callable[[Values], None]:
    """Sets the value at a dotted path."""

    def apply(values: Values) -> None:
        *parents, last = path.split(".")
        for parent in parents:
            values = values[parent]
        values[last] = value

    return apply


def remove(path: str) -> Callable[[Values], None]:
    """Deletes the key at a dotted path."""

    def apply(values: Values) -> None:
        *parents, last = path.split(".")
        for parent in parents:
            values = values[parent]
        del values[last]

    return apply


def test_the_repositorys_own_file_fits_the_schema(values: Values) -> None:
    params = read_params(ROOT / "params.yaml")
    for name, block in params.blocks.items():
        assert block.model_dump(mode="json") == values[name]
        assert params.dataset(name) is block
    assert params.blocks.keys() == values.keys() - {"datasets"}


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("earth.train.lerning_rate", "learning_rate"),
        ("earth.index.stride.vall", "val"),
        ("earth.noise.amplitud", "amplitude"),
        ("earth.palette.schem", "scheme"),
        ("earth.evaluate.sample", "samples"),
        ("earth.inferense", "inference"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(
    values: Values, path: str, nearest: str
) -> None:
    change(path, 1)(values)
    assert complaint(values) == f"params.yaml: unknown parameter {path}; did you mean {nearest}?"


def test_an_unknown_key_of_a_union_is_held_against_the_chosen_member(values: Values) -> None:
    values["earth"]["autoencoder"] = {"source": "hub", "repo_id": "a/b", "revision": "c" * 40}
    values["earth"]["autoencoder"] |= {"subfolder": "vae", "revison": "d"}
    assert complaint(values).endswith("earth.autoencoder.revison; did you mean revision?")


def test_an_unknown_key_like_no_other_is_answered_with_all_known_ones(values: Values) -> None:
    change("earth.report.zzz", 1)(values)
    assert complaint(values).endswith(
        "unknown parameter earth.report.zzz; known are examples, seeds"
    )


def test_an_unknown_key_named_like_the_chosen_scheme_is_named_too(values: Values) -> None:
    values["earth"]["palette"] |= {"scheme": "spread", "spread": 1}
    assert "unknown parameter earth.palette.spread;" in complaint(values)


@pytest.mark.parametrize(
    ("apply", "expected"),
    [
        (change("earth.train.steps", "many"), r"earth\.train\.steps = 'many': .*integer"),
        (change("earth.train.steps", 1.5), r"earth\.train\.steps = 1\.5: .*integer"),
        (change("earth.train.steps", None), r"earth\.train\.steps = None: .*integer"),
        (change("earth.train", [1]), r"earth\.train = \[1\]: .*dictionary"),
        (change("earth.shards.image_size", 64), r"earth\.shards\.image_size = 64: .*tuple"),
        (change("earth.train.steps", 0), r"earth\.train\.steps = 0: .*greater than or equal to 1"),
        (
            change("earth.index.min_land", 1.01),
            r"earth\.index\.min_land = 1\.01: .*less than or equal to 1",
        ),
        (
            change("earth.train.learning_rate", float("nan")),
            r"earth\.train\.learning_rate = nan: .*finite number",
        ),
        (
            change("earth.shards.image_size", [64, 0]),
            r"earth\.shards\.image_size\.1 = 0: .*greater than or equal to 1",
        ),
        (
            change("earth.palette.ignore_color", [0, 256, 0]),
            r"earth\.palette\.ignore_color\.1 = 256: .*less than or equal to 255",
        ),
        (
            change("earth.train.schedule", "cosinus"),
            r"earth\.train\.schedule = 'cosinus': .*'constant', 'linear' or 'cosine'",
        ),
        (change("datasets", []), r"datasets = \[\]: .*at least 1"),
        (change("datasets", ["erth"]), r"the file: datasets lists 'erth', .*did you mean earth"),
        (remove("earth.train.steps"), r"missing parameter earth\.train\.steps; add it"),
        (remove("earth"), r"the file: datasets lists 'earth', which has no block"),
        (remove("datasets"), r"missing parameter datasets; add it"),
        (remove("earth.noise"), r"missing parameter earth\.noise; add it"),
        (change("Mars!", 1), r"Mars! = 1: .*dictionary"),
        (remove("earth.index.stride.val"), r"missing parameter earth\.index\.stride\.val; add it"),
        (
            change("earth.palette.scheme", "spraed"),
            r"earth\.palette = .*'spraed'.*'base_k', 'spread'",
        ),
        (remove("earth.palette.scheme"), r"earth\.palette = .*'scheme'"),
        (
            change(
                "earth.autoencoder",
                {"source": "folder", "path": "here", "sha256": "abc", "config_sha256": "0" * 64},
            ),
            r"earth\.autoencoder\.sha256 = 'abc': .*pattern",
        ),
        (
            change(
                "earth.autoencoder",
                {"source": "folder", "path": "here", "config_sha256": "0" * 64},
            ),
            r"missing parameter earth\.autoencoder\.sha256; add it",
        ),
    ],
)
def test_a_misfit_is_one_line_that_names_where_it_is(
    values: Values, apply: Callable[[Values], None], expected: str
) -> None:
    apply(values)
    assert re.fullmatch(f"params\\.yaml: {expected}.*", complaint(values))


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ([0, -1], r"earth\.palette\.class_order\.1 = -1: .*greater than or equal to 0"),
        ("reversed", r"earth\.palette\.class_order = 'reversed': .*"),
    ],
)
def test_a_wrong_order_of_classes_is_named_by_its_own_path(
    values: Values, order: object, expected: str
) -> None:
    values["earth"]["palette"]["class_order"] = order
    assert re.match(f"params\\.yaml: {expected}", complaint(values))


def test_of_several_misfits_the_first_is_described_and_the_others_counted(values: Values) -> None:
    values["earth"]["train"] |= {"steps": 0, "batch_size": 0, "warmup_steps": -1}
    assert complaint(values).startswith("params.yaml: earth.train.steps = 0")
    assert complaint(values).endswith("(and 2 more)")


def test_a_mistyped_key_is_named_and_not_the_one_that_it_leaves_missing(values: Values) -> None:
    train = values["earth"]["train"]
    train["ema_dekay"] = train.pop("ema_decay")
    assert complaint(values) == (
        "params.yaml: unknown parameter earth.train.ema_dekay; did you mean ema_decay? (and 1 more)"
    )


@pytest.mark.parametrize(
    ("block", "contradiction"),
    [
        ("flow", {"probability_at_image": 0.8, "probability_at_mask": 0.8}),
        ("index", {"latitudes": [55.0, -72.0]}),
        # majority() meets an even window with a ValueError, in the middle of a stage.
        ("index", {"mode_filter": 4}),
    ],
)
def test_values_that_contradict_each_other_are_refused(
    values: Values, block: str, contradiction: Values
) -> None:
    values["earth"][block] |= contradiction
    complaint(values)


@pytest.mark.parametrize("solver", ["ddim", "dopri5", "eulr"])
def test_a_solver_that_the_formulation_has_not_is_refused_with_those_that_it_has(
    values: Values, solver: str
) -> None:
    values["earth"]["inference"]["solver"] = solver
    expected = f"semflow is solved by euler, midpoint, heun, and inference.solver is {solver}"
    assert complaint(values).startswith(f"params.yaml: earth: {expected}")


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("flow.t_power", 0.0, "earth.flow.t_power = 0.0: "),
        ("flow.bridge_noise", -0.1, "earth.flow.bridge_noise = -0.1: "),
        ("flow.correction_weight", -1.0, "earth.flow.correction_weight = -1.0: "),
        ("flow.anchor_states", "mask", "earth.flow.anchor_states = 'mask': "),
        (
            "flow.own_states",
            {"share": 1.1, "until": 1.0, "max_steps": 2},
            "earth.flow.own_states.share = 1.1: ",
        ),
        (
            "flow.own_states",
            {"share": 0.5, "until": 1.0, "max_steps": 0},
            "earth.flow.own_states.max_steps = 0: ",
        ),
        (
            "flow.own_states",
            {"share": 0.5, "until": 1.0},
            "missing parameter earth.flow.own_states.max_steps; ",
        ),
        ("flow.own_states", None, "earth.flow: anchor_states: own needs own_states"),
        ("noise.latents", -0.1, "earth.noise.latents = -0.1: "),
        ("noise.cells", [0, 16], "earth.noise.cells.0 = 0: "),
        ("noise.cells", [], "earth.noise.cells = []: "),
        (
            "noise.shares",
            [0.25, 0.5],
            "earth.noise: shares [0.25, 0.5] must be as many as cells [16, 64] and add up to 1",
        ),
        (
            "noise.shares",
            [1.0],
            "earth.noise: shares [1.0] must be as many as cells [16, 64] and add up to 1",
        ),
    ],
)
def test_a_misfit_of_flow_or_noise_is_one_line_that_says_where(
    values: Values, path: str, value: object, expected: str
) -> None:
    change(f"earth.{path}", value)(values)
    assert complaint(values).startswith(f"params.yaml: {expected}")


@pytest.mark.parametrize("weight", ["anchor_loss_weight", "correction_weight"])
def test_a_loss_by_anchors_that_no_draw_is_asked_for_is_refused(
    values: Values, weight: str
) -> None:
    flow = values["earth"]["flow"]
    flow |= {"anchor_loss_weight": 0.0, "correction_weight": 0.0, "probability_at_image": 0.0}
    flow |= {"own_states": None, "anchor_states": "image"}
    validate_params(values, "params.yaml")
    flow[weight] = 0.5
    assert complaint(values) == (
        "params.yaml: earth.flow: no draw is asked for the anchor loss or its correction; "
        "raise probability_at_image"
    )
    flow |= {"own_states": {"share": 0.0, "until": 1.0, "max_steps": 1}, "anchor_states": "own"}
    complaint(values)
    flow["own_states"]["share"] = 0.1
    validate_params(values, "params.yaml")
    flow |= {"own_states": None, "anchor_states": "all"}
    validate_params(values, "params.yaml")


@pytest.mark.parametrize("misfit", [{"steps": True}, {"learning_rate": float("inf")}])
def test_what_only_looks_like_a_number_is_refused(values: Values, misfit: Values) -> None:
    values["earth"]["train"] |= misfit
    complaint(values)


def places_of_numbers(values: object, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(values, dict | list):
        for key in values if isinstance(values, dict) else range(len(values)):
            yield from places_of_numbers(values[key], (*place, key))
    elif isinstance(values, int | float) and not isinstance(values, bool):
        yield place


def test_no_number_anywhere_may_be_infinite_or_none(values: Values) -> None:
    places = list(places_of_numbers(values))
    assert len(places) > 100
    for place in places:
        block = values
        for key in place[:-1]:
            block = block[key]
        sound = block[place[-1]]
        for number in (float("nan"), float("inf"), -float("inf")):
            block[place[-1]] = number
            with pytest.raises(UserError):
                validate_params({"datasets": [place[0]], place[0]: values[place[0]]}, "here")
        block[place[-1]] = sound


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("earth.train.adam_betas", [0.9, 1.0]),
        ("earth.train.learning_rate", 1e300),
        ("earth.baseline.learning_rate", 1e300),
        ("earth.backbone.norm_num_groups", 7),
        ("cityscapes.palette.spacing", 0.01),
        ("cityscapes.palette.spacing", 200.0),
        ("cityscapes.palette.k", 2),
        ("cityscapes.palette.k", 10**12),
        ("earth.palette.class_order", [0, 1]),
    ],
)
def test_a_value_that_would_fail_later_is_refused_at_once(
    values: Values, path: str, value: object
) -> None:
    change(path, value)(values)
    assert path.rsplit(".", 1)[1] in complaint(values)


def test_images_that_a_scratch_autoencoder_cannot_divide_are_refused(values: Values) -> None:
    scratch = {"source": "scratch", "patch_size": 4, "latent_channels": 4, "seed": 0, "steps": 1}
    scratch |= {"encoder_channels": 4, "encoder_blocks": 0, "decoder_channels": 4}
    scratch |= {"decoder_blocks": 0, "batch_size": 1, "learning_rate": 0.1, "log_every": 1}
    scratch |= {"image_loss_weight": 1.0, "color_loss_weight": 0.0, "color_temperature": 1.0}
    values["earth"]["autoencoder"] = {**scratch, "latent_noise": 0.0}
    validate_params(values, "params.yaml")
    values["earth"]["shards"]["image_size"] = [64, 66]
    assert "shards.image_size (64, 66) is no multiple of 4" in complaint(values)


def test_a_number_of_thousands_of_digits_is_no_traceback(values: Values) -> None:
    change("earth.train.batch_size", -(16**5000))(values)
    assert "thousands of digits" in complaint(values)


@pytest.mark.parametrize("revision", ["main", "v1", "c" * 39])
def test_a_hub_revision_is_a_commit_and_no_name_that_may_move(
    values: Values, revision: str
) -> None:
    values["earth"]["autoencoder"] = {"source": "hub", "repo_id": "a/b", "revision": revision}
    values["earth"]["autoencoder"] |= {"subfolder": "vae"}
    assert "earth.autoencoder.revision" in complaint(values)


def test_a_value_of_any_size_is_shown_in_a_line_that_can_be_read(values: Values) -> None:
    # YAML's aliases make one value out of few letters that is a gigabyte when written out.
    many: object = "x"
    for _ in range(9):
        many = [many] * 10
    for huge in (many, "x" * 10**6, {"x" * 10**6: many}):
        for path in ("datasets", "earth.train.steps"):
            changed = copy.deepcopy(values)
            change(path, huge)(changed)
            assert len(complaint(changed)) < 400


@pytest.mark.parametrize("nothing", [None, [], "text", 3])
def test_a_file_that_is_no_mapping_is_refused(nothing: object) -> None:
    assert "dictionary" in complaint(nothing)


def test_an_absent_file_and_a_file_that_is_not_yaml_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    with pytest.raises(UserError, match=r"params\.yaml not found; run from the repository's root"):
        read_params(path)
    for text in (b"a: [1", b"a: 1\na: 2\n", b"a: b: c", b"a: \xff", b"a: " + b"9" * 5000):
        path.write_bytes(text)
        with pytest.raises(UserError, match=r"params\.yaml is not YAML: ") as refusal:
            read_params(path)
        assert "\n" not in str(refusal.value)


def test_parameters_cannot_be_changed_once_read() -> None:
    params = read_params(ROOT / "params.yaml")
    with pytest.raises(ValueError, match="frozen"):
        params.dataset("earth").train.steps = 1


def test_an_unknown_data_set_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"unknown data set 'erth'; did you mean earth\?"):
        read_params(ROOT / "params.yaml").dataset("erth")
    with pytest.raises(UserError, match="unknown data set 'datasets'; "):
        read_params(ROOT / "params.yaml").dataset("datasets")
