"""`semflow app`: both directions of a checkpoint on a page in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT",
            help="Folder of a checkpoint; without, the robots of the repository.",
            show_default=False,
        ),
    ] = Path("pretrained/robots"),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where the page is.")] = 7860,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 127.0.0.1: this machine only.")
    ] = "127.0.0.1",
    examples: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Images to pick, *-image.png; without, CHECKPOINT/examples, CHECKPOINT-examples.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Serve a page to try a checkpoint: segment, paint, synthesize.

    Needs the extra `app`: pip install -c constraints.txt -e '.[app]'. Nothing leaves the machine.

    \b
    Example:
      semflow app pretrained/robots --port 7860
    """
    # Imported here: help and completion must not wait for torch.
    from semflow.app import server

    server.serve(checkpoint, examples, host, port)
