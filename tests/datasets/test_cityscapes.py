from __future__ import annotations

from cityscapesscripts.helpers.labels import labels

from semflow.datasets.cityscapes import TRAIN_IDS


def test_train_ids_are_those_of_the_official_tools() -> None:
    official = {label.id: label.trainId for label in labels if label.id >= 0}
    assert {raw: TRAIN_IDS[raw] for raw in official} == official
