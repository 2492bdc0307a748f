"""What happens on the page: from the values of its controls to the values that it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semflow.app import compute, markup
from semflow.app.brushes import canvas_of, painted_label
from semflow.app.inputs import Example, read_image, read_label
from semflow.core.errors import UserError
from semflow.core.pictures import color_table
from semflow.filmstrip import has_filmstrip
from semflow.pipeline import SemFlowPipeline
from semflow.pseudo_masks.coloring import pseudo_mask_png
from semflow.shards.tar import png_bytes

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Chosen:
    """The image that a visitor chose, and what the flow sees in it.

    Args:
        name: Of the file, without its ending.
        image: (H, W, 3) uint8, of the model's size.
        known: Its true label (H, W) uint8; None where nobody knows it.
        found: Its segmentation (H, W) uint8.
        num_steps: Solver steps of the segmentation.
    """

    name: str
    image: Picture
    known: Picture | None
    found: Picture
    num_steps: int


class Handlers:
    """Answers the page's events by one checkpoint.

    Args:
        pipeline: The checkpoint.
        examples: What can be picked.
    """

    def __init__(self, pipeline: SemFlowPipeline, examples: Sequence[Example]) -> None:
        self.pipeline = pipeline
        self.examples = examples
        self.size: Sequence[int] = pipeline.config.image_size
        self.names: Sequence[str] = pipeline.config.class_names
        self.colors: Sequence[Sequence[int]] = pipeline.config.class_colors

    def pick(self, index: int, num_steps: int) -> Chosen:
        """Segments an example.

        Raises:
            UserError: There is no such example, or its files are unsound.
        """
        if not 0 <= index < len(self.examples):
            raise UserError(f"there is no example {index + 1}; choose one of {len(self.examples)}")
        example = self.examples[index]
        known = None if example.label is None else self._checked(example.label)
        return self._segmented(example.name, read_image(example.image, self.size), known, num_steps)

    def upload(self, path: Path, num_steps: int) -> Chosen:
        """Segments an uploaded image.

        Raises:
            UserError: The file is no PNG or JPEG that can be read.
        """
        return self._segmented(path.stem, read_image(path, self.size), None, num_steps)

    def again(self, chosen: Chosen, num_steps: int) -> Chosen:
        """The same image with another number of steps."""
        found = compute.segment(self.pipeline, chosen.image, num_steps)
        return replace(chosen, found=found, num_steps=num_steps)

    def segmentation(self, chosen: Chosen, opacity: float) -> str:
        """The image, its segmentation laid over it, and the label map alone, with a legend."""
        laid = compute.overlay(chosen.image, chosen.found, self.colors, opacity)
        shares = compute.shares_of(chosen.found, len(self.names))
        seen = ", ".join(
            f"{name} {markup.percent(share)}"
            for name, share in zip(self.names, shares, strict=True)
            if share > 0
        )
        name, steps = chosen.name, plural(chosen.num_steps, "step")
        parts = [
            markup.figure(png_bytes(chosen.image), f"The image {name}", "Image"),
            markup.figure(
                png_bytes(laid),
                f"The segmentation of {name} laid over it: {seen}",
                f"Segmentation, {steps}",
                f"{name}.overlay.png",
                "Download overlay",
            ),
            self._label_figure(chosen.found, f"{name}.label.png", f"The label map of {name}"),
        ]
        said = "The true label of this image is not known."
        if chosen.known is not None:
            found = compute.agreement(chosen.found, chosen.known, len(self.names))
            said = f"Against the true label: {agreeing(found)}."
        return (
            markup.figures(parts, "results", "Segmentation")
            + markup.legend(self.names, self.colors, shares)
            + markup.note(said)
        )

    def filmstrip(self, chosen: Chosen) -> str:
        """The way from the image to its mask; empty where the formulation has none."""
        if not has_filmstrip(self.pipeline):
            return ""
        frames = compute.filmstrip(self.pipeline, chosen.image, chosen.num_steps)
        return markup.figures(
            (
                markup.figure(
                    png_bytes(frame.picture),
                    f"{chosen.name} on its way to the mask, at time {frame.t:g}",
                    f"t = {frame.t:.3g}",
                )
                for frame in frames
            ),
            "film",
            "The way from image to mask",
        )

    def start_label(self, chosen: Chosen) -> Picture:
        """The label to begin painting with: the true one where it is known, else what was found."""
        return chosen.found if chosen.known is None else chosen.known

    def uploaded_label(self, path: Path) -> Picture:
        """The ids of an uploaded label file, (H, W) uint8.

        Raises:
            UserError: The file is no PNG of ids, has another size, or ids that are no class.
        """
        return self._checked(path)

    def first_label(self) -> Picture:
        """What the canvas shows at first: the first example's true label, if it has one."""
        path = self.examples[0].label if self.examples else None
        return self.blank_label() if path is None else self._checked(path)

    def blank_label(self) -> Picture:
        """A label (H, W) uint8 of the first class only."""
        return np.zeros(tuple(self.size), np.uint8)

    def canvas(self, label: Picture) -> Picture:
        """A label as a picture to paint on."""
        return canvas_of(label, self.colors)

    def round_trips(self, painted: Picture | None, seed: float, count: int, num_steps: int) -> str:
        """Syntheses of a painted label, each beside its segmentation.

        Args:
            painted: (H', W', 4) uint8 RGBA, the canvas.
            seed: A whole number; number fields give floats.
            count: Number of syntheses.
            num_steps: Solver steps.

        Raises:
            UserError: Nothing is painted, or the seed is no whole number in 0 .. 2**53.
        """
        if painted is None:
            raise UserError("there is no label map yet; paint one, or take one from above")
        # A browser's numbers are whole up to here.
        if seed is None or seed != int(seed) or not 0 <= seed <= 2**53:
            raise UserError(f"the seed must be a whole number in 0 .. 2**53, got {seed}")
        label = painted_label(painted, self.size, self.colors)
        trips = compute.round_trips(self.pipeline, label, int(seed), count, num_steps)
        given = self._label_figure(label, "painted.label.png", "The label map as painted")
        shares = compute.shares_of(label, len(self.names))
        return (
            markup.figures([given], "given", "Label map")
            + markup.legend(self.names, self.colors, shares)
            + markup.figures(
                (self._trip(trip, int(seed), k) for k, trip in enumerate(trips)),
                "trips",
                "Syntheses, each with its segmentation",
            )
        )

    def _trip(self, trip: compute.RoundTrip, seed: int, k: int) -> str:
        which = f"seed {seed}, sample {k}"
        parts = [
            markup.figure(
                png_bytes(trip.image),
                f"Synthesis of {which}",
                which.capitalize(),
                f"synthesis.{seed}.{k}.png",
            ),
            self._label_figure(
                trip.label,
                f"synthesis.{seed}.{k}.label.png",
                f"The synthesis of {which} segmented again",
                agreeing(trip.agreement),
            ),
        ]
        return markup.figures(parts, "trip", f"Round trip of {which}")

    def _label_figure(
        self, label: Picture, download: str, alt: str, caption: str = "Label map"
    ) -> str:
        # Its indices are the ids, so that what is saved can be a label again.
        content = pseudo_mask_png(label, color_table(self.colors))
        return markup.figure(content, alt, caption, download, "Download ids")

    def _checked(self, path: Path) -> Picture:
        label = read_label(path, self.size)
        try:
            self.pipeline.palette.check_label(label)
        except ValueError as error:
            raise UserError(f"{path.name}: {error}; give label ids, not colours") from None
        return label

    def _segmented(
        self, name: str, image: Picture, known: Picture | None, num_steps: int
    ) -> Chosen:
        found = compute.segment(self.pipeline, image, num_steps)
        return Chosen(name, image, known, found, num_steps)


def agreeing(found: compute.Agreement) -> str:
    """Both figures of an agreement, as a reader takes them."""
    return f"mIoU {found.miou:.3f}, accuracy {found.pixel_accuracy:.1%}"


def plural(number: int, noun: str) -> str:
    """1 step, 2 steps."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
