"""The top of the page: what this is, what was trained, and its two default operating points."""

from __future__ import annotations

from semflow.report.content import Content
from semflow.report.formats import count, counted, percent, size, with_percent
from semflow.report.markup import Markup, element, join, paragraphs
from semflow.report.synthesis import fd_writer
from semflow.report.texts import ABOUT, FLOW, SOLVERS


def headline(content: Content) -> Markup:
    """Title, facts and the two cards."""
    return element(
        "header",
        element("h1", f"SemFlow on {content.dataset}"),
        paragraphs(*(text for text in (FLOW, ABOUT.get(content.params.index.reader)) if text)),
        _facts(content),
        element("div", _segmentation_card(content), _synthesis_card(content), class_="cards"),
    )


def _facts(content: Content) -> Markup:
    params = content.params
    seen = params.train.steps * params.train.batch_size
    start = "random weights" if params.backbone.source == "scratch" else "pretrained weights"
    facts = (
        (
            "Data",
            f"{count(content.train_samples)} training and {count(content.val_samples)} validation "
            f"samples, {count(len(content.metrics.classes))} classes",
        ),
        ("Resolution", size(params.shards.image_size)),
        (
            "Training",
            f"{counted(params.train.steps, 'step')} of {counted(params.train.batch_size, 'sample')}"
            f" from {start}",
        ),
        (
            "Samples seen",
            f"{count(seen)}, {seen / max(content.train_samples, 1):.1f} times the training split",
        ),
    )
    pairs = (join([element("dt", name), element("dd", value)]) for name, value in facts)
    return element("dl", *pairs, class_="facts")


def _segmentation_card(content: Content) -> Markup:
    found = content.metrics.segmentation
    unet = content.metrics.baselines.get("unet")
    return _card(
        "Image to labels",
        _setting(found.steps, content),
        (percent(found.miou), "% mIoU"),
        (
            *((f"{with_percent(unet.miou)} by the discriminative U-Net",) if unet else ()),
            f"{with_percent(found.pixel_accuracy)} of pixels right",
        ),
    )


def _synthesis_card(content: Content) -> Markup:
    found = content.metrics.synthesis
    default = found.by_steps[found.steps]
    write = fd_writer(content.metrics)
    return _card(
        "Labels to image",
        _setting(found.steps, content),
        (write(default.fd_mobilenetv2), "FD-MobileNetV2"),
        (
            f"{write(found.floor_fd_mobilenetv2)} for real images, the floor",
            f"{with_percent(found.roundtrip_miou)} mIoU when segmented again by the U-Net",
        ),
    )


def _setting(steps: int, content: Content) -> str:
    solver = content.params.inference.solver
    return f"{counted(steps, 'step')} ({SOLVERS.get(solver, solver)})"


def _card(title: str, setting: str, figure: tuple[str, str], lines: tuple[str, ...]) -> Markup:
    value, unit = figure
    return element(
        "div",
        element("h2", title),
        element("p", f"By default {setting}", class_="setting"),
        element("p", element("span", value, class_="big"), f" {unit}"),
        *(element("p", line, class_="line") for line in lines),
        class_="card",
    )
