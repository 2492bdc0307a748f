"""Cityscapes: the ids of its labels."""

from __future__ import annotations

from semflow.labels import IGNORE_INDEX

_EVALUATED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)

TRAIN_IDS: dict[int, int] = {
    label_id: _EVALUATED.index(label_id) if label_id in _EVALUATED else IGNORE_INDEX
    for label_id in range(34)
}
"""The class, or 255 for ignore, of each id in `*_gtFine_labelIds.png`.

Source: labels.py of the data set's own tools, cityscapesScripts.
"""
