from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.tiny import TinyDataset

from bench.oracle import PALETTES, line, main, open_autoencoder, oracle, psnr
from semflow.networks.autoencoder import PatchAutoencoder
from semflow.pseudo_masks.palette import make_palette
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder


@pytest.fixture
def val(dataset: TinyDataset) -> ShardFolder:
    """The tiny data set's val split."""
    return ShardFolder(read_manifest(dataset.shards / "val"))


def test_an_autoencoder_that_loses_nothing_reads_every_label(
    autoencoder: PatchAutoencoder, val: ShardFolder
) -> None:
    assert psnr(autoencoder, val) > 90
    for params in PALETTES.values():
        found = oracle(autoencoder, val, make_palette(params, 4))
        assert (found.miou, found.pixel_accuracy) == (1, 1)


@pytest.mark.usefixtures("project")
def test_more_channels_of_the_closed_form_keep_more_and_all_of_them_everything(
    dataset: TinyDataset, val: ShardFolder
) -> None:
    kept = [psnr(open_autoencoder(f"pca:{n}", dataset.shards), val) for n in (2, 8, 48)]
    assert kept[0] < kept[1] < 60 < kept[2]


@pytest.mark.usefixtures("project")
def test_the_program_prints_a_line_for_each_autoencoder(
    dataset: TinyDataset,
    autoencoder: PatchAutoencoder,
    tmp_path: Path,
    lines_of: Callable[..., list[str]],
) -> None:
    autoencoder.save_pretrained(tmp_path / "saved")
    first, second = lines_of(main, dataset.shards, tmp_path / "saved", "pca:8")
    assert first == f"{tmp_path / 'saved'}: {line(autoencoder, dataset.shards)}"
    assert "k=6, s=50: mIoU 1.0000, accuracy 1.0000; spread: mIoU 1.0000" in first
    assert second.startswith("pca:8: PSNR ")
