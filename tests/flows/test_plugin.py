from __future__ import annotations

import pytest

from flows.plugin import completed


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("deployment run train-cityscapes", "deployment run train/train-cityscapes"),
        (
            "deployment run evaluate-celebamask-hq --watch",
            "deployment run evaluate/evaluate-celebamask-hq --watch",
        ),
        ("deployment run --watch train-earth", "deployment run --watch train/train-earth"),
        ("deployment inspect train-earth", "deployment inspect train/train-earth"),
        ("deployment run train/train-earth", "deployment run train/train-earth"),
        ("deployment run --tag train-earth x/y", "deployment run --tag train-earth x/y"),
        ("deployment run retrain-earth", "deployment run retrain-earth"),
        ("flow-run cancel train-earth", "flow-run cancel train-earth"),
        ("", ""),
    ],
)
def test_a_bare_deployments_name_gets_its_flow(arguments: str, expected: str) -> None:
    assert completed(arguments.split()) == expected.split()
