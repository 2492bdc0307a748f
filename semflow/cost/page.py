"""A sheet as text for people, and as JSON for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from semflow.cost.hardware import GPU_TABLE, GPUS
from semflow.cost.layers import Work
from semflow.cost.sheet import Sheet

_GIB = 1024**3
SOURCES = (
    "operations: 2 for each multiplication with its addition, convolutions and matrix products "
    "only (as torch.utils.flop_counter counts); backward: twice the forward pass",
    "step: batch x (U-Net forward and backward + expected passes to own states + encoder where "
    "masks are encoded online + expected passes of the decoder for the anchor loss)",
    "memory: float32 weights, gradients, AdamW's two moments (Loshchilov and Hutter, 2019), "
    "average of weights where train.ema_decay is above 0; activations come on top",
    "disk: latents are exact, 2 bytes a number in tars; PNGs at 1.6 bytes a pixel of an image and "
    "0.05 of a label",
    "hours: operations / (8 x peak x utilisation); the U-Net in train.mixed_precision, the "
    "autoencoder in float32, where torch runs convolutions in TF32 and matrix products in float32",
    *(
        f"{gpu.name}: {gpu.half / 1e12:g} TFLOP/s in bf16, {gpu.tf32 / 1e12:g} in TF32, "
        f"{gpu.single / 1e12:g} in float32 ({gpu.source})"
        for gpu in GPU_TABLE
    ),
)
Rows = list[tuple[str, str]]


def text(sheet: Sheet) -> str:
    """A readable table, its formulas and their sources below."""
    blocks = {
        "parameters": _parameters(sheet),
        "operations, TFLOP": _operations(sheet),
        "memory of a process without activations, GiB": _memory(sheet),
        "disk, GiB": _disk(sheet),
        f"hours on {GPUS} GPUs at {sheet.utilisation:.0%} of their peak": _hours(sheet),
    }
    left = max(len(name) for rows in blocks.values() for name, _ in rows)
    right = max(len(value) for rows in blocks.values() for _, value in rows)
    lines = _head(sheet)
    for title, rows in blocks.items():
        lines += ["", title]
        lines += [f"  {name:<{left}}  {value:>{right}}" for name, value in rows]
    return "\n".join([*lines, "", "formulas and sources", *(f"  {line}" for line in SOURCES)])


def as_json(sheet: Sheet) -> dict[str, Any]:
    """The same in FLOPs, bytes and hours, with plain names."""
    training, params = sheet.training, sheet.params
    return {
        "dataset": sheet.dataset,
        "image_size": list(params.shards.image_size),
        "latents": [sheet.autoencoder.channels, *vars(sheet.autoencoder.latents).values()],
        "samples": asdict(sheet.samples),
        "parameters": {
            "unet": sheet.network.parameters,
            "autoencoder": sheet.autoencoder.parameters,
        },
        "flops": {
            "unet_forward": sheet.network.flops,
            "training_step": {name: work.flops for name, work in vars(training).items()},
            "training": _step(sheet).times(params.train.steps).flops,
            "segment": sheet.segment.flops,
            "synthesize": sheet.synthesize.flops,
            "encoding_ahead": sheet.ahead.flops,
        },
        "solver": {"name": params.inference.solver, "steps": list(sheet.solver_steps)},
        "memory_bytes": asdict(sheet.memory) | {"total": sheet.memory.total},
        "disk_bytes": asdict(sheet.disk),
        "hours": {
            name: {"training": training_hours, "encoding_ahead": ahead}
            for name, (training_hours, ahead) in sheet.hours.items()
        },
        "gpus": GPUS,
        "utilisation": sheet.utilisation,
        "sources": list(SOURCES),
    }


def figure(value: float) -> str:
    """A number with three figures, or as many as it has before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _head(sheet: Sheet) -> list[str]:
    samples, coder = sheet.samples, sheet.autoencoder
    height, width = sheet.params.shards.image_size
    return [
        f"{sheet.dataset}: images {height} x {width}, latents {coder.channels} x "
        f"{coder.latents.height} x {coder.latents.width}",
        f"samples: {samples.train:,} train, {samples.val:,} val, {samples.test:,} test "
        f"({samples.source})",
    ]


def _step(sheet: Sheet) -> Work:
    return sheet.training.in_precision + sheet.training.in_float32


def _parameters(sheet: Sheet) -> Rows:
    return [
        ("U-Net", f"{sheet.network.parameters:,}"),
        ("autoencoder, frozen", f"{sheet.autoencoder.parameters:,}"),
    ]


def _operations(sheet: Sheet) -> Rows:
    train, solver = sheet.params.train, sheet.params.inference.solver
    segment, synthesize = sheet.solver_steps
    step = _step(sheet)
    parts = {
        "U-Net forward and backward": sheet.training.network,
        "U-Net to own states": sheet.training.own_states,
        "encoding masks": sheet.training.masks,
        "decoding for the anchor loss": sheet.training.anchors,
    }
    return [
        ("U-Net, one pass of one sample", _tera(sheet.network.times(1))),
        (f"training step, batch of {train.batch_size}", _tera(step)),
        *((f"  {name}", _tera(work)) for name, work in parts.items() if work.flops),
        (f"training, {train.steps:,} steps", _tera(step.times(train.steps))),
        (f"segmenting an image, {segment} {solver} steps", _tera(sheet.segment)),
        (f"synthesizing an image, {synthesize} {solver} steps", _tera(sheet.synthesize)),
        ("encoding ahead of training", _tera(sheet.ahead)),
    ]


def _memory(sheet: Sheet) -> Rows:
    memory = sheet.memory
    parts = {
        "weights": memory.weights,
        "gradients": memory.gradients,
        "AdamW's moments": memory.moments,
        "average of weights": memory.average,
        f"weights in {sheet.params.train.mixed_precision}": memory.half_weights,
        "autoencoder": memory.autoencoder,
        "together": memory.total,
    }
    return [(name, _gib(number)) for name, number in parts.items() if number]


def _disk(sheet: Sheet) -> Rows:
    disk, mode = sheet.disk, sheet.params.latents.mask_noise
    return [
        ("pixel shards, estimated", _gib(disk.shards)),
        ("pseudo-masks, estimated", _gib(disk.pseudo_masks)),
        ("image latents, plain, float16", _gib(disk.image_latents_plain)),
        ("image latents, plain and mirrored, in tars", _gib(disk.image_latents)),
        *(
            (f"mask latents, {name}{', as configured' if name == mode else ''}", _gib(number))
            for name, number in disk.mask_latents.items()
        ),
    ]


def _hours(sheet: Sheet) -> Rows:
    rows = []
    for name, (training, ahead) in sheet.hours.items():
        rows.append((f"{GPUS} x {name}, training", figure(training)))
        rows.append((f"{GPUS} x {name}, encoding ahead", figure(ahead)))
    return rows


def _tera(work: Work) -> str:
    return figure(work.flops / 1e12)


def _gib(number: int) -> str:
    return figure(number / _GIB)
