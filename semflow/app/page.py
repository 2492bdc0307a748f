"""The page's layout in Gradio, and which of its events call which handler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from numpy.typing import NDArray

from semflow.app import markup
from semflow.app.brushes import brush_colors, canvas_scale
from semflow.app.handlers import Chosen, Handlers
from semflow.core.errors import UserError
from semflow.filmstrip import has_filmstrip

MOST_STEPS, MOST_SYNTHESES = 50, 6
ERROR_SECONDS = 12
CANVAS_HEIGHT = "33rem"
UPLOADS = [".png", ".jpg", ".jpeg"]
LANE: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "computing"}
"""Of all events together, so that one computation runs at a time."""
PICK = """
element.addEventListener('click', event => {
  const button = event.target.closest('button[data-index]');
  if (!button) return;
  element.querySelectorAll('button').forEach(other =>
    other.setAttribute('aria-pressed', String(other === button)));
  trigger('click', {index: Number(button.dataset.index)});
});
"""
"""Tells the server which example was clicked."""
BRUSH = """
element.addEventListener('click', async event => {
  const button = event.target.closest('button[data-index]');
  const canvas = document.querySelector('#canvas');
  if (!button || !canvas) return;
  const tool = name => canvas.querySelector(`button[aria-label="${name}"]`);
  const swatches = () => canvas.querySelectorAll('button.color');
  const press = async one => {
    one.click();
    await new Promise(done => setTimeout(done, 120));
  };
  await press(tool('Brush'));
  if (!swatches().length) await press(tool('Color'));
  await press(swatches()[Number(button.dataset.index)]);
  element.querySelectorAll('button').forEach(other =>
    other.setAttribute('aria-pressed', String(other === button)));
});
"""
"""Takes the brush of the class that was clicked, in the canvas's own palette. That one has no names
and stays open over what is painted, so that the style hides it."""


@dataclass(frozen=True)
class Parts:
    """The components that take part in events, by what they hold."""

    chosen: gr.State
    examples: gr.HTML
    image: gr.UploadButton
    segment_steps: gr.Slider
    opacity: gr.Slider
    segmentation: gr.HTML
    film: gr.HTML
    canvas: gr.ImageEditor
    from_segmentation: gr.Button
    blank: gr.Button
    label: gr.UploadButton
    seed: gr.Number
    count: gr.Slider
    synthesize_steps: gr.Slider
    synthesize: gr.Button
    round_trips: gr.HTML


def build_page(handlers: Handlers, checkpoint: str) -> gr.Blocks:
    """The whole page.

    Args:
        handlers: What its events call.
        checkpoint: The checkpoint's name, for the heading.
    """
    page: gr.Blocks
    with gr.Blocks(title="SemFlow", analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gr.HTML(_heading(handlers, checkpoint), js_on_load=None)
        parts = Parts(chosen=gr.State(None), **_segmentation(handlers), **_synthesis(handlers))
        _wire_segmentation(page, parts, handlers)
        _wire_synthesis(parts, handlers)
    return page


def _heading(handlers: Handlers, checkpoint: str) -> str:
    height, width = handlers.size
    return (
        "<header><h1>SemFlow</h1><p>One flow between images and label maps: forward it segments, "
        f"backward it synthesizes.</p><p class='muted'>{escape(checkpoint)}: {width}x{height} "
        f"pixels, {len(handlers.names)} classes</p></header>"
    )


def _segmentation(handlers: Handlers) -> dict[str, Any]:
    gr.HTML("<h2>Image → label map</h2>", js_on_load=None)
    with gr.Row(elem_classes="beside narrow"):
        with gr.Column(scale=1, min_width=260):
            examples = gr.HTML(
                _examples(handlers), js_on_load=PICK, visible=bool(handlers.examples)
            )
            image = gr.UploadButton("Upload an image (PNG, JPEG)", file_types=UPLOADS, size="md")
            steps = _steps("Steps from image to mask", handlers.pipeline.config.segment_steps)
            opacity = gr.Slider(0, 100, 60, step=5, label="Opacity of the segmentation, %")
        with gr.Column(scale=3, min_width=300):
            segmentation = gr.HTML(
                markup.note("Choose an image."), js_on_load=None, elem_id="segmentation"
            )
    with gr.Column(visible=has_filmstrip(handlers.pipeline)):
        gr.HTML(
            "<h3>The way there</h3><p>States of the flow, decoded, at equal distances of t. "
            "The mask's colours are the flow's own, far apart; the legend's are for the eye.</p>",
            js_on_load=None,
        )
        film = gr.HTML(js_on_load=None, elem_id="film")
    return {
        "examples": examples,
        "image": image,
        "segment_steps": steps,
        "opacity": opacity,
        "segmentation": segmentation,
        "film": film,
    }


def _synthesis(handlers: Handlers) -> dict[str, Any]:
    default = handlers.pipeline.config.synthesize_steps
    with gr.Column(visible=handlers.pipeline.formulation.synthesizes):
        gr.HTML("<h2>Label map → images</h2>", js_on_load=None)
        with gr.Row(elem_classes="beside wide"):
            with gr.Column(scale=2, min_width=300):
                gr.HTML(
                    markup.brushes(handlers.names, handlers.colors, _first_brush(handlers)),
                    js_on_load=BRUSH,
                    elem_id="brushes",
                )
                canvas = _canvas(handlers)
                with gr.Row():
                    from_segmentation = gr.Button("Take the segmentation", size="md")
                    blank = gr.Button(f"All {handlers.names[0]}", size="md")
                label = gr.UploadButton(
                    "Upload a label map (PNG of ids)", file_types=UPLOADS[:1], size="md"
                )
            with gr.Column(scale=3, min_width=300):
                with gr.Row():
                    seed = gr.Number(0, label="Seed", precision=0, minimum=0, min_width=120)
                    count = gr.Slider(1, MOST_SYNTHESES, 3, step=1, label="Syntheses")
                steps = _steps("Steps from mask to image", default)
                synthesize = gr.Button("Synthesize", variant="primary")
                round_trips = gr.HTML(
                    markup.note("Each synthesis is segmented again and compared with its label."),
                    js_on_load=None,
                    elem_id="round-trips",
                )
    return {
        "canvas": canvas,
        "from_segmentation": from_segmentation,
        "blank": blank,
        "label": label,
        "seed": seed,
        "count": count,
        "synthesize_steps": steps,
        "synthesize": synthesize,
        "round_trips": round_trips,
    }


def _wire_segmentation(page: gr.Blocks, parts: Parts, handlers: Handlers) -> None:
    """A choice, an upload and more steps segment; opacity only lays anew."""

    def shown(chosen: Chosen, opacity: float) -> tuple[Chosen, str, str]:
        """The choice, its segmentation and its way there."""
        return chosen, handlers.segmentation(chosen, opacity / 100), handlers.filmstrip(chosen)

    def started(chosen: Chosen, opacity: float) -> tuple[Any, ...]:
        """The same, and a label on the canvas to paint over."""
        return *shown(chosen, opacity), _editor(handlers, handlers.start_label(chosen))

    def pick(steps: int, opacity: float, event: gr.EventData) -> tuple[Any, ...]:
        """Takes the example that was clicked."""
        return _plainly(lambda: started(handlers.pick(int(event.index), steps), opacity))

    def open_page(steps: int, opacity: float) -> tuple[Any, ...]:
        """Takes the first example; the canvas has its label from the start."""
        return _plainly(lambda: shown(handlers.pick(0, steps), opacity))

    def upload(path: str, steps: int, opacity: float) -> tuple[Any, ...]:
        """Takes an image of the user's."""
        return _plainly(lambda: started(handlers.upload(Path(path), steps), opacity))

    def again(chosen: Chosen | None, steps: int, opacity: float) -> tuple[Any, ...]:
        """Segments the same image with another number of steps."""
        if chosen is None:
            return (gr.skip(),) * 3
        return _plainly(lambda: shown(handlers.again(chosen, steps), opacity))

    def lay(chosen: Chosen | None, opacity: float) -> Any:
        """Lays the segmentation that is there over the image anew."""
        return gr.skip() if chosen is None else handlers.segmentation(chosen, opacity / 100)

    results = [parts.chosen, parts.segmentation, parts.film]
    everything = [*results, parts.canvas]
    controls = [parts.segment_steps, parts.opacity]
    parts.examples.click(pick, controls, everything, **LANE)
    parts.image.upload(upload, [parts.image, *controls], everything, **LANE)
    # A dragged slider asks once, for where it was left.
    latest = {"trigger_mode": "always_last", "show_progress": "hidden", **LANE}
    parts.segment_steps.change(again, [parts.chosen, *controls], results, **latest)
    parts.opacity.change(lay, [parts.chosen, parts.opacity], parts.segmentation, **latest)
    if handlers.examples:
        page.load(open_page, controls, results, **LANE)


