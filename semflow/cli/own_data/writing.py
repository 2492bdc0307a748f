"""A new block in params.yaml: the rest of the file stays, comments and all."""

from __future__ import annotations

import re

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from semflow.core.errors import UserError
from semflow.core.files import write_text
from semflow.params.reading import LISTED, PARAMS_FILE
from semflow.params.recipes import round_trip, written
from semflow.schema import DATASET_NAME, read_params, validate_params


def check_name(name: str, force: bool) -> None:
    """Whether a block of this name can be written.

    Raises:
        UserError: It is no name of a data set, or there is such a block and no --force.
    """
    if not re.fullmatch(DATASET_NAME, name) or name == LISTED:
        raise UserError(
            f"{name!r} cannot name a data set; take small letters, digits and _, such as my_rooms"
        )
    if name in read_params().blocks and not force:
        raise UserError(
            f"{PARAMS_FILE} has a block {name}; replace it with --force or choose another name"
        )


def file_with_block(name: str, block: CommentedMap) -> str:
    """The text of params.yaml with a block, listed in `datasets`, valid as a whole.

    Raises:
        UserError: The result does not fit the schema.
    """
    document = round_trip().load(PARAMS_FILE)
    document[name] = block
    if name not in document[LISTED]:
        document[LISTED].append(name)
    text = written(document)
    validate_params(YAML(typ="safe").load(text), f"{PARAMS_FILE} with {name}")
    return text


def replace_file(text: str) -> None:
    """Puts the text in the place of params.yaml in one rename."""
    write_text(PARAMS_FILE, text)
