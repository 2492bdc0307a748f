"""What `semflow doctor` finds: packages, devices, and the data and weights of each data set."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from semflow.core.errors import UserError
from semflow.datasets.readers import open_reader
from semflow.datasets.schema import EarthIndex, IndexParams, RobotsIndex
from semflow.networks.schema import FolderSource, HubSource
from semflow.params.rows import is_row
from semflow.schema import DatasetParams, Params

PACKAGES = ("torch", "torchvision", "diffusers", "accelerate", "dask", "dvc", "prefect")
VARIABLES = (
    "OMP_NUM_THREADS",
    "SEMFLOW_WORKERS",
    "SEMFLOW_LAUNCH",
    "SEMFLOW_TRACKERS",
    "DASK_SCHEDULER_ADDRESS",
)
WEIGHTS = "diffusion_pytorch_model.safetensors"
EMBEDDED = (EarthIndex, RobotsIndex)
"""Data sets whose raw files the first stage fetches itself."""


@dataclass(frozen=True)
class Finding:
    """One thing that is looked for.

    Args:
        what: Its name.
        state: What was found, in a few words.
        needed: Whether nothing can run without it, or its data set's stages cannot.
        cure: How to get it, where it is not there; else empty.
    """

    what: str
    state: str
    needed: bool = False
    cure: str = ""

    @property
    def is_missing(self) -> bool:
        """Whether it is needed and not there."""
        return self.needed and bool(self.cure)

    def as_json(self) -> dict[str, Any]:
        """For --json."""
        return {
            "what": self.what,
            "state": self.state,
            "missing": self.is_missing,
            "cure": self.cure or None,
        }


def packages() -> list[Finding]:
    """Python's version and those of the packages that stages and flows run on."""
    return [Finding("python", platform.python_version()), *map(_package, PACKAGES)]


def devices() -> list[Finding]:
    """Processor, accelerators with the precisions that they have, and what sets the threads."""
    found = [Finding("processor", f"{os.cpu_count()} processors, precision no (float32) and bf16")]
    try:
        import torch
    except ImportError as error:
        return [*found, Finding("accelerators", f"unknown: torch does not start ({error})")]
    found.append(Finding("threads", f"{torch.get_num_threads()} of torch in each process"))
    for number in range(torch.cuda.device_count()):
        precision = "no, fp16 and bf16" if torch.cuda.is_bf16_supported() else "no and fp16"
        name = torch.cuda.get_device_name(number)
        found.append(Finding(f"cuda:{number}", f"{name}, precision {precision}"))
    if torch.backends.mps.is_available():
        found.append(Finding("mps", "Apple GPU, precision no and fp16"))
    if len(found) == 2:
        found.append(Finding("accelerators", "none; everything runs on the processor"))
    return [*found, *(Finding(key, os.environ[key]) for key in VARIABLES if key in os.environ)]


def of_dataset(name: str, params: DatasetParams, listed: bool) -> list[Finding]:
    """Raw files, weights, shards and checkpoint of one data set.

    Args:
        name: Of its block.
        params: The block.
        listed: Whether `datasets` lists it, so that its raw files and weights are needed.
    """
    # DVC knows the stages of listed data sets only.
    repro = f"dvc repro report@{name}" if listed else ""
    return [
        _raw(name, params.index, listed, repro),
        _weights("autoencoder", params.autoencoder, listed),
        _weights("backbone", params.backbone, listed),
        _made("shards", Path("data/shards", name), "*/manifest.json", repro),
        _made("checkpoint", Path("models", name, "pipeline"), "model_index.json", repro),
        _made("report", Path("reports", name), "metrics.json", repro),
    ]


def of_datasets(params: Params) -> dict[str, list[Finding]]:
    """The findings of every block, the listed ones first."""
    listed = [name for name in params.datasets if not is_row(name)]
    names = [*listed, *(name for name in params.blocks if name not in listed)]
    return {name: of_dataset(name, params.dataset(name), name in listed) for name in names}


def _package(name: str) -> Finding:
    try:
        return Finding(name, version(name), needed=True)
    except PackageNotFoundError:
        return Finding(name, "not installed", needed=True, cure="run: make setup")


def _raw(name: str, index: IndexParams, needed: bool, repro: str) -> Finding:
    raw = Path("data/raw", name)
    if isinstance(index, EMBEDDED):
        there = raw.is_dir() and any(raw.iterdir())
        return Finding("raw files", f"in {raw}" if there else _not_yet("fetched", repro))
    try:
        open_reader(raw, index)
    except UserError as error:
        return Finding("raw files", "not there", needed, str(error))
    return Finding("raw files", f"in {raw}", needed)


def _weights(what: str, source: object, needed: bool) -> Finding:
    if isinstance(source, FolderSource):
        if Path(source.path, WEIGHTS).is_file():
            return Finding(what, f"in {source.path}", needed)
        cure = f"{Path(source.path, WEIGHTS)} is missing; git checkout, or change {what}.path"
        return Finding(what, "not there", needed, cure)
    if isinstance(source, HubSource):
        place = f"{source.repo_id}, {source.subfolder}"
        if _is_cached(source):
            return Finding(what, f"{place}: downloaded")
        return Finding(what, f"{place}: not downloaded yet; its stage does it, with a network")
    return Finding(what, "made from scratch by its stage")


def _is_cached(source: HubSource) -> bool:
    from huggingface_hub import try_to_load_from_cache

    file = f"{source.subfolder}/config.json"
    return isinstance(try_to_load_from_cache(source.repo_id, file, revision=source.revision), str)


def _made(what: str, folder: Path, mark: str, repro: str) -> Finding:
    if any(folder.glob(mark)):
        return Finding(what, f"in {folder}")
    return Finding(what, _not_yet("made", repro))


def _not_yet(done: str, repro: str) -> str:
    return f"not {done} yet; run: {repro}" if repro else f"not {done} yet"
