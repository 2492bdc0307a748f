"""The text of a model card, README.md beside the weights; every number in it was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from semflow.card.origins import Origin
from semflow.evaluation.results import (
    Metrics,
    Segmentation,
    SegmentationFigures,
    Synthesis,
    SynthesisFigures,
)
from semflow.report.formats import yaml_text

PICTURE = "samples.png"
RECIPE = ("flow", "noise", "train", "inference")
"""Groups of params.yaml that a card shows."""


@dataclass(frozen=True)
class Card:
    """All that a card is made from.

    Args:
        dataset: Name of the data set.
        origin: Whose data it is.
        metrics: What the evaluation found.
        image_size: Height and width that the checkpoint was trained at, pixels.
        solver: Its default solver.
        parameters: What its provenance notes of params.yaml.
        versions: Versions of packages that it was made with.
        seeds: Of the syntheses in the picture.
    """

    dataset: str
    origin: Origin
    metrics: Metrics
    image_size: tuple[int, int]
    solver: str
    parameters: Mapping[str, Any]
    versions: Mapping[str, str]
    seeds: Sequence[int]


def text(card: Card) -> str:
    """The card as Markdown, under the header that the hub reads."""
    parts = [
        _header(card),
        f"# SemFlow on {card.dataset}",
        "One rectified flow between images and segmentation masks: solved forward it segments an "
        "image, solved backward it synthesizes images from a label map.",
        f"![Held-out samples]({PICTURE})",
        "Held-out samples; from above: image, true label, segmented, synthesized from the true "
        f"label with seeds {', '.join(map(str, card.seeds))}.",
        _use(card),
        f"## Data\n\nTrained on {card.origin.data}. {card.origin.licence} Classes: "
        f"{', '.join(card.metrics.classes)}.",
        _measured(card),
        _recipe(card),
        _limits(card),
    ]
    return "\n\n".join(parts) + "\n"


def _header(card: Card) -> str:
    lines = [
        "---",
        "library_name: diffusers",
        f"license: {card.origin.weights}",
        "pipeline_tag: image-segmentation",
        "tags: [semflow, rectified-flow, image-segmentation, semantic-image-synthesis]",
        "---",
    ]
    return "\n".join(lines)


def _use(card: Card) -> str:
    height, width = card.image_size
    return f"""## Use

```python
from semflow import SemFlowPipeline

pipeline = SemFlowPipeline.from_pretrained("FOLDER OR REPOSITORY")
labels = pipeline.segment(images)
images = pipeline.synthesize(labels, seed=0)
```

It takes {width}x{height} pixels; for other sizes say `fit="resize"` or `fit="window"`."""


def _measured(card: Card) -> str:
    """The figures of the directions that the checkpoint has, and of the baselines."""
    metrics = card.metrics
    lines = [
        "## Measured",
        "",
        f"On {metrics.samples:,} {metrics.split} samples, one training seed. mIoU from one "
        "confusion matrix over all of them.",
        "",
        "| segmentation | mIoU |",
        "|---|---|",
    ]
    if metrics.segmentation is not None:
        lines += _segmented(card.solver, metrics.segmentation)
    lines += [f"| {name} | {_miou(figures)} |" for name, figures in metrics.baselines.items()]
    if metrics.synthesis is not None:
        lines += _synthesized(card.solver, metrics.synthesis)
    return "\n".join(lines)


def _segmented(solver: str, found: Segmentation) -> list[str]:
    """Rows of the first table."""
    rows = [
        f"| {solver}, {steps} steps{_default(steps, found.steps)} | {_miou(figures)} |"
        for steps, figures in sorted(found.by_steps.items())
    ]
    return [*rows, f"| ceiling by autoencoder and palette | {_score(found.oracle_miou)} |"]


def _synthesized(solver: str, made: Synthesis) -> list[str]:
    """What syntheses are compared with, and their table."""
    return [
        "",
        f"Syntheses of {made.samples:,} labels against {made.reference_samples:,} real images at "
        f"{made.resolution[1]}x{made.resolution[0]}: Frechet distance of MobileNetV2's features, "
        f"which is not FID (between real images: {made.floor_fd_mobilenetv2:.1f}), and the mIoU of "
        "the syntheses segmented by an independent U-Net.",
        "",
        "| synthesis | round trip | FD-MobileNetV2 |",
        "|---|---|---|",
        *(
            f"| {solver}, {steps} steps{_default(steps, made.steps)} | {_made(figures)} |"
            for steps, figures in sorted(made.by_steps.items())
        ),
    ]


def _recipe(card: Card) -> str:
    shown = {group: card.parameters[group] for group in RECIPE if group in card.parameters}
    versions = ", ".join(f"{name} {version}" for name, version in card.versions.items())
    return f"## Recipe\n\n```yaml\n{yaml_text(shown).rstrip()}\n```\n\nMade with {versions}."


def _limits(card: Card) -> str:
    ceiling = card.metrics.baselines.get("unet")
    found = card.metrics.segmentation
    against = (
        f" A discriminative U-Net trained on as many samples reaches {_score(ceiling.miou)} mIoU "
        f"where this reaches {_score(found.miou)}."
        if ceiling is not None and found is not None
        else ""
    )
    return (
        "## Limits\n\nIt knows the classes above and pictures like those it was trained on; others "
        "were not measured, nor were sizes other than its own. Figures are of one training seed."
        + against
    )


def _default(steps: int, default: int) -> str:
    return " (default)" if steps == default else ""


def _miou(figures: SegmentationFigures) -> str:
    return _score(figures.miou) + _interval(figures.miou_interval)


def _made(figures: SynthesisFigures) -> str:
    trip = _score(figures.roundtrip_miou_unet) + _interval(figures.roundtrip_miou_unet_interval)
    return f"{trip} | {figures.fd_mobilenetv2:.1f}"


def _score(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _interval(found: tuple[float, float] | None) -> str:
    return "" if found is None else f" [{found[0]:.3f}, {found[1]:.3f}]"
