"""A look at the model while it trains: the same val samples, the ways that it goes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from semflow.core.pictures import color_table, picture_grid
from semflow.core.seeds import spread
from semflow.pipeline import SemFlowPipeline
from semflow.shards.reading import ShardFolder
from semflow.shards.tar import png_pixels

GRID_SAMPLES = 8


class SampleGrid:
    """The same val samples with the same noise, the ways that it goes, as training goes on."""

    def __init__(
        self, pipeline: SemFlowPipeline, pixels: ShardFolder, folder: Path, writes: bool
    ) -> None:
        self._pipeline = pipeline
        self._folder = folder
        self._writes = writes
        chosen = spread(len(pixels), GRID_SAMPLES)
        self._images = [png_pixels(pixels.read(position, "image.png")) for position in chosen]
        self._labels = [png_pixels(pixels.read(position, "label.png")) for position in chosen]

    def save(self, step: int) -> None:
        """Writes `samples/<step>.png`: rows image, label, and segmented, synthesized where it does.

        Sharded networks answer when all processes ask: each computes, and the main one writes.
        """
        pipeline = self._pipeline
        colors = color_table(pipeline.config.class_colors)
        rows = [self._images, [colors[label] for label in self._labels]]
        if pipeline.formulation.segments:
            images = torch.from_numpy(np.stack(self._images)).to(pipeline.device)
            scores = pipeline.class_scores(pipeline.to_mask(pipeline.encode_image(images)))
            segmented = scores.argmax(dim=1).to(torch.uint8).cpu().numpy()
            rows.append([colors[label] for label in segmented])
        if pipeline.formulation.synthesizes:
            labels = torch.from_numpy(np.stack(self._labels)).to(pipeline.device)
            x_1 = pipeline.encode_label(labels, pipeline.draw_noise(range(len(labels)), 0))
            rows.append(list(pipeline.decode_pixels(pipeline.to_image(x_1)).cpu().numpy()))
        if not self._writes:
            return
        path = self._folder / "samples" / f"{step:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture_grid(rows)).save(path)
