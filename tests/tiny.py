"""Small real things for the tests: a data set of a few random images, and networks to fit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from closure import ROOT
from numpy.typing import NDArray
from torch import Tensor, nn

from semflow.datasets.base import ClassTable, Reader, Sample, UnreadableSample
from semflow.datasets.files import map_ids, read_image, read_label
from semflow.networks.autoencoder import PatchAutoencoder
from semflow.networks.latents import Autoencoder
from semflow.networks.null_prompt import NullPrompt
from semflow.networks.velocity import scratch_unet
from semflow.palette import Palette, make_palette
from semflow.params import DatasetParams, read_params
from semflow.params.data import BaseKPalette, Shards, SpreadPalette
from semflow.params.learning import Preconditioning
from semflow.params.networks import ScratchBackbone
from semflow.pipeline import SemFlowPipeline
from semflow.scratch import held
from semflow.shards.index import Index
from semflow.shards.indexing import write_index
from semflow.shards.latents import LatentWork, write_image_latents
from semflow.shards.manifest import Manifest, Shard, write_manifest
from semflow.shards.pixels import PixelWork, write_pixel_shards
from semflow.shards.writing import Record, write_shard
from semflow.training.samples import TrainingSample

SIZE = 16
PATCH = 4
CHANNELS = 3 * PATCH**2  # as many as a patch has numbers, so that nothing need be lost
TRAIN_SAMPLES = 10
VAL_SAMPLES = 3

CLASSES = ClassTable(
    names=("water", "left ear", "right ear", "land"),
    colors=((0, 0, 255), (255, 0, 0), (255, 128, 0), (0, 255, 0)),
    mirrored=(0, 2, 1, 3),
)

BACKBONE = ScratchBackbone(
    source="scratch",
    block_out_channels=(8, 16),
    layers_per_block=1,
    attention_head_dim=8,
    norm_num_groups=4,
    seed=0,
)
GREY = (64, 64, 64)


def spread_palette(amplitude: float, class_order: Sequence[int] | None = None) -> SpreadPalette:
    """Parameters of the palette of far colours, in their own order where none is given."""
    return SpreadPalette(
        scheme="spread",
        class_order=() if class_order is None else tuple(class_order),
        amplitude=amplitude,
        noise_cell=8,
        noise_share=0.5,
        ignore_color=GREY,
    )


def base_k_palette(k: int, spacing: float, amplitude: float) -> BaseKPalette:
    """Parameters of Eq. 7."""
    return BaseKPalette(
        scheme="base_k",
        class_order=(),
        k=k,
        spacing=spacing,
        amplitude=amplitude,
        noise_cell=8,
        noise_share=0.5,
        ignore_color=GREY,
    )


PALETTE = spread_palette(amplitude=40.0)


@dataclass(frozen=True)
class TinyDataset:
    """Where the stages' outputs of the tiny data set lie."""

    index: Path
    shards: Path
    digests: Path
    image_latents: Path


@dataclass(frozen=True)
class Result:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Result]
"""Runs `semflow ARGUMENTS...` in this process."""


