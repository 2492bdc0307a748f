"""Targets that end in a network: checkpoints, and predictions of other systems."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from bench.fuzz_files import SIDE, picture_seeds, sound_png
from semflow.checkpoint import INDEX
from semflow.cli.contents import describe
from semflow.core.errors import UserError
from semflow.evaluation.score_files import match_samples, read_at, size_of
from semflow.evaluation.score_segmentation import SegmentationProtocol, score_segmentation
from semflow.networks.autoencoder import PatchAutoencoder
from semflow.networks.null_prompt import NullPrompt
from semflow.networks.schema import NetworkShape
from semflow.networks.sources import WEIGHTS
from semflow.networks.velocity import scratch_unet
from semflow.pipeline import SemFlowPipeline, load_pipeline
from semflow.report.content import weight_files


def checkpoint_index(data: bytes, folder: Path) -> None:
    """The index of a sound checkpoint."""
    _load(folder / "index", INDEX, data)


def checkpoint_config(data: bytes, folder: Path) -> None:
    """The configuration of one of a checkpoint's parts, which the first byte chooses."""
    parts = ("vae", "unet", "null_prompt")
    part = parts[data[0] % len(parts)] if data else parts[0]
    _load(folder / part, f"{part}/config.json", data[1:])


def safetensors(data: bytes, folder: Path) -> None:
    """The weights of a checkpoint's autoencoder."""
    _load(folder / "weights", f"vae/{WEIGHTS}", data)


def predictions(data: bytes, folder: Path) -> None:
    """A folder that `semflow score` reads: a name on the first line, then the file's content."""
    name, _, content = data.partition(b"\n")
    made, truth = folder / "predictions", folder / "truth"
    made.mkdir(exist_ok=True)
    for old in made.glob("*"):
        old.unlink()
    truth.mkdir(exist_ok=True)
    (truth / "0.png").write_bytes(sound_png())
    path = made / (name.decode("utf-8", "replace").replace("/", "_").replace("\0", "_")[:60] or "0")
    (path if path.name not in (".", "..") else made / "0.png").write_bytes(content)
    protocol = SegmentationProtocol(3, "train", "train", None)
    for score in (_score_samples, lambda a, b: score_segmentation(a, b, protocol)):
        try:
            score(made, truth)
        except UserError as error:
            refused = error
        else:
            return
    raise refused


def index_seeds() -> Iterator[bytes]:
    """A sound index, and sizes that no memory holds."""
    values = dict(_pipeline().config)
    sound = {key: value for key, value in values.items() if not key.startswith("_")}
    sound |= {"_class_name": "SemFlowPipeline", "_diffusers_version": "0"}
    yield json.dumps(sound, default=list).encode()
    yield json.dumps({**sound, "image_size": [10**9, 10**9]}, default=list).encode()


def config_seeds() -> Iterator[bytes]:
    """Sound configurations, and widths that no memory holds."""
    vae = {"_class_name": "PatchAutoencoder", **_widths(4)}
    yield b"\0" + json.dumps(vae).encode()
    yield b"\0" + json.dumps({**vae, "encoder_channels": 10**6}).encode()
    yield b"\0" + json.dumps({**vae, "patch_size": 0}).encode()
    unet = dict(_pipeline().unet.config)
    yield b"\1" + json.dumps({"_class_name": "UNet2DConditionModel", **unet}, default=list).encode()
    yield b"\2" + json.dumps({"_class_name": "NullPrompt", "tokens": 1, "width": 8}).encode()


def weight_seeds() -> Iterator[bytes]:
    """Headers that are longer than the file, overlap, or are no JSON."""
    for header in (b"{}", b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', b"[" * 4000):
        yield len(header).to_bytes(8, "little") + header + bytes(4)
    yield (2**62).to_bytes(8, "little") + b"{}"


def prediction_seeds() -> Iterator[bytes]:
    """Names that mean something to the score, with pictures."""
    for name in (b"0.png", b"0.1.png", b"0.color.png", b"a_000000_000000_gtFine_color.png"):
        yield from (name + b"\n" + content for content in picture_seeds())


def _score_samples(made: Path, truth: Path) -> None:
    for paths in match_samples(made, truth).samples.values():
        for path in paths:
            size_of(path)
            read_at(path, (SIDE, SIDE))


def _load(folder: Path, name: str, data: bytes) -> None:
    sound = _checkpoint(folder)
    kept = (sound / name).read_bytes()
    (sound / name).write_bytes(data)
    try:
        describe(sound)
        load_pipeline(sound)
        weight_files(sound)
    finally:
        (sound / name).write_bytes(kept)


@cache
def _checkpoint(folder: Path) -> Path:
    _pipeline().save_pretrained(folder)
    return folder


def _widths(width: int) -> dict[str, int]:
    return {
        "patch_size": 4,
        "latent_channels": 4,
        "encoder_channels": width,
        "encoder_blocks": 0,
        "decoder_channels": width,
        "decoder_blocks": 0,
    }


@cache
def _pipeline() -> SemFlowPipeline:
    shape = NetworkShape(
        block_out_channels=(4,), layers_per_block=1, attention_head_dim=4, norm_num_groups=2
    )
    unet = scratch_unet(shape, 0, 4, 4)
    return SemFlowPipeline(
        vae=PatchAutoencoder(**_widths(4)),
        unet=unet,
        null_prompt=NullPrompt(tokens=1, width=unet.config.cross_attention_dim),
        anchors=[[0.0, 0.0, 0.0], [255.0, 255.0, 255.0]],
        class_names=["a", "b"],
        class_colors=[[0, 0, 0], [255, 255, 255]],
        image_size=[SIDE, SIDE],
    )