def _wire_synthesis(parts: Parts, handlers: Handlers) -> None:
    """Three ways to a label to paint on, and the syntheses of what is painted."""

    def take(chosen: Chosen | None) -> Any:
        """Puts the segmentation on the canvas."""
        return gr.skip() if chosen is None else _editor(handlers, chosen.found)

    def upload(path: str) -> dict[str, Any]:
        """Puts a label file of the user's on the canvas."""
        return _plainly(lambda: _editor(handlers, handlers.uploaded_label(Path(path))))

    def synthesize(editor: dict[str, Any], seed: float, count: int, steps: int) -> str:
        """Images of what is painted, each segmented again."""
        # Until something is painted, the canvas is its background.
        painted = editor["background"] if editor["composite"] is None else editor["composite"]
        return _plainly(lambda: handlers.round_trips(painted, seed, count, steps))

    parts.from_segmentation.click(take, parts.chosen, parts.canvas, **LANE)
    parts.blank.click(lambda: _editor(handlers, handlers.blank_label()), None, parts.canvas, **LANE)
    parts.label.upload(upload, parts.label, parts.canvas, **LANE)
    wanted = [parts.canvas, parts.seed, parts.count, parts.synthesize_steps]
    parts.synthesize.click(synthesize, wanted, parts.round_trips, **LANE)


