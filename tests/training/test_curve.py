"""What a training has logged, beside its states and in its checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from semflow.core.errors import UserError
from semflow.training.curve import CURVE, CurveLog, Logs, TrainingCurve, read_curve, write_curve


def test_a_training_that_goes_on_keeps_what_came_before_its_state(tmp_path: Path) -> None:
    first = CurveLog(tmp_path)
    first.start(0)
    for step in (2, 4, 6):
        first.add(step, {"loss": 1 / step, "learning_rate": 0.5})
    with (tmp_path / "curve.jsonl").open("a") as file:
        file.write('{"step": 8, "lo')  # a kill in the middle of a line
    second = CurveLog(tmp_path)
    second.start(4)
    second.add(6, {"loss": 0.25, "learning_rate": 0.125})
    assert second.curve() == TrainingCurve(
        steps=[2, 4, 6],
        values={"loss": [0.5, 0.25, 0.25], "learning_rate": [0.5, 0.5, 0.125]},
    )
    second.start(0)
    assert second.curve() == TrainingCurve(steps=[], values={})


def test_all_of_several_logs_get_the_same_values(tmp_path: Path) -> None:
    logs = [CurveLog(tmp_path / name) for name in ("one", "two")]
    together = Logs(logs)
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    together.start(0)
    together.add(3, {"loss": 0.75})
    expected = TrainingCurve(steps=[3], values={"loss": [0.75]})
    assert [log.curve() for log in logs] == [expected, expected]


def test_a_curve_is_read_as_it_was_written_and_checkpoints_without_one_have_none(
    tmp_path: Path,
) -> None:
    curve = TrainingCurve(steps=[1, 5], values={"loss": [0.1, 1 / 3]})
    assert read_curve(tmp_path) is None
    write_curve(curve, tmp_path)
    assert read_curve(tmp_path) == curve


@pytest.mark.parametrize(
    "content",
    [
        {"steps": [2, 1], "values": {}},
        {"steps": [1, 1], "values": {}},
        {"steps": [0], "values": {"loss": [1.0]}},
        {"steps": [1, 2], "values": {"loss": [1.0]}},
        {"steps": [1], "values": {"loss": [None]}},
        {"steps": [1], "values": {}, "more": 1},
        [],
    ],
)
def test_what_is_no_curve_is_refused_in_a_line(tmp_path: Path, content: object) -> None:
    (tmp_path / CURVE).write_text(json.dumps(content), "utf-8")
    with pytest.raises(UserError, match=r"training\.json holds no training's values .*dvc repro"):
        read_curve(tmp_path)
