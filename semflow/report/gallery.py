"""The section of samples: image, label, segmentation and syntheses side by side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semflow.core.labels import IGNORE_INDEX
from semflow.core.pictures import NO_CLASS_COLOR
from semflow.report.content import Content, Example
from semflow.report.formats import NOTHING, counted, listed, with_percent
from semflow.report.markup import Markup, element, join, paragraphs, picture, rgb, small

# An alt text names what matters; a class on a handful of pixels does not.
_NAMED_CLASSES = 4


def gallery_section(content: Content) -> Markup:
    """Legend and samples."""
    seeds = content.params.report.seeds
    command = f"semflow synthesize models/{content.dataset}/pipeline LABEL --seed {seeds[0]}"
    return element(
        "section",
        element("h2", "Samples"),
        paragraphs(
            f"{counted(len(content.examples), 'validation sample')}, spread evenly over the split "
            "and not chosen by hand. Segmentations and syntheses use the default numbers of "
            "steps; the syntheses of one label differ only in their seed.",
        ),
        element(
            "p",
            f"The synthesis with seed {seeds[0]} is what ",
            element("code", command),
            " writes from the label's file.",
        ),
        _legend(content),
        *(_example(example, content) for example in content.examples),
        id="samples",
    )


def agreement(prediction: NDArray[np.uint8], label: NDArray[np.uint8]) -> float | None:
    """The share of labelled pixels that a segmentation has right.

    Args:
        prediction: (H, W) uint8 ids.
        label: (H, W) uint8 ids, 255 = no class.

    Returns:
        in [0, 1]; None where no pixel is labelled.
    """
    labelled = label != IGNORE_INDEX
    return float(np.mean(prediction[labelled] == label[labelled])) if labelled.any() else None


def described(label: NDArray[np.uint8], names: list[str]) -> str:
    """A label map (H, W) uint8 in words: its most frequent classes with their shares."""
    ids, pixels = np.unique(label, return_counts=True)
    # Ties go to the lower id, so that the words do not depend on how a sort treats them.
    order = np.lexsort((ids, -pixels))
    parts = [
        f"{names[ids[i]] if ids[i] < len(names) else 'no class'} {100 * pixels[i] / label.size:.0f}"
        " %"
        for i in order[:_NAMED_CLASSES]
    ]
    rest = len(order) - len(parts)
    return listed(parts + ([f"{rest} more"] if rest > 0 else []))


def _legend(content: Content) -> Markup:
    entries = list(zip(content.metrics.classes, content.class_colors, strict=True))
    if any((example.label == IGNORE_INDEX).any() for example in content.examples):
        entries.append(("no class", NO_CLASS_COLOR))
    items = (
        element("li", element("span", style=f"background: {rgb(color)}", class_="swatch"), name)
        for name, color in entries
    )
    return element("ul", *items, class_="classes", aria_label="Display colours of the classes")


def _example(example: Example, content: Content) -> Markup:
    names, colors, anchors = content.metrics.classes, content.color_table(), content.anchor_table()
    right = agreement(example.segmentation, example.label)
    agreed = f"{NOTHING if right is None else with_percent(right)} right"
    cells = [
        _cell("Image", picture(example.image, f"Image {example.key}")),
        _cell("Label", picture(colors[example.label], f"Label: {described(example.label, names)}")),
        _cell(
            join(["Label", small("in the flow's colours")]),
            picture(anchors[example.label], f"The label of {example.key} as a pseudo-mask"),
        ),
        _cell(
            join(["Segmentation", small(agreed)]),
            picture(
                colors[example.segmentation],
                f"Segmentation: {described(example.segmentation, names)}",
            ),
        ),
        _cell(
            join(["Segmentation", small("in the flow's colours")]),
            picture(
                anchors[example.segmentation],
                f"The segmentation of {example.key} as a pseudo-mask",
            ),
        ),
        *(
            _cell(
                join(["Synthesis", small(f"seed {seed}")]),
                picture(pixels, f"Synthesis from the label of {example.key} with seed {seed}"),
            )
            for seed, pixels in zip(content.params.report.seeds, example.syntheses, strict=True)
        ),
    ]
    return element(
        "div",
        element("h3", element("code", example.key)),
        element("div", *cells, class_="cells"),
        class_="example",
    )


def _cell(caption: str, image: Markup) -> Markup:
    return element("figure", image, element("figcaption", caption))
