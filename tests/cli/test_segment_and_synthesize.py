from __future__ import annotations

import os
import shlex
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.tiny import Command, random_images
from support.tiny_data import CLASSES

from semflow.pipeline import SemFlowPipeline
from tools.closure import ROOT


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_segment_writes_ids_and_display_colours_of_every_image(
    semflow_command: Command, checkpoint: Path, inputs: Path, moving_pipeline: SemFlowPipeline
) -> None:
    result = semflow_command("segment", checkpoint, "a.png", "b.png", "--out", "made/here")
    assert result.code == 0
    out = inputs / "made" / "here"
    assert names(out) == {"a.png", "a.color.png", "b.png", "b.color.png"}
    for name in "ab":
        label = pixels(out / f"{name}.png")
        [expected] = moving_pipeline.segment(Image.open(inputs / f"{name}.png"))
        assert label.dtype == np.uint8
        assert np.array_equal(label, expected)
        assert np.array_equal(pixels(out / f"{name}.color.png"), np.array(CLASSES.colors)[label])


def test_segment_takes_steps_and_solver(
    semflow_command: Command, checkpoint: Path, inputs: Path, moving_pipeline: SemFlowPipeline
) -> None:
    options = ("--out", "o", "--steps", 4, "--solver", "heun")
    assert semflow_command("segment", checkpoint, "a.png", *options).code == 0
    picture = Image.open(inputs / "a.png")
    [expected] = moving_pipeline.segment(picture, 4, "heun")
    assert np.array_equal(pixels(inputs / "o" / "a.png"), expected)
    assert not np.array_equal(expected, moving_pipeline.segment(picture)[0])


def test_both_directions_take_the_adaptive_solver_without_a_number_of_steps(
    semflow_command: Command, checkpoint: Path, inputs: Path, moving_pipeline: SemFlowPipeline
) -> None:
    options = ("--out", "o", "--solver", "dopri5")
    assert semflow_command("segment", checkpoint, "a.png", *options).code == 0
    [expected] = moving_pipeline.segment(Image.open(inputs / "a.png"), solver="dopri5")
    assert np.array_equal(pixels(inputs / "o" / "a.png"), expected)
    assert semflow_command("synthesize", checkpoint, "l.png", *options).code == 0
    [made] = moving_pipeline.synthesize(pixels(inputs / "l.png"), solver="dopri5")
    assert np.array_equal(pixels(inputs / "o" / "l.0.png"), np.asarray(made))


def test_synthesize_writes_k_samples_of_every_label(
    semflow_command: Command, checkpoint: Path, inputs: Path, moving_pipeline: SemFlowPipeline
) -> None:
    options = ("--out", "o", "--seed", 5, "--samples", 3, "--steps", 4)
    assert semflow_command("synthesize", checkpoint, "l.png", "m.png", *options).code == 0
    out = inputs / "o"
    assert names(out) == {f"{name}.{k}.png" for name in "lm" for k in range(3)}
    for name in "lm":
        label = pixels(inputs / f"{name}.png")
        expected = moving_pipeline.synthesize([label] * 3, 4, seed=5)
        for k in range(3):
            assert np.array_equal(pixels(out / f"{name}.{k}.png"), np.asarray(expected[k]))


def test_a_seed_repeats_a_synthesis_byte_by_byte(
    semflow_command: Command, checkpoint: Path, inputs: Path
) -> None:
    for out, seed in (("one", 1), ("two", 1), ("other", 2)):
        semflow_command("synthesize", checkpoint, "l.png", "--out", out, "--seed", seed)
    made = [(inputs / out / "l.0.png").read_bytes() for out in ("one", "two", "other")]
    assert made[0] == made[1] != made[2]


def test_a_palette_png_is_read_by_its_ids(
    semflow_command: Command, checkpoint: Path, inputs: Path
) -> None:
    image = Image.open(inputs / "l.png")
    image.putpalette([value for color in CLASSES.colors for value in color])
    (inputs / "colored").mkdir()
    image.save(inputs / "colored" / "l.png")
    assert Image.open(inputs / "colored" / "l.png").mode == "P"
    semflow_command("synthesize", checkpoint, "l.png", "--out", "plain")
    semflow_command("synthesize", checkpoint, "colored/l.png", "--out", "o")
    assert (inputs / "plain/l.0.png").read_bytes() == (inputs / "o/l.0.png").read_bytes()


