"""The whole road of every other data set on generated raw trees, under the smoke recipe.

    python -m tools.smoke_datasets [--images N]

Runs in a clone of its own, as `make smoke-datasets` makes it, whose params.yaml it changes. The
trees have the real downloads' layouts and sizes; a user's own folder is the fourth data set.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

from semflow.core.files import write_text
from semflow.params.recipes import round_trip, written
from tools.raw_trees import (
    FOLDER_IDS,
    make_celebamask_hq,
    make_cityscapes,
    make_coco_stuff,
    make_folder,
)

PARAMS = Path("params.yaml")
RECIPE = "smoke"
OWN = "rooms"
TREES: dict[str, Callable[[Path, int, int], None]] = {
    "cityscapes": make_cityscapes,
    "celebamask_hq": make_celebamask_hq,
    "coco_stuff": make_coco_stuff,
    OWN: make_folder,
}
ROOMS = {
    "reader": "folder",
    "classes": [
        {"name": "sky", "color": [135, 206, 235], "id": FOLDER_IDS["sky"]},
        {"name": "left wall", "color": [200, 60, 60], "id": FOLDER_IDS["left wall"]},
        {"name": "right wall", "color": [60, 60, 200], "id": FOLDER_IDS["right wall"]},
        {"name": "ground", "color": [120, 80, 40], "id": FOLDER_IDS["ground"]},
    ],
    "mirrored": [["left wall", "right wall"]],
    "ignore_ids": [FOLDER_IDS["nothing"]],
    "background": None,
    "max_rejects": 0,
}
"""The index block of a user's own data set."""


def main() -> int:
    """Prints how long each road took; the exit code says whether all reached their report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=200)
    images = parser.parse_args().images
    write_text(PARAMS, with_all_listed(PARAMS.read_text("utf-8")))
    for dataset in TREES:
        # The clone's own command: the one on the path is of the tree that was installed.
        subprocess.run(
            [sys.executable, "-m", "semflow.cli.main", "use", RECIPE, dataset], check=True
        )
    for seed, (dataset, make) in enumerate(TREES.items()):
        make(Path("data/raw") / dataset, images, seed)
        started = time.monotonic()
        targets = [f"evaluate@{dataset}", f"report@{dataset}"]
        code = subprocess.run(["dvc", "repro", *targets], check=False).returncode
        made = all(
            Path("reports", dataset, name).is_file() for name in ("metrics.json", "index.html")
        )
        print(f"{dataset}: exit {code}, {time.monotonic() - started:.0f} s", flush=True)
        if code or not made:
            return 1
    return 0


def with_all_listed(text: str) -> str:
    """A params.yaml that also has the user's own data set and lists all of TREES.

    The new block is Cityscapes' with another index: a recipe's part for all data sets does the
    rest.
    """
    document = round_trip().load(text)
    document[OWN] = deepcopy(document["cityscapes"])
    document[OWN]["index"] = ROOMS
    document["datasets"] = list(TREES)
    return written(document)


if __name__ == "__main__":
    sys.exit(main())
