"""Opening a stage's train split by as many processes as launch it.

Run as `python tests/support/verify_alone.py FOLDER OUT`: each process writes to OUT/RANK.json which
tars it has read for their checksums, and the error that it was given, if any.
"""

from __future__ import annotations

import sys
from pathlib import Path

from accelerate import Accelerator

from semflow.core.errors import UserError
from semflow.core.files import sha256_of, write_json
from semflow.shards import manifest
from semflow.training.inputs import open_split


def main() -> None:
    """Opens it, and notes what was read."""
    folder, out = map(Path, sys.argv[1:])
    accelerator, read = Accelerator(cpu=True), []

    def noted(path: Path) -> str:
        """The checksum of a file whose name is kept."""
        read.append(path.name)
        return sha256_of(path)

    manifest.sha256_of = noted
    error = None
    try:
        open_split("earth", "shards", folder, accelerator)
    except UserError as found:
        error = str(found)
    values = {"read": read, "error": error, "processes": accelerator.num_processes}
    write_json(out / f"{accelerator.process_index}.json", values)


if __name__ == "__main__":
    main()