@pytest.mark.parametrize(
    ("command", "names", "complaint"),
    [
        ("segment", ["a.png", "nowhere.png"], "nowhere.png not found"),
        ("segment", ["text.png"], "cannot take text.png: text.png is"),
        ("segment", ["a.png", "cut.png"], "cannot take cut.png: cut.png is"),
        ("segment", ["a.png", "./a.png"], "two inputs would both write a.png"),
        ("synthesize", ["nowhere.png"], "nowhere.png not found"),
        ("synthesize", ["text.png"], "cannot take text.png: text.png is"),
        ("synthesize", ["l.png", "a.png"], "cannot take a.png: a.png has"),
    ],
)
def test_an_unsound_input_is_one_line_and_exit_code_2_and_nothing_is_written(
    semflow_command: Command,
    checkpoint: Path,
    inputs: Path,
    command: str,
    names: list[str],
    complaint: str,
) -> None:
    result = semflow_command(command, checkpoint, *names, "--out", "o")
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert complaint in result.err
    assert not (inputs / "o").exists()


@pytest.mark.parametrize(
    ("command", "names", "complaint"),
    [
        ("segment", ["a.png", "wide.png"], "wide.png is 20x16, this model takes 16x16"),
        ("segment", ["a.png", "--solver", "rk4"], "unknown solver 'rk4'; known are"),
        ("synthesize", ["wide_label.png"], "wide_label.png is 20x16, this model takes"),
        ("synthesize", ["l.png", "strange_id.png"], "strange_id.png: label id 9 is outside 0..3"),
        ("synthesize", ["l.png", "--solver", "rk4"], "unknown solver 'rk4'; known are"),
        ("segment", ["a.png", "--solver", "dopri5", "--steps", "4"], "dopri5 chooses its own"),
        ("synthesize", ["l.png", "--solver", "dopri5", "--steps", "4"], "dopri5 chooses its own"),
    ],
)
def test_what_a_checkpoint_cannot_take_is_exit_code_2_and_nothing_is_written(
    semflow_command: Command,
    checkpoint: Path,
    inputs: Path,
    command: str,
    names: list[str],
    complaint: str,
) -> None:
    result = semflow_command(command, checkpoint, *names, "--out", "o")
    assert result.code == 2
    last = result.err.rstrip("\n").split("\n")[-1]
    assert last.startswith("error: ")
    assert complaint in last
    assert "Traceback" not in result.err
    assert not (inputs / "o").exists()


@pytest.mark.usefixtures("inputs")
def test_the_error_is_all_that_stands_on_stderr(semflow_command: Command, checkpoint: Path) -> None:
    result = semflow_command("segment", checkpoint, "wide.png", "--out", "o")
    assert result.err.count("\n") == 1
    assert result.err.startswith("error: ")


@pytest.mark.usefixtures("inputs")
def test_a_folder_without_a_checkpoint_is_refused(semflow_command: Command) -> None:
    result = semflow_command("segment", "nowhere", "a.png", "--out", "o")
    assert result.code == 2
    assert result.err.startswith("error: nowhere holds no checkpoint")
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "name", "options"),
    [
        ("segment", "a.png", ("--steps", 0)),
        ("segment", "a.png", ("--steps", -1)),
        ("synthesize", "l.png", ("--steps", -1)),
        ("synthesize", "l.png", ("--seed", 2**70)),
    ],
)
@pytest.mark.usefixtures("inputs")
def test_a_number_out_of_bounds_is_refused(
    semflow_command: Command,
    checkpoint: Path,
    command: str,
    name: str,
    options: tuple[str | int, ...],
) -> None:
    result = semflow_command(command, checkpoint, name, "--out", "o", *options)
    assert result.code == 2


