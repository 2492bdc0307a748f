"""One stage of the tiny data set in a process of its own, slowly, so that it can be killed.

Run as `python tests/support/alone.py STAGE ROOT DELAY`: ROOT holds what comes before, DELAY is in
seconds, for every sample read or batch encoded.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

from semflow.core.pool import SCHEDULER_VARIABLE, WORKERS_VARIABLE
from semflow.core.resume import held
from semflow.index.listing import read_index
from support.tiny_data import (
    SHAPE,
    TRAIN_SAMPLES,
    VAL_SAMPLES,
    RandomReader,
    pixels_of,
    scratch_for,
)
from tools.closure import ROOT


def start(
    stage: str, root: Path, delay: float = 0.0, workers: int = 1, launcher: tuple[str, ...] = ()
) -> subprocess.Popen[str]:
    """Starts it with so many local workers, or behind another launcher than Python."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
        WORKERS_VARIABLE: str(workers),
        "OMP_NUM_THREADS": "1",
    }
    environment.pop(SCHEDULER_VARIABLE, None)
    command = [*(launcher or (sys.executable,)), str(ROOT / "tests/support/alone.py")]
    return subprocess.Popen(
        [*command, stage, str(root), str(delay)],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def checksums(*paths: Path) -> dict[str, str]:
    """sha256 of every file of some folders and files, by its path below what was given."""
    return {
        file.relative_to(path.parent).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for path in paths
        for file in ([path] if path.is_file() else sorted(path.rglob("*.*")))
    }


def main() -> None:
    """Runs the stage named on the command line."""
    stage, root, delay = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    {"shards": _shards, "latents": _latents}[stage](root, delay)


def _reader(root: Path, delay: float) -> RandomReader:
    counts = {"train": TRAIN_SAMPLES, "val": VAL_SAMPLES}
    return RandomReader(root / "raw.txt", counts, delay=delay)


# Networks are imported only where they are used: workers import this file too.


def _shards(root: Path, delay: float) -> None:
    pixels_of(read_index(root / "index"), _reader(root, delay), SHAPE, root / "shards")


def _latents(root: Path, delay: float) -> None:
    import torch
    from accelerate import Accelerator

    from semflow.image_latents.encode_images import write_image_latents
    from semflow.networks.autoencoder import PatchAutoencoder
    from support.tiny import lossless_autoencoder

    encode = PatchAutoencoder.encode

    def slowly(self: PatchAutoencoder, image: torch.Tensor) -> object:
        time.sleep(delay)
        return encode(self, image)

    PatchAutoencoder.encode = slowly  # type: ignore[assignment,method-assign]
    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True)
    # One write: print would send the line and its end apart, and two ranks' lines could mix.
    sys.stdout.write(f"rank {accelerator.process_index} of {accelerator.num_processes}\n")
    sys.stdout.flush()
    autoencoder = lossless_autoencoder(scaling_factor=0.5)
    out = root / "latents"
    scratch = scratch_for(out)
    with held(scratch) if accelerator.is_main_process else nullcontext():
        write_image_latents("earth", root / "shards", autoencoder, 4, scratch, out, accelerator)


if __name__ == "__main__":
    main()
