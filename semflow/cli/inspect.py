"""Says what a shard folder, a checkpoint or a report's metrics hold."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from semflow.cli.history import commit_lines
from semflow.core.errors import UserError
from semflow.core.files import read_json, sha256_of
from semflow.core.provenance import Provenance, read_provenance
from semflow.evaluation.results import read_metrics
from semflow.shards.manifest import MANIFEST, read_manifest, verify_shards

APART = ("classes", "rejects")
"""What a manifest says that is not shown as it stands."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("path", type=Path)


def run(options: argparse.Namespace) -> None:
    """Prints a few lines."""
    path: Path = options.path
    if (path / MANIFEST).is_file():
        # DVC knows the folder of all splits.
        lines, tracked = _shards(path), path.parent
    elif (path / "model_index.json").is_file():
        lines, tracked = _checkpoint(path), path
    elif path.name == "metrics.json" and path.is_file():
        lines, tracked = _metrics(path), path
    elif (path / "metrics.json").is_file():
        tracked = path / "metrics.json"
        lines = _metrics(tracked)
    elif path.is_dir() and any((child / MANIFEST).is_file() for child in path.iterdir()):
        folders = sorted(child for child in path.iterdir() if (child / MANIFEST).is_file())
        lines, tracked = [line for folder in folders for line in _shards(folder)], path
    else:
        raise UserError(
            f"{path} is neither a shard folder, a checkpoint nor a report; "
            "give a folder below data/, models/ or reports/"
        )
    print("\n".join([*lines, *commit_lines(tracked)]))


def _shards(folder: Path) -> list[str]:
    manifest = read_manifest(folder)
    verify_shards(manifest, "dvc repro")
    size = sum(shard.bytes for shard in manifest.shards())
    members = sorted({name for shard in manifest.shards() for name in shard.members})
    about = {name: value for name, value in manifest.about.items() if name not in APART}
    rejects = manifest.about.get("rejects", ())
    return [
        f"{folder}: {len(manifest)} samples in {manifest.tars} tars, {size} bytes, checksums hold",
        f"  members: {', '.join(members) or 'none'}",
        *(f"  {name}: {value}" for name, value in about.items()),
        *(f"  rejected {reject['key']}: {reject['reason']}" for reject in rejects),
    ]


def _checkpoint(folder: Path) -> list[str]:
    index = read_json(folder / "model_index.json")
    if index.get("_class_name") != "SemFlowPipeline":
        raise UserError(f"{folder} is a {index.get('_class_name')}, not a SemFlowPipeline")
    weights = sorted(folder.glob("*/*.safetensors"))
    return [
        f"{folder}: {index['_class_name']}, {len(index['class_names'])} classes, "
        f"{index['image_size'][0]}x{index['image_size'][1]} pixels",
        f"  classes: {', '.join(index['class_names'])}",
        f"  default: {index['solver']}, {index['segment_steps']} steps to segment, "
        f"{index['synthesize_steps']} to synthesize, amplitude {index['amplitude']}",
        *(f"  {path.relative_to(folder)}: sha256 {sha256_of(path)}" for path in weights),
        *_provenance(read_provenance(folder)),
    ]


def _provenance(made: Provenance | None) -> list[str]:
    if made is None:
        return ["  made by: unknown; this checkpoint notes no provenance"]
    train = made.parameters["train"]
    return [
        f"  trained: {train['steps']} steps of {train['batch_size']} samples, seed {train['seed']}",
        f"  inputs: {', '.join(f'{name} {sha[:12]}' for name, sha in made.inputs.items())}",
        f"  code: {len(made.code)} modules; {_listed(made.versions)}",
        f"  hardware: {_listed(made.hardware)}",
    ]


def _listed(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _metrics(path: Path) -> list[str]:
    metrics = read_metrics(path)
    segmentation, synthesis = metrics.segmentation, metrics.synthesis
    return [
        f"{path}: {segmentation.samples} val samples",
        f"  mIoU {segmentation.miou:.4f} with {segmentation.steps} steps, "
        f"oracle {segmentation.oracle_miou:.4f}",
        *(f"  mIoU {value.miou:.4f} {name}" for name, value in metrics.baselines.items()),
        f"  round trip mIoU {synthesis.roundtrip_miou:.4f} with {synthesis.steps} steps",
    ]