@pytest.mark.usefixtures("inputs")
def test_an_image_that_pillow_takes_for_a_bomb_is_refused(
    semflow_command: Command, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert semflow_command("segment", checkpoint, "a.png", "--out", "o").code == 2


@pytest.mark.usefixtures("inputs")
def test_no_samples_at_all_are_refused_by_name(semflow_command: Command, checkpoint: Path) -> None:
    result = semflow_command("synthesize", checkpoint, "l.png", "--out", "o", "--samples", 0)
    assert result.code == 2
    assert "samples" in result.err


def test_inputs_whose_outputs_would_overwrite_each_other_are_refused(
    semflow_command: Command, checkpoint: Path, inputs: Path
) -> None:
    shutil.copy(inputs / "b.png", inputs / "a.color.png")
    result = semflow_command("segment", checkpoint, "a.png", "a.color.png", "--out", "o")
    assert result.code == 2


@pytest.mark.usefixtures("inputs")
def test_an_output_folder_that_is_a_file_is_refused(
    semflow_command: Command, checkpoint: Path
) -> None:
    assert semflow_command("segment", checkpoint, "a.png", "--out", "b.png").code == 2


@pytest.mark.parametrize("command", ["segment", "synthesize"])
def test_the_example_of_the_help_runs(semflow_command: Command, inputs: Path, command: str) -> None:
    (inputs / "pretrained").symlink_to(ROOT / "pretrained")
    shown = semflow_command(command, "--help").out
    [example] = [line for line in shown.splitlines() if line.strip().startswith("semflow ")]
    result = semflow_command(*shlex.split(example)[1:])
    assert (result.code, result.err) == (0, "")


@pytest.mark.parametrize(
    ("command", "name", "suffix"), [("segment", "a", ".png"), ("synthesize", "l.0", ".png")]
)
@pytest.mark.parametrize("force", [(), ("--force",)])
def test_an_input_is_never_overwritten(
    semflow_command: Command,
    checkpoint: Path,
    inputs: Path,
    command: str,
    name: str,
    suffix: str,
    force: tuple[str, ...],
) -> None:
    source = inputs / f"{name}{suffix}"
    if not source.exists():
        shutil.copy(inputs / "l.png", source)
    named = [source.name] if command == "segment" else ["l.png", source.name]
    before = source.read_bytes()
    result = semflow_command(command, checkpoint, *named, "--out", ".", *force)
    assert result.code == 2
    assert result.err == f"error: {source.name} is an input; name another folder by --out\n"
    assert source.read_bytes() == before


def test_a_link_to_an_input_counts_as_the_input(
    semflow_command: Command, checkpoint: Path, inputs: Path
) -> None:
    (inputs / "o").mkdir()
    (inputs / "o" / "a.png").symlink_to(inputs / "a.png")
    result = semflow_command("segment", checkpoint, "a.png", "--out", "o", "--force")
    assert result.code == 2
    assert "o/a.png is an input" in result.err


def test_results_that_exist_are_replaced_only_by_force(
    semflow_command: Command, checkpoint: Path, inputs: Path
) -> None:
    out = inputs / "o"
    out.mkdir()
    (out / "a.color.png").write_text("somebody's work", encoding="utf-8")
    result = semflow_command("segment", checkpoint, "a.png", "--out", "o")
    assert result.code == 2
    assert "o/a.color.png exists" in result.err
    assert names(out) == {"a.color.png"}
    assert (out / "a.color.png").read_text("utf-8") == "somebody's work"
    assert semflow_command("segment", checkpoint, "a.png", "--out", "o", "--force").code == 0
    assert pixels(out / "a.color.png").shape == (16, 16, 3)


def test_a_full_disk_leaves_whole_files_and_one_line(
    semflow_command: Command, checkpoint: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bytes = Path.write_bytes

    def write_some(path: Path, content: bytes) -> int:
        if path.name.startswith(".b.png"):
            write_bytes(path, content[:40])
            raise OSError(28, os.strerror(28))
        return write_bytes(path, content)

    monkeypatch.setattr(Path, "write_bytes", write_some)
    result = semflow_command("segment", checkpoint, "a.png", "b.png", "--out", "o")
    assert result.code == 2
    assert result.err.startswith("error: cannot write o/b.png: No space left on device")
    assert result.err.count("\n") == 1
    assert names(inputs / "o") == {"a.png", "a.color.png"}
    for path in (inputs / "o").iterdir():
        Image.open(path).load()


def text_bomb(path: Path) -> None:
    """Puts a compressed text of 70 MB into a small PNG."""
    content = path.read_bytes()
    chunk = b"zTXt" + b"note\0\0" + zlib.compress(bytes(70_000_000), 9)
    length, check = (len(chunk) - 4).to_bytes(4, "big"), zlib.crc32(chunk).to_bytes(4, "big")
    end_of_header = 8 + 25
    path.write_bytes(content[:end_of_header] + length + chunk + check + content[end_of_header:])


@pytest.mark.parametrize(("command", "name"), [("segment", "b.png"), ("synthesize", "m.png")])
def test_a_bomb_in_a_text_chunk_is_one_line_and_nothing_is_written(
    semflow_command: Command, checkpoint: Path, inputs: Path, command: str, name: str
) -> None:
    text_bomb(inputs / name)
    sound = "a.png" if command == "segment" else "l.png"
    result = semflow_command(command, checkpoint, sound, name, "--out", "o")
    assert result.code == 2
    assert result.err.startswith(f"error: cannot take {name}: ")
    assert result.err.count("\n") == 1
    assert not (inputs / "o").exists()


def test_inputs_are_held_one_at_a_time(
    semflow_command: Command, checkpoint: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each image is carried through and written before the next is decoded."""
    many = [f"{number}.png" for number in range(5)]
    for name, array in zip(many, random_images(5, seed=1), strict=True):
        Image.fromarray(array).save(inputs / name)
    written: list[int] = []
    segment = SemFlowPipeline.segment

    def counting(*arguments: object, **options: object) -> object:
        written.append(len(list((inputs / "o").glob("*.color.png"))))
        return segment(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(SemFlowPipeline, "segment", counting)
    assert semflow_command("segment", checkpoint, *many, "--out", "o").code == 0
    assert written == [0, 1, 2, 3, 4]
