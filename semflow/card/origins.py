"""Whose data a checkpoint was trained on, and under which terms: docs/licences.md, for a card."""

from __future__ import annotations

from dataclasses import dataclass

from semflow.core.errors import UserError


@dataclass(frozen=True)
class Origin:
    """Where a data set comes from.

    Args:
        data: What it is, and whose.
        licence: Its terms, in a sentence.
        weights: The hub's name of the licence of weights trained on it.
    """

    data: str
    licence: str
    weights: str


ORIGINS = {
    "earth": Origin(
        "NASA Earth Observatory's Blue Marble Next Generation imagery and NASA/JPL's MODIS land "
        "cover (MCD12C1, 2019)",
        "Free to use; credit to NASA is asked for.",
        "mit",
    ),
    "robots": Origin(
        "robots and backgrounds by Zikri Kader, set1 of RoboHash, composed anew",
        "CC BY 3.0 or 4.0; credit is due, also of pictures that the checkpoint makes.",
        "mit",
    ),
    "cityscapes": Origin(
        "Cityscapes", "Cityscapes' own terms: research without commerce only.", "other"
    ),
    "celebamask_hq": Origin(
        "CelebAMask-HQ", "CelebAMask-HQ's own terms: research without commerce only.", "other"
    ),
    "coco_stuff": Origin(
        "COCO-Stuff 164k", "The photos have their photographers' licences.", "other"
    ),
}
"""By the name of the reader in block `index`."""


def origin_of(reader: str, said: str | None) -> Origin:
    """The origin of a data set.

    Args:
        reader: Of its block.
        said: What a user says of data, owner and licence; needed where only the user knows.

    Raises:
        UserError: Nobody says it.
    """
    if said is not None:
        return Origin("the data described here", said, "other")
    if reader not in ORIGINS:
        raise UserError(
            "nothing is known of this data's licence; "
            "give --data-licence 'what it is, whose, under which licence'"
        )
    return ORIGINS[reader]
