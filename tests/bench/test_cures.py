from __future__ import annotations

import pytest

from bench.cures import HEAD, block_of, rows
from semflow.evaluation.results import Metrics
from semflow.params.reading import read_values
from tools.closure import ROOT

TRIALS = read_values(ROOT / "bench" / "cures.yaml")


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("name", TRIALS)
@pytest.mark.parametrize("dataset", ["earth", "robots"])
def test_every_trial_is_a_valid_block_that_is_measured_on_val(dataset: str, name: str) -> None:
    block = block_of(dataset, TRIALS["start"], TRIALS[name] or {})
    assert block.evaluate.split == "val"
    for group, values in (TRIALS[name] or {}).items():
        found = block.model_dump(mode="json")[group]
        assert {key: found[key] for key in values} == values


def test_a_row_has_both_directions_by_steps(metrics: Metrics) -> None:
    values = metrics.model_dump(mode="json")
    for way, steps in (("segmentation", (1, 2, 5, 10, 25)), ("synthesis", (1, 2, 5, 25))):
        one = next(iter(values[way]["by_steps"].values()))
        values[way]["by_steps"] = {str(number): one for number in steps}
    [line] = rows({"own": {"metrics": values, "minutes": 3.26}})
    assert line == (
        f"| own | {' / '.join(['0.438'] * 5)} | {' / '.join(['22'] * 4)} "
        f"| {' / '.join(['0.312'] * 4)} | 0.203 | 3.3 |"
    )
    assert line.count("|") == HEAD[0].count("|")
