"""Serving the page on this machine, without a request to any other."""

from __future__ import annotations

import os
import signal
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from semflow.core.errors import UserError

if TYPE_CHECKING:
    from semflow.app.handlers import Handlers

LARGEST_UPLOAD = "32mb"
STYLE = Path(__file__).with_name("style.css")
FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Liberation Sans", "sans-serif"]
MONO = ["ui-monospace", "Consolas", "Liberation Mono", "monospace"]


def require_gradio() -> None:
    """Makes sure that the page can be served.

    Raises:
        UserError: Gradio is not installed.
    """
    if find_spec("gradio") is None:
        raise UserError("semflow app needs Gradio; run: pip install -c constraints.txt -e '.[app]'")


def serve(checkpoint: Path, examples: Path | None, host: str, port: int) -> None:
    """Serves the page until SIGINT or SIGTERM; uploads are deleted with the server.

    Args:
        checkpoint: Its folder.
        examples: Folder of images to pick; None for those of the checkpoint.
        host: Address to listen on; 127.0.0.1 is reached from this machine only.
        port: 1 .. 65535.

    Raises:
        UserError: Gradio is not installed, the checkpoint or the examples are not sound, or the
            address cannot be listened on.
    """
    require_gradio()
    from semflow.app.handlers import Handlers
    from semflow.app.inputs import find_examples
    from semflow.pipeline import load_pipeline

    found = find_examples(checkpoint, examples)
    pipeline = load_pipeline(checkpoint)
    pipeline.set_progress_bar_config(disable=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="semflow-app-") as uploads:
        # Read by Gradio when it is imported: no telemetry, no look for a newer version.
        os.environ.update(GRADIO_ANALYTICS_ENABLED="False", GRADIO_TEMP_DIR=uploads)
        _launch(Handlers(pipeline, found), checkpoint, host, port)


def _launch(handlers: Handlers, checkpoint: Path, host: str, port: int) -> None:
    import gradio as gr

    from semflow.app.page import build_page

    page = build_page(handlers, str(checkpoint))
    try:
        page.queue(default_concurrency_limit=1).launch(
            server_name=host,
            server_port=port,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            ssr_mode=False,
            enable_monitoring=False,
            run_history=False,
            footer_links=[],
            max_file_size=LARGEST_UPLOAD,
            # Their own fonts, of which none is fetched.
            theme=gr.themes.Default(primary_hue="blue", font=FONT, font_mono=MONO),
            css_paths=STYLE,
        )
    except OSError as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"cannot listen on {host}, port {port} ({reason}); name another by --port"
        ) from None
    print(f"SemFlow: http://{host}:{port} (Ctrl-C ends it)", flush=True)
    page.block_thread()
