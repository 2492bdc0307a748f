"""Synthesizes images from labels: writes <stem>.<k>.png for each of K samples."""

from __future__ import annotations

import argparse
from pathlib import Path

from semflow.cli.images import output_paths, read_label
from semflow.core.errors import UserError
from semflow.pipeline import load_pipeline


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("pipeline", type=Path, help="checkpoint folder")
    parser.add_argument("labels", type=Path, nargs="+", metavar="LABEL")
    parser.add_argument("--out", type=Path, required=True, help="output folder")
    parser.add_argument("--steps", type=int, help="solver steps; default: the checkpoint's")
    parser.add_argument("--solver", help="euler, heun or midpoint; default: the checkpoint's")
    parser.add_argument("--seed", type=int, default=0, help="of the perturbation")
    parser.add_argument("--samples", type=int, default=1, help="images a label")


def run(options: argparse.Namespace) -> None:
    """Sample k of a label draws from (seed, k); everything is computed before it is written."""
    if options.samples < 1:
        raise UserError(f"--samples must be at least 1, got {options.samples}")
    suffixes = [f".{k}.png" for k in range(options.samples)]
    paths = output_paths(options.labels, options.out, suffixes)
    labels = [read_label(path) for path in options.labels]
    pipeline = load_pipeline(options.pipeline)
    results = [
        pipeline.synthesize([label] * options.samples, options.steps, options.solver, options.seed)
        for label in labels
    ]
    options.out.mkdir(parents=True, exist_ok=True)
    for group, images in zip(paths, results, strict=True):
        for path, image in zip(group, images, strict=True):
            image.save(path)
