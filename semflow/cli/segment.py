"""Segments images: writes <stem>.png (label ids) and <stem>.color.png (display colours)."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from semflow.cli.images import output_paths, read_image
from semflow.pipeline import load_pipeline


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("pipeline", type=Path, help="checkpoint folder")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    parser.add_argument("--out", type=Path, required=True, help="output folder")
    parser.add_argument("--steps", type=int, help="solver steps; default: the checkpoint's")
    parser.add_argument("--solver", help="euler, heun or midpoint; default: the checkpoint's")


def run(options: argparse.Namespace) -> None:
    """Everything is read and computed before anything is written."""
    paths = output_paths(options.images, options.out, (".png", ".color.png"))
    images = [read_image(path) for path in options.images]
    pipeline = load_pipeline(options.pipeline)
    colors = np.asarray(pipeline.config.class_colors, np.uint8)
    labels = [pipeline.segment(image, options.steps, options.solver)[0] for image in images]
    options.out.mkdir(parents=True, exist_ok=True)
    for (ids, picture), label in zip(paths, labels, strict=True):
        Image.fromarray(label).save(ids)
        Image.fromarray(colors[label]).save(picture)
