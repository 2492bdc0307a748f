"""The section on synthesis: distances to real images, round trip, diversity, and what they mean."""

from __future__ import annotations

from semflow.report.charts import Level, StepsChart, steps_chart
from semflow.report.content import Content
from semflow.report.formats import (
    NOTHING,
    column,
    count,
    counted,
    number,
    percent,
    size,
    with_percent,
)
from semflow.report.markup import Markup, Row, element, join, paragraphs, small, table
from semflow.report.texts import SYNTHESIS_METRICS
from semflow.results import Metrics


def synthesis_section(content: Content) -> Markup:
    """Tables and curve by number of steps."""
    metrics = content.metrics
    return element(
        "section",
        element("h2", "Synthesis"),
        paragraphs(_finding(metrics), _protocol(metrics)),
        _table(metrics),
        element("div", _curve(metrics), _diversity(content), class_="beside"),
        element("h3", "What these measure, and what they do not"),
        _glossary(),
        id="synthesis",
    )


def _finding(metrics: Metrics) -> str:
    found = metrics.synthesis
    default = found.by_steps[found.steps]
    return (
        f"With its default of {counted(found.steps, 'step')} SemFlow's syntheses lie at an "
        f"FD-MobileNetV2 of {number(default.fd_mobilenetv2)}; as many real images lie at "
        f"{number(found.floor_fd_mobilenetv2)}, the floor. Segmented again by the U-Net, they "
        f"match their labels with an mIoU of {with_percent(found.roundtrip_miou)}."
    )


def _protocol(metrics: Metrics) -> str:
    found = metrics.synthesis
    return (
        f"One synthesis for each of {counted(found.samples, 'validation label')}, compared with "
        f"{count(found.reference_samples)} other real validation images, all at "
        f"{size(found.resolution)}. The floor compares the {count(found.samples)} labels' own "
        "images with the same reference: no synthesis can be expected to come closer."
    )


def _table(metrics: Metrics) -> Markup:
    found = metrics.synthesis
    by_steps = sorted(found.by_steps.items())
    results = [result for _, result in by_steps]
    fd = column([*(r.fd_mobilenetv2 for r in results), found.floor_fd_mobilenetv2])
    kd = column([*(r.kd_mobilenetv2 for r in results), found.floor_kd_mobilenetv2])
    truth = column([r.st_lpips_to_truth for r in results])
    rows = [
        Row(
            counted(steps, "step") + (" (default)" if steps == found.steps else ""),
            [
                *(fd[i], kd[i], truth[i]),
                percent(result.roundtrip_miou_unet),
                percent(result.roundtrip_miou_semflow),
            ],
            marked=steps == found.steps,
        )
        for i, (steps, result) in enumerate(by_steps)
    ]
    unet = metrics.baselines.get("unet")
    real = Row(
        join(
            [
                "Floor: real images",
                small("Against other real images; at the right, segmented without a synthesis"),
            ]
        ),
        [
            *(fd[-1], kd[-1], NOTHING),
            percent(unet.miou if unet else None),
            percent(metrics.segmentation.miou),
        ],
    )
    return table(
        f"Synthesis from {counted(found.samples, 'validation label')} against "
        f"{counted(found.reference_samples, 'real image')}, {size(found.resolution)}",
        [
            "Steps",
            _head("FD-MobileNetV2", "lower is better"),
            _head("KD-MobileNetV2", "lower is better"),
            _head("ST-LPIPS to truth", "lower is closer"),
            _head("Round-trip mIoU by U-Net, %", "higher is better"),
            _head("Round-trip mIoU by SemFlow, %", "higher is better"),
        ],
        [rows, [real]],
    )


def _head(name: str, direction: str) -> Markup:
    return join([name, small(direction)])


def _curve(metrics: Metrics) -> Markup:
    found = metrics.synthesis
    return steps_chart(
        StepsChart(
            title="FD-MobileNetV2 by number of steps",
            series="SemFlow",
            points=[(steps, r.fd_mobilenetv2) for steps, r in sorted(found.by_steps.items())],
            levels=[Level("Floor: real images", found.floor_fd_mobilenetv2)],
            write=number,
            from_zero=True,
        )
    )


def _diversity(content: Content) -> Markup:
    found, params = content.metrics.synthesis, content.params.evaluate
    default = found.by_steps[found.steps]
    labels = min(params.diversity_labels, found.samples)
    between, to_truth = column([found.diversity_st_lpips, default.st_lpips_to_truth])
    rows = [
        Row("Between syntheses of one label", [between], marked=True),
        Row("From a synthesis to the true image", [to_truth]),
    ]
    about = (
        f"{counted(params.diversity_samples, 'synthesis').replace('synthesiss', 'syntheses')} of "
        f"each of {counted(labels, 'label')}, {counted(found.steps, 'step')}. The second row "
        "stands beside the first for scale."
    )
    return element(
        "div",
        table("Diversity", ["Mean distance", _head("ST-LPIPS", "higher is more diverse")], [rows]),
        paragraphs(about),
    )


def _glossary() -> Markup:
    entries = (
        join([element("dt", name), element("dd", what), element("dd", what_not, class_="not")])
        for name, what, what_not in SYNTHESIS_METRICS
    )
    return element("dl", *entries)
