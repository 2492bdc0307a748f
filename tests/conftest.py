"""A tiny data set and its shards, made once for all tests that only read them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from distributed import LocalCluster
from hypothesis import settings
from support.tiny import TinyDataset, latents_of, lossless_autoencoder, tiny_params, tiny_pipeline
from support.tiny_data import (
    TRAIN_SAMPLES,
    VAL_SAMPLES,
    RandomReader,
    index_of,
    pixels_of,
    pseudo_masks_of,
)

from semflow.core.pool import SCHEDULER_VARIABLE
from semflow.networks.autoencoder import PatchAutoencoder
from semflow.pipeline import SemFlowPipeline
from semflow.pseudo_masks.palette import make_palette
from semflow.schema import DatasetParams

# The same examples on every machine, however busy it is.
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tensors here are too small to share, and sums must not depend on the machine's cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def workers() -> Iterator[None]:
    """Two Dask workers in this process, which start at once; for real ones, unset the variable."""
    address = os.environ.get(SCHEDULER_VARIABLE)
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
    ) as cluster:
        os.environ[SCHEDULER_VARIABLE] = cluster.scheduler_address
        yield
        os.environ.pop(SCHEDULER_VARIABLE)
    if address:
        os.environ[SCHEDULER_VARIABLE] = address


@pytest.fixture(scope="session")
def params() -> DatasetParams:
    """The repository's own parameters, made small."""
    return tiny_params()


@pytest.fixture(scope="session")
def autoencoder() -> PatchAutoencoder:
    """Loses nothing; its latents are patches, rotated."""
    return lossless_autoencoder(scaling_factor=0.5)


@pytest.fixture(scope="session")
def dataset(
    tmp_path_factory: pytest.TempPathFactory,
    params: DatasetParams,
    autoencoder: PatchAutoencoder,
) -> TinyDataset:
    """Ten train and three val samples of 16x16 pixels, through all stages before training."""
    root = tmp_path_factory.mktemp("dataset")
    (root / "raw.txt").write_text("raw", encoding="utf-8")
    reader = RandomReader(root / "raw.txt", {"train": TRAIN_SAMPLES, "val": VAL_SAMPLES})
    index = index_of(reader, root / "index")
    palette = make_palette(params.palette, len(index.classes.names))
    names = ("index", "shards", "pseudo_masks", "latents")
    made = TinyDataset(*(root / name for name in names))
    pixels_of(index, reader, params.shards, made.shards)
    pseudo_masks_of(made.shards, palette, made.pseudo_masks)
    latents_of(made.shards, autoencoder, made.image_latents)
    return made


@pytest.fixture(scope="session")
def still_pipeline() -> SemFlowPipeline:
    """Its velocity is zero everywhere."""
    return tiny_pipeline()


@pytest.fixture(scope="session")
def moving_pipeline() -> SemFlowPipeline:
    """Its velocity depends on x and t."""
    return tiny_pipeline(moving=True)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, for whatever writes beside it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
