"""Kills a stage at random moments and compares what the same command then makes.

    python -m bench.kills train earth --kills 10
    python -m bench.kills image_latents earth --kills 10

Runs in the current workspace, whose upstream outputs exist, with a scratch folder of its own. Each
time the stage's process group gets SIGKILL at a random moment between its first finished piece of
work and its end; then the same command runs to its end, watched: no piece that was finished may be
made again. Prints a line for each kill and exits with 1 unless every result has the bytes of the
undisturbed one and came from the pieces that the kill had left.
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
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from semflow.core.files import sha256_of
from semflow.core.resume import ROOT_VARIABLE
from semflow.training.checkpoints import SECONDS_VARIABLE
from stages.entry import Folders

OUTS = {
    "index": "index",
    "shards": "shards",
    "pseudo_masks": "pseudo_masks",
    "image_latents": "image_latents",
    "mask_latents": "mask_latents",
    "train": "pipeline",
    "baseline": "baseline",
    "evaluate": "metrics",
}
PIECELESS = ("evaluate",)
"""Stages of minutes, which begin anew after a kill."""
SECONDS_BETWEEN_STATES = "0.5"
"""So that a short training leaves states too; the environment's own value goes before."""
GLANCE = 0.02
"""Seconds between two looks at the scratch folder."""
ATTEMPTS = 5
"""Runs that may end before their kill."""

Pieces = Mapping[str, int]
"""Path of each finished piece's mark, and when it was written, ns."""


@dataclass(frozen=True)
class Subject:
    """A command that is killed.

    Args:
        command: Runs a stage.
        out: The folder or file that it makes.
        scratch: Its own scratch folder.
    """

    command: Sequence[str]
    out: Path
    scratch: Path

    def start(self) -> subprocess.Popen[bytes]:
        """Starts it as a process group of its own."""
        environment = {
            SECONDS_VARIABLE: SECONDS_BETWEEN_STATES,
            **os.environ,
            ROOT_VARIABLE: str(self.scratch),
        }
        quiet = subprocess.DEVNULL
        return subprocess.Popen(
            self.command, env=environment, stdout=quiet, stderr=quiet, start_new_session=True
        )


def main() -> int:
    """Prints what every kill led to; 1 if one was not survived."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=[stage for stage in OUTS if stage not in PIECELESS])
    parser.add_argument("dataset")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    out: Path = getattr(Folders(options.dataset), OUTS[options.stage])
    command = [sys.executable, "-m", f"stages.{options.stage}", options.dataset]
    with tempfile.TemporaryDirectory() as folder:
        subject = Subject(command, out, Path(folder) / "scratch")
        return int(failures(subject, options.kills, options.seed) > 0)


def failures(subject: Subject, kills: int, seed: int) -> int:
    """Kills a command again and again, and says on stdout what came of it.

    Args:
        subject: The command.
        kills: How many times.
        seed: Seed of the moments.

    Returns:
        How many of the kills were not survived.
    """
    moments = random.Random(seed)
    started = time.monotonic()
    if subject.start().wait():
        sys.exit(f"error: {' '.join(subject.command)} fails undisturbed; run it to see why")
    seconds, expected = time.monotonic() - started, digest(subject.out)
    print(f"undisturbed: {seconds:.1f} s, {expected[:16]}", flush=True)
    failed = 0
    for number in range(1, kills + 1):
        worked, left = kill_once(subject, moments.random(), seconds) or (0.0, {})
        made_again = runs_again(subject, left)
        found = digest(subject.out)
        good = found == expected and bool(left) and not made_again
        failed += not good
        print(
            f"kill {number} after {worked:.1f} s: {len(left)} pieces left, "
            f"{'some made again' if made_again else 'none made again'}; "
            f"{found[:16]} {'same' if found == expected else 'DIFFERENT'}"
            f"{'' if good else '; NOT SURVIVED'}",
            flush=True,
        )
    return failed


def kill_once(
    subject: Subject, share: float, seconds: float, begun: Callable[[Path], object] | None = None
) -> tuple[float, Pieces] | None:
    """Kills a new run after a share of the time that is left once it has begun.

    Args:
        subject: The command; its scratch folder is emptied first.
        share: In [0, 1).
        seconds: What an undisturbed run takes.
        begun: Whether a run has, by its scratch folder; without it, once a piece is finished.

    Returns:
        How long it worked, seconds, and the pieces that it left; None where it always ended first.
    """
    begun = begun or pieces_in
    for _ in range(ATTEMPTS):
        shutil.rmtree(subject.scratch, ignore_errors=True)
        started = time.monotonic()
        with subject.start() as process:
            while process.poll() is None and not begun(subject.scratch):
                time.sleep(GLANCE)
            first = time.monotonic() - started
            deadline = time.monotonic() + share * max(seconds - first, 0)
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(GLANCE)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        worked = time.monotonic() - started
        if process.returncode == -signal.SIGKILL:
            return worked, pieces_in(subject.scratch)
        # It was quicker than the undisturbed run, which had found the machine cold or busy.
        seconds = min(seconds, worked)
    return None


def runs_again(subject: Subject, left: Pieces) -> bool:
    """Runs the same command to its end; whether a piece that a kill had left was made again."""
    made_again = False
    with subject.start() as process:
        while process.poll() is None:
            made_again |= starts_over(left, pieces_in(subject.scratch))
            time.sleep(GLANCE)
    if process.returncode:
        print(f"the same command then exits with {process.returncode}", flush=True)
    return made_again | starts_over(left, pieces_in(subject.scratch))


def starts_over(left: Pieces, now: Pieces) -> bool:
    """Whether a piece was written anew, or the state of a step before the newest that was left."""
    if any(now.get(path, time) != time for path, time in left.items()):
        return True
    states = [path for path in left if path.endswith(".pt.json")]
    # Numbered with leading zeros; earlier ones are deleted as later ones come.
    return bool(states) and any(
        path.endswith(".pt.json") and path not in left and path < max(states) for path in now
    )


def pieces_in(scratch: Path) -> Pieces:
    """The pieces that are finished now, by what semflow.core.resume writes once one is whole.

    That is a note for each part, and for the state after a step a file beside it.
    """
    found = {}
    for folder, _, names in os.walk(scratch):
        for path in (Path(folder, name) for name in names):
            if path.match("*.pt.json") or (path.suffix == ".json" and "notes" in path.parts):
                with suppress(FileNotFoundError):
                    found[path.as_posix()] = path.stat().st_mtime_ns
    return found


def digest(out: Path) -> str:
    """One sha256 over the names and bytes of all files of a folder, or over a file's bytes."""
    if out.is_file():
        return sha256_of(out)
    total = hashlib.sha256()
    for path in sorted(out.rglob("*")):
        if path.is_file():
            total.update(path.relative_to(out).as_posix().encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
