"""What `semflow inspect` says of a folder: a few lines for each kind that a stage makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from semflow.core.errors import UserError
from semflow.core.files import read_json, sha256_of
from semflow.core.provenance import PROVENANCE
from semflow.evaluation.results import (
    Metrics,
    SegmentationFigures,
    SynthesisFigures,
    System,
    read_metrics,
)
from semflow.formulations.schema import WAYS
from semflow.shards.manifest import MANIFEST, Manifest, read_manifest, verify_shards

METRICS = "metrics.json"
INDEX = "model_index.json"
APART = ("anchors", "classes", "ignore_color", "rejects")
"""What a manifest says that is not shown as it stands."""

Model = TypeVar("Model", bound="Read")


class Read(BaseModel):
    """Part of a foreign JSON file: what is shown of it, the rest left unread."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ModelIndex(Read):
    """What a checkpoint's model_index.json says of itself."""

    class_names: list[str]
    image_size: tuple[int, int]
    # Checkpoints of earlier versions know one formulation only.
    formulation: str = "semflow"
    solver: str
    segment_steps: int
    synthesize_steps: int
    # Checkpoints of earlier versions know the uniform grid only.
    grid_power: float = 1.0
    amplitude: float


class Reject(Read):
    """A raw sample that was left out, and why."""

    key: str
    reason: str


class About(Read):
    """What a manifest says of its samples beside the tars."""

    anchors: list[tuple[float, float, float]] = []
    ignore_color: tuple[float, float, float] | None = None
    rejects: list[Reject] = []


class TrainNote(Read):
    """The parameters of a training that a checkpoint's provenance is told by."""

    steps: int
    batch_size: int
    seed: int


class ParametersNote(Read):
    """The parameters that a checkpoint was made with."""

    train: TrainNote


class Made(Read):
    """What a checkpoint notes of its making."""

    parameters: ParametersNote
    inputs: dict[str, str]
    code: dict[str, str]
    versions: dict[str, str]
    hardware: dict[str, str | int]


def describe(path: Path) -> tuple[list[str], Path]:
    """Lines about a folder or a metrics.json, and the path by which dvc.lock knows it.

    Raises:
        UserError: It is none of these, or not sound.
    """
    if (path / MANIFEST).is_file():
        # DVC knows the folder of all splits.
        return list(_shards(path)), path.parent
    if (path / INDEX).is_file():
        return list(_checkpoint(path)), path
    for metrics in (path, path / METRICS):
        if metrics.name == METRICS and metrics.is_file():
            return list(_metrics(read_metrics(metrics), metrics)), metrics
    splits = sorted(path.glob(f"*/{MANIFEST}"))
    if not splits:
        raise UserError(
            f"{path} is neither a shard folder, a checkpoint nor a report; "
            "give a folder below data/, models/ or reports/"
        )
    return [line for split in splits for line in _shards(split.parent)], path


def _shards(folder: Path) -> Iterator[str]:
    manifest = sound_manifest(folder)
    shards = list(manifest.shards())
    size = sum(shard.bytes for shard in shards)
    members = sorted({name for shard in shards for name in shard.members})
    yield f"{folder}: {len(manifest)} samples in {manifest.tars} tars, {size} bytes, checksums hold"
    yield f"  members: {', '.join(members) or 'none'}"
    about = _fit(About, manifest.about, folder / MANIFEST)
    if about.anchors:
        colors = " ".join(map(_hexadecimal, about.anchors))
        ignored = f", ignored {_hexadecimal(about.ignore_color)}" if about.ignore_color else ""
        yield f"  palette: {len(about.anchors)} anchors {colors}{ignored}"
    for name, value in manifest.about.items():
        if name not in APART:
            yield f"  {name}: {value}"
    for reject in about.rejects:
        yield f"  rejected {reject.key}: {reject.reason}"