class RandomReader:
    """A data set of random images: a reader like any other, whose raw tree is a key and a seed.

    Labels are bands whose classes follow from the key; each class has its own hue, so that there
    is something to learn. Images are taller than wide and larger than SIZE.

    Args:
        raw: one file that the index notes the checksum of.
        counts: samples of each split.
        unreadable: keys that cannot be read.
        shape: height and width of raw images.
        delay: seconds that reading a sample takes.
    """

    classes = CLASSES

    def __init__(
        self,
        raw: Path,
        counts: Mapping[str, int],
        unreadable: tuple[str, ...] = (),
        shape: tuple[int, int] = (24, 20),
        delay: float = 0.0,
    ) -> None:
        self._raw = raw
        self._counts = counts
        self._unreadable = unreadable
        self._shape = shape
        self._delay = delay

    def files(self) -> list[Path]:
        return [self._raw]

    def samples(self) -> Iterator[Sample]:
        for split, count in self._counts.items():
            for number in range(count):
                yield Sample(f"{split}_{number}", split, {"number": number})

    def read(self, sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        if sample.key in self._unreadable:
            raise UnreadableSample("cut short")
        time.sleep(self._delay)
        draws = np.random.default_rng([len(sample.split), int(sample.place["number"])])
        bands = draws.choice([0, 1, 2, 3, 255], size=4, p=[0.25, 0.25, 0.2, 0.2, 0.1])
        rows = np.linspace(0, 3.99, self._shape[0]).astype(int)
        label = np.repeat(bands[rows][:, None], self._shape[1], axis=1).astype(np.uint8)
        label[:, : self._shape[1] // 2] = draws.integers(4)
        hues = np.resize(np.asarray(CLASSES.colors), (256, 3))
        image = hues[label] + draws.normal(0, 20, (*self._shape, 3))
        return image.clip(0, 255).astype(np.uint8), label


class FolderReader:
    """A data set of real files: `<raw>/<split>/<key>.png` and `<key>_label.png`."""

    classes = CLASSES

    def __init__(self, raw: Path) -> None:
        self._raw = raw

    def files(self) -> list[Path]:
        return []

    def samples(self) -> Iterator[Sample]:
        for split in ("train", "val"):
            for path in sorted((self._raw / split).glob("*.png")):
                if not path.stem.endswith("_label"):
                    yield Sample(path.stem, split, {"file": f"{split}/{path.name}"})

    def read(self, sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        path = self._raw / str(sample.place["file"])
        label = read_label(path.with_name(f"{path.stem}_label.png"))
        return read_image(path), map_ids(label, {0: 0, 10: 1, 20: 2, 30: 3, 255: 255})


@dataclass(frozen=True)
class Alone:
    """One process that waits for nobody."""

    process_index: int = 0
    num_processes: int = 1
    is_main_process: bool = True

    def wait_for_everyone(self) -> None:
        pass


def index_of(reader: Reader, out: Path, max_rejects: int = 0) -> Index:
    """The index of a reader, made in a scratch folder `<out>.scratch`."""
    with held(scratch := scratch_for(out)):
        return write_index(reader, scratch, out, max_rejects)


def pixels_of(
    index: Index, reader: Reader, palette: Palette, params: Shards, out: Path, digests: Path
) -> None:
    """Writes pixel shards, made in a scratch folder `<out>.scratch`."""
    with held(scratch := scratch_for(out)):
        write_pixel_shards(PixelWork(index, reader, palette, params, scratch), out, digests)


def latents_of(pixels: Path, digests: Path, autoencoder: Autoencoder, out: Path) -> None:
    """Writes image latents in batches of four, made in a scratch folder `<out>.scratch`."""
    with held(scratch := scratch_for(out)):
        work = LatentWork("earth", pixels, digests, autoencoder, batch_size=4)
        write_image_latents(work, scratch, out, Alone())


def scratch_for(out: Path) -> Path:
    """Beside an output."""
    return out.with_name(f"{out.name}.scratch")


def flip_a_byte(path: Path) -> None:
    """Alters one byte in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    """Takes the last block from a file."""
    path.write_bytes(path.read_bytes()[:-512])


def shard_folder(
    records: Iterable[Record], folder: Path, samples_per_shard: int, about: dict[str, Any]
) -> Manifest:
    """Packs any records into a folder of tars, 000000.tar and so on, with their manifest."""
    iterator = iter(records)
    shards: list[Shard] = []
    while batch := list(islice(iterator, samples_per_shard)):
        shards.append(write_shard(batch, folder / f"{len(shards):06d}.tar"))
    return write_manifest(folder, about, shards)


def tiny_params() -> DatasetParams:
    """The block of params.yaml with everything that costs time made small."""
    earth = read_params(ROOT / "params.yaml").earth
    return earth.model_copy(
        update={
            "shards": earth.shards.model_copy(
                update={"image_size": (SIZE, SIZE), "samples_per_shard": 4}
            ),
            "palette": PALETTE,
            "backbone": BACKBONE,
            "flow": earth.flow.model_copy(
                update={
                    "probability_at_image": 0.4,
                    "probability_at_mask": 0.15,
                    "preconditioning": Preconditioning(samples=4, loss_power=0.5),
                    "posterior": "sample",
                    "velocity_loss_weight": 1.0,
                    "anchor_loss_weight": 0.5,
                    "anchor_temperature": 1.0,
                }
            ),
            "train": earth.train.model_copy(
                update={
                    "seed": 3,
                    "steps": 4,
                    "batch_size": 3,
                    "learning_rate": 0.003,
                    "schedule": "constant",
                    "warmup_steps": 0,
                    "sample_every": 100,
                    "log_every": 1,
                    "ema_decay": 0.0,
                    "mixed_precision": "no",
                }
            ),
            "inference": earth.inference.model_copy(
                update={"solver": "euler", "segment_steps": 1, "synthesize_steps": 2}
            ),
        }
    )


def lossless_autoencoder(scaling_factor: float = 1.0, seed: int = 0) -> PatchAutoencoder:
    """Turns patches by a random rotation; the correction is still zero, so decoding undoes it."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        autoencoder = PatchAutoencoder(PATCH, CHANNELS, 4, 1, 4, 1, scaling_factor)
    rotation, _ = torch.linalg.qr(torch.randn(CHANNELS, CHANNELS, generator=generator))
    autoencoder.set_linear_path(rotation)
    return autoencoder.eval().requires_grad_(False)


def tiny_pipeline(moving: bool = False, scaling_factor: float = 0.5) -> SemFlowPipeline:
    """A checkpoint that loses nothing in its autoencoder.

    Args:
        moving: random weights in the last layer; without, the velocity is zero everywhere.
        scaling_factor: the autoencoder's.
    """
    unet = scratch_unet(BACKBONE, CHANNELS, CHANNELS)
    if moving:
        nn.init.normal_(unet.conv_out.weight, std=0.05, generator=torch.Generator().manual_seed(1))
    palette = make_palette(PALETTE, len(CLASSES.names))
    pipeline = SemFlowPipeline(
        vae=lossless_autoencoder(scaling_factor),
        unet=unet.eval(),
        null_prompt=NullPrompt(tokens=1, width=unet.config.cross_attention_dim),
        anchors=palette.anchors.tolist(),
        ignore_color=palette.ignore_color.tolist(),
        amplitude=palette.amplitude,
        noise_cell=palette.grain.cell,
        noise_share=palette.grain.share,
        class_names=list(CLASSES.names),
        class_colors=[list(color) for color in CLASSES.colors],
        image_size=[SIZE, SIZE],
        segment_steps=1,
        synthesize_steps=2,
        solver="euler",
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def random_label(seed: int, size: int = SIZE) -> NDArray[np.uint8]:
    """Random class ids (size, size), without ignored pixels."""
    return np.random.default_rng(seed).integers(0, 4, (size, size)).astype(np.uint8)


def random_images(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """(N, SIZE, SIZE, 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3)).astype(np.uint8)


def tensors_of(sample: TrainingSample) -> dict[str, Tensor]:
    """A training sample as an ordinary mapping."""
    return cast(dict[str, Tensor], sample)


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    """Whether two networks are equal bit for bit."""
    mine: dict[str, Tensor] = one.state_dict()
    theirs: dict[str, Tensor] = other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)
