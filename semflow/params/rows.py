"""Rows of the study: systems beside a data set's own, each a recipe and changes of its block.

`robots-faithful` is such a row. It shares the data set's shards, latents, autoencoder, backbone and
judges, and has a checkpoint and results of its own; study/rows.yaml names all of them. A peer is a
row too: no flow with other values, but another system, which needs no pseudo-masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semflow.core.errors import UserError
from semflow.params.messages import nearest_name, shown
from semflow.params.reading import PARAMS_FILE, Model, read_block, read_values, validated
from semflow.params.recipes import RECIPES, merge, read_recipe

ROWS_FILE = Path("study/rows.yaml")
MASKS, ROWS, PEERS = "masks", "rows", "peers"
"""Keys of that file: pseudo-masks in other colours than the data set's, the rows, and the peers."""
PEER = "peer"
"""Key of a peer's system and its parameters, in that file and in the block that its stages read."""
_KEYS = {
    MASKS: ("dataset", "recipe", "changes"),
    ROWS: ("dataset", "masks", "recipe", "changes"),
    PEERS: ("dataset", "recipe", PEER, "changes"),
}


@dataclass(frozen=True)
class Row:
    """One row, a peer, or the pseudo-masks of several rows.

    Args:
        name: Its key in study/rows.yaml.
        dataset: The data set whose shards it shares.
        masks: Whose pseudo-masks it is trained on: the data set's, or those of a key of `masks`.
        recipe: A file in recipes/, merged into the data set's block.
        changes: Merged after it.
    """

    name: str
    dataset: str
    masks: str
    recipe: str
    changes: Mapping[str, Any]

    @property
    def is_peer(self) -> bool:
        """Whether another system is trained than the flow."""
        return PEER in self.changes


def is_row(item: str) -> bool:
    """Whether a stage's item is a row: names of data sets have no dash."""
    return "-" in item


def read_row(name: str, path: Path = ROWS_FILE) -> Row:
    """A row of the study, a peer, or pseudo-masks that rows share.

    Raises:
        UserError: The file is absent or no YAML, has no such row, or the row is not complete.
    """
    values = read_values(path)
    known = {row: (kind, found) for kind in _KEYS for row, found in values.get(kind, {}).items()}
    if name not in known:
        raise UserError(f"{path} has no row {shown(name)}; {nearest_name(name, list(known))}")
    kind, found = known[name]
    if not isinstance(found, Mapping) or set(found) != set(_KEYS[kind]):
        raise UserError(f"{path}: {kind}.{name} must have exactly {', '.join(_KEYS[kind])}")
    dataset, changes = found["dataset"], found["changes"] or {}
    if kind == PEERS:
        # A peer reads no pseudo-masks; the data set's own stand in their place.
        return Row(name, dataset, dataset, found["recipe"], {**changes, PEER: found[PEER]})
    return Row(name, dataset, found.get("masks", name), found["recipe"], changes)


def row_block(row: Row, path: Path = PARAMS_FILE, recipes: Path = RECIPES) -> dict[str, Any]:
    """The data set's block as the row has it: its recipe, then its changes; not validated.

    Raises:
        UserError: There is no such data set or recipe.
    """
    block = deepcopy(dict(read_block(row.dataset, path)))
    merge(block, read_recipe(row.recipe, row.dataset, recipes))
    merge(block, row.changes)
    return block


def read_item_params(item: str, model: type[Model]) -> Model:
    """The parameters of one stage for a data set or for a row.

    Args:
        item: Name of a data set's block in params.yaml, or of a row in study/rows.yaml.
        model: Groups that the stage reads.

    Raises:
        UserError: A file is absent or no YAML, has no such name, or a value does not fit.
    """
    if is_row(item):
        return validated(row_block(read_row(item)), model, item, ROWS_FILE.name)
    return validated(read_block(item), model, item, PARAMS_FILE.name)