def _examples(handlers: Handlers) -> str:
    names = [f"Example {example.name}" for example in handlers.examples]
    return markup.thumbnails(names, [one.image.read_bytes() for one in handlers.examples], 0)


def _canvas(handlers: Handlers) -> gr.ImageEditor:
    height, width = handlers.size
    scale = canvas_scale(handlers.size)
    colors = brush_colors(handlers.colors)
    return gr.ImageEditor(
        # Not set when the page opens: a canvas that is still being made would miss it.
        _editor(handlers, handlers.first_label()),
        label="Label map",
        height=CANVAS_HEIGHT,
        elem_id="canvas",
        image_mode="RGBA",
        sources=(),
        transforms=(),
        layers=False,
        buttons=[],
        # The default format loses what was painted.
        format="png",
        canvas_size=(width * scale, height * scale),
        fixed_canvas=True,
        brush=gr.Brush(
            default_size=max(4, scale * max(height, width) // 16),
            colors=list(colors),
            default_color=colors[_first_brush(handlers)],
            color_mode="fixed",
        ),
    )


def _first_brush(handlers: Handlers) -> int:
    """The second class: the first is most often what lies behind all others."""
    return min(1, len(handlers.names) - 1)


def _editor(handlers: Handlers, label: NDArray[np.uint8]) -> dict[str, Any]:
    return {"background": handlers.canvas(label), "layers": [], "composite": None}


def _steps(label: str, default: int) -> gr.Slider:
    return gr.Slider(1, max(MOST_STEPS, default), default, step=1, label=label)


def _plainly(answer: Callable[[], Any]) -> Any:
    """What a handler answers; a user's mistake becomes one line on the page."""
    try:
        return answer()
    except UserError as error:
        # The page takes errors for HTML, and file names are anybody's.
        raise gr.Error(escape(str(error)), duration=ERROR_SECONDS, print_exception=False) from None
