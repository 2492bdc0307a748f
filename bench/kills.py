"""Kills a stage at random moments and compares what the same command then makes.

    python bench/kills.py train earth --kills 10
    python bench/kills.py image_latents earth --kills 10

Runs in the current workspace, whose upstream outputs exist, with a scratch folder of its own. Each
time the stage's process group gets SIGKILL at a random moment between its first saved piece of work
and its end; then the same command runs to its end. Prints a line for each kill and exits with 1
unless every result has the bytes of the undisturbed one and was resumed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from semflow.core.scratch import ROOT_VARIABLE
from stages.entry import Folders

OUTS = {
    "index": "index",
    "shards": "shards",
    "image_latents": "image_latents",
    "mask_latents": "mask_latents",
    "train": "pipeline",
    "baseline": "baseline",
}


def main() -> int:
    """Prints what every kill led to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=OUTS)
    parser.add_argument("dataset")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    out: Path = getattr(Folders(options.dataset), OUTS[options.stage])
    command = [sys.executable, "-m", f"stages.{options.stage}", options.dataset]
    moments = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        environment = {**os.environ, ROOT_VARIABLE: folder}
        expected, seconds = _undisturbed(command, environment, out)
        print(f"undisturbed: {seconds:.1f} s, {expected[:16]}", flush=True)
        failures = 0
        for number in range(options.kills):
            share = moments.random()
            worked = _kill(command, environment, scratch, share, seconds)
            log = subprocess.run(command, env=environment, capture_output=True, text=True).stderr
            found = digest(out)
            resumed = [
                line for line in log.splitlines() if "resumed" in line or "were done" in line
            ]
            good = found == expected and bool(resumed)
            failures += not good
            print(
                f"kill {number + 1} after {worked:.1f} s: {found[:16]} "
                f"{'same' if found == expected else 'DIFFERENT'}; {resumed or 'NOT RESUMED'}",
                flush=True,
            )
    return int(failures > 0)


def _undisturbed(command: list[str], environment: dict[str, str], out: Path) -> tuple[str, float]:
    start = time.monotonic()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return digest(out), time.monotonic() - start


def _kill(
    command: list[str], environment: dict[str, str], scratch: Path, share: float, seconds: float
) -> float:
    """Kills a run after a share of the time that is left once its first piece is saved."""
    shutil.rmtree(scratch)
    scratch.mkdir()
    start = time.monotonic()
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        command, env=environment, stdout=quiet, stderr=quiet, start_new_session=True
    ) as process:
        while process.poll() is None and not _has_saved(scratch):
            time.sleep(0.01)
        first = time.monotonic() - start
        deadline = time.monotonic() + share * max(seconds - first, 0) * 0.95
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        # A run that was quicker than the undisturbed one is gone; it counts as not resumed.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return time.monotonic() - start


def _has_saved(scratch: Path) -> bool:
    # A part counts once its note is there, a state once it is named.
    return any(scratch.rglob("notes/**/*.json")) or any(scratch.rglob("latest.json"))


def digest(folder: Path) -> str:
    """One sha256 over the names and bytes of all files of a folder."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            total.update(path.relative_to(folder).as_posix().encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
