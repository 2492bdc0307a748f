"""What runs again after a change, read off the log of a real `dvc repro`.

    python tools/check_reruns.py

Runs in a workspace that is up to date, as `make smoke` leaves it, and changes params.yaml there.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

PARAMS = Path("params.yaml")
CACHED = {"index", "shards", "image_latents", "mask_latents"}

# Block and key, another value, and which of CACHED must run, all others of it being left alone.
CHANGES: tuple[tuple[str, str, Any, set[str]], ...] = (
    ("palette", "amplitude", 30.0, {"shards", "mask_latents"}),
    ("palette", "noise_share", 0.5, {"shards", "mask_latents"}),
    ("train", "learning_rate", 0.0015, set()),
    ("flow", "anchor_loss_weight", 2.0, set()),
)


def main() -> int:
    """Prints a line for each change; 1 if a stage ran that should not, or the other way round."""
    failures = 0
    for block, key, value, expected in CHANGES:
        before = PARAMS.read_bytes()
        _change(block, key, value)
        ran = _stages_run() & CACHED
        PARAMS.write_bytes(before)
        back = _stages_run()
        good = ran == expected and not back
        failures += not good
        verdict = "as it should" if good else f"WRONG: expected {sorted(expected)}, then nothing"
        print(f"{block}.{key}: ran {sorted(ran)}; changed back: {sorted(back)}; {verdict}")
    return int(failures > 0)


def _change(block: str, key: str, value: object) -> None:
    yaml = YAML()
    values = yaml.load(PARAMS)
    values["earth"][block][key] = value
    yaml.dump(values, PARAMS)


def _stages_run() -> set[str]:
    """Runs everything up to what training reads."""
    command = ["dvc", "repro", "mask_latents@earth", "image_latents@earth"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr or done.stdout)
    return set(re.findall(r"Running stage '(\w+)@earth'", done.stdout))


if __name__ == "__main__":
    sys.exit(main())
