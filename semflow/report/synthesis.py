"""The section on synthesis: distances to real images, round trip, diversity, and what they mean."""

from __future__ import annotations

from collections.abc import Callable

from semflow.evaluation.results import Metrics, SynthesisFigures
from semflow.report.charts import Level, StepsChart, steps_chart
from semflow.report.content import Content
from semflow.report.formats import NOTHING, count, counted, percent, size, with_percent, writer_for
from semflow.report.markup import Markup, Row, column_head, element, join, paragraphs, small, table
from semflow.report.texts import SYNTHESIS_METRICS


def synthesis_section(content: Content) -> Markup:
    """Tables and curve by number of steps."""
    metrics = content.metrics
    return element(
        "section",
        element("h2", "Synthesis"),
        paragraphs(_finding(metrics), _protocol(content)),
        _table(metrics),
        *_field_table(metrics),
        element("div", _curve(metrics), _diversity(content), class_="beside"),
        element("h3", "What these measure, and what they do not"),
        _glossary(),
        id="synthesis",
    )


def fd_writer(metrics: Metrics) -> Callable[[float], str]:
    """How every FD-MobileNetV2 of the page is written, wherever it stands."""
    return writer_for([result.fd_mobilenetv2 for result in metrics.synthesis.by_steps.values()])


def _finding(metrics: Metrics) -> str:
    found = metrics.synthesis
    default = found.by_steps[found.steps]
    write = fd_writer(metrics)
    return (
        f"With its default of {counted(found.steps, 'step')} SemFlow's syntheses lie at an "
        f"FD-MobileNetV2 of {write(default.fd_mobilenetv2)}; real images lie at "
        f"{write(found.floor_fd_mobilenetv2)}, the floor. Segmented again by the U-Net, they "
        f"match their labels with an mIoU of {with_percent(found.roundtrip_miou)}."
    )


def _protocol(content: Content) -> str:
    found = content.metrics.synthesis
    others = "" if content.params.evaluate.reference == "own" else "other "
    return (
        f"One synthesis for each of {counted(found.samples, 'validation label')}, compared with "
        f"{count(found.reference_samples)} {others}real validation images, all at "
        f"{size(found.resolution)}. The floor compares two sets of "
        f"{count(found.floor_samples)} real images with nothing in common, and so says how far "
        "apart real images are."
    )


def _table(metrics: Metrics) -> Markup:
    found = metrics.synthesis
    rows = [
        Row(
            counted(steps, "step") + (" (default)" if steps == found.steps else ""),
            _scores(metrics, result),
            marked=steps == found.steps,
        )
        for steps, result in sorted(found.by_steps.items())
    ]
    return table(
        f"Synthesis from {counted(found.samples, 'validation label')} against "
        f"{counted(found.reference_samples, 'real image')}, {size(found.resolution)}",
        [
            "Steps",
            column_head("FD-MobileNetV2", "lower is better"),
            column_head("KD-MobileNetV2", "lower is better"),
            column_head("ST-LPIPS to truth", "lower is closer"),
            column_head("Round-trip mIoU,\N{NO-BREAK SPACE}%", "by the U-Net; higher is better"),
            column_head("Round-trip mIoU,\N{NO-BREAK SPACE}%", "by SemFlow; higher is better"),
        ],
        [rows, [_floor(metrics)]],
    )


def _field_table(metrics: Metrics) -> list[Markup]:
    """FID, KID and LPIPS proper, where they were measured, with all that they depend on."""
    found = metrics.synthesis.protocol
    if found is None:
        return []
    record = found.protocol
    head = (
        f"Preset {record.preset}: {counted(record.fake, 'image')} against "
        f"{counted(record.real, 'photo')} at {size(record.resolution)}, "
        f"{counted(metrics.synthesis.steps, 'step')}"
    )
    scores = [found.fid, found.kid, found.lpips_gt, found.lpips_div]
    floors = [found.floor_fid, found.floor_kid, None, None]
    columns = [
        "Images",
        column_head("FID", "lower is better"),
        column_head("KID", "lower is better"),
        column_head("LPIPS to the photo", "lower is closer"),
        column_head("LPIPS between samples", "higher is more diverse"),
    ]
    rows = [
        Row("Syntheses", _plain(scores)),
        Row("Floor: two halves of the photos", _plain(floors)),
    ]
    return [table(head, columns, [rows])]


def _plain(values: list[float | None]) -> list[str]:
    return [NOTHING if value is None else f"{value:.4g}" for value in values]


def _scores(metrics: Metrics, result: SynthesisFigures) -> list[str]:
    every = metrics.synthesis.by_steps.values()
    truth = writer_for([other.st_lpips_to_truth for other in every])
    return [
        fd_writer(metrics)(result.fd_mobilenetv2),
        _kd_writer(metrics)(result.kd_mobilenetv2),
        truth(result.st_lpips_to_truth),
        percent(result.roundtrip_miou_unet),
        percent(result.roundtrip_miou_semflow),
    ]


def _floor(metrics: Metrics) -> Row:
    unet = metrics.baselines.get("unet")
    remark = small("Two sets of them; the mIoUs are of their plain segmentation")
    cells = [
        fd_writer(metrics)(metrics.synthesis.floor_fd_mobilenetv2),
        _kd_writer(metrics)(metrics.synthesis.floor_kd_mobilenetv2),
        NOTHING,
        percent(unet.miou if unet else None),
        percent(metrics.segmentation.miou),
    ]
    return Row(join(["Floor: real images", remark]), cells)


def _kd_writer(metrics: Metrics) -> Callable[[float], str]:
    return writer_for([result.kd_mobilenetv2 for result in metrics.synthesis.by_steps.values()])


def _curve(metrics: Metrics) -> Markup:
    found = metrics.synthesis
    return steps_chart(
        StepsChart(
            title="FD-MobileNetV2 by number of steps",
            series="SemFlow",
            points=[(steps, r.fd_mobilenetv2) for steps, r in sorted(found.by_steps.items())],
            levels=[Level("Floor: real images", found.floor_fd_mobilenetv2)],
            write=fd_writer(metrics),
            from_zero=True,
        )
    )


def _diversity(content: Content) -> Markup:
    found, params = content.metrics.synthesis, content.params.evaluate
    default = found.by_steps[found.steps]
    labels = min(params.diversity_labels, found.samples)
    write = writer_for([found.diversity_st_lpips, default.st_lpips_to_truth])
    rows = [
        Row("Between syntheses of one label", [write(found.diversity_st_lpips)], marked=True),
        Row("From a synthesis to the true image", [write(default.st_lpips_to_truth)]),
    ]
    about = (
        f"{count(params.diversity_samples)} syntheses of each of {counted(labels, 'label')}, "
        f"{counted(found.steps, 'step')}. The second row stands beside the first for scale."
    )
    return element(
        "div",
        table(
            "Diversity",
            ["Mean distance", column_head("ST-LPIPS", "higher is more diverse")],
            [rows],
        ),
        paragraphs(about),
    )


def _glossary() -> Markup:
    entries = (
        join([element("dt", name), element("dd", what), element("dd", what_not, class_="not")])
        for name, what, what_not in SYNTHESIS_METRICS
    )
    return element("dl", *entries)