def sound_manifest(folder: Path) -> Manifest:
    """A manifest whose every line has the form that `shards/` writes, and whose tars are whole.

    Raises:
        UserError: It has not, or they are not.
    """
    manifest = read_manifest(folder)
    verify_shards(manifest, "dvc repro")
    return manifest


def _checkpoint(folder: Path) -> Iterator[str]:
    values = read_json(folder / INDEX)
    name = values.get("_class_name") if isinstance(values, Mapping) else None
    if name != "SemFlowPipeline":
        raise UserError(f"{folder} is a {name}, not a SemFlowPipeline")
    index = _fit(ModelIndex, values, folder / INDEX)
    height, width = index.image_size
    yield f"{folder}: {name}, {len(index.class_names)} classes, {height}x{width} pixels"
    yield f"  classes: {', '.join(index.class_names)}"
    yield (
        f"  default: {index.solver}, {_steps(index)}, amplitude {index.amplitude:g}, "
        f"grid power {index.grid_power:g}"
    )
    for path in sorted(folder.glob("*/*.safetensors")):
        yield f"  {path.relative_to(folder)}: sha256 {sha256_of(path)}"
    yield from _making(folder / PROVENANCE)


def _steps(index: ModelIndex) -> str:
    name, to_segment, to_synthesize = index.formulation, index.segment_steps, index.synthesize_steps
    segments, synthesizes = WAYS.get(name, (True, True))
    if not segments:
        return f"{to_synthesize} steps to synthesize ({name} does not segment)"
    if not synthesizes:
        return f"{to_segment} steps to segment ({name} does not synthesize)"
    return f"{to_segment} steps to segment, {to_synthesize} to synthesize"


def _making(path: Path) -> Iterator[str]:
    if not path.is_file():
        yield "  made by: unknown; this checkpoint notes no provenance"
        return
    made = _fit(Made, read_json(path), path)
    train = made.parameters.train
    yield f"  trained: {train.steps} steps of {train.batch_size} samples, seed {train.seed}"
    yield f"  inputs: {', '.join(f'{name} {sha[:12]}' for name, sha in made.inputs.items())}"
    yield f"  code: {len(made.code)} modules; {_listed(made.versions)}"
    yield f"  hardware: {_listed(made.hardware)}"


def _metrics(metrics: Metrics, path: Path) -> Iterator[str]:
    segmentation, synthesis = metrics.segmentation, metrics.synthesis
    yield f"{path}: {metrics.samples} {metrics.split} samples"
    if segmentation is not None:
        yield (
            f"  mIoU {_score(segmentation.miou)} with {segmentation.steps} steps, "
            f"oracle {_score(segmentation.oracle_miou)}"
        )
    for name, value in metrics.baselines.items():
        yield f"  mIoU {_score(value.miou)} {name}"
    if synthesis is not None:
        yield f"  round trip mIoU {_score(synthesis.roundtrip_miou)} with {synthesis.steps} steps"
    for name, system in metrics.systems.items():
        yield from _system(name, system)


def _system(name: str, system: System) -> Iterator[str]:
    for sampler, way in system.segmentation.items():
        yield f"  {name} {sampler}: mIoU {_score(way.miou)}{_cost(way)}"
    for sampler, back in system.synthesis.items():
        yield (
            f"  {name} {sampler}: FD-MobileNetV2 {back.fd_mobilenetv2:.1f}, "
            f"round trip mIoU {_score(back.roundtrip_miou_unet)}{_cost(back)}"
        )


def _cost(figures: SegmentationFigures | SynthesisFigures) -> str:
    if figures.evaluations is None:
        return ""
    return f", {round(figures.evaluations, 1):g} network evaluations"


def _fit(model: type[Model], values: Any, path: Path) -> Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise UserError(
            f"{path} does not fit this version ({error.error_count()} misfits); "
            "make it anew: dvc repro"
        ) from None


def _score(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def _hexadecimal(color: Sequence[float]) -> str:
    return "#" + "".join(f"{round(value):02x}" for value in color)


def _listed(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
