"""The `semflow` command: segment, synthesize, score, inspect, use."""

from __future__ import annotations

import argparse
import importlib
import sys

from semflow.core.errors import UserError

# Looked up by name when needed, so that `semflow --help` and `semflow use` import no torch.
_COMMANDS = {
    "segment": ("semflow.cli.segment", "label ids and their colours of images"),
    "synthesize": ("semflow.cli.synthesize", "images of label ids"),
    "score": ("semflow.cli.score", "any system's output folder under the field's protocols"),
    "inspect": ("semflow.cli.inspect", "what a shard folder, checkpoint or report holds"),
    "use": ("semflow.cli.use", "write a recipe of params.yaml into a data set's block"),
}


def main() -> None:
    """Runs one command; a mistake of the user's is one line and exit code 2."""
    parser = argparse.ArgumentParser(prog="semflow", description=__doc__)
    parser.add_argument(
        "command",
        choices=_COMMANDS,
        help="; ".join(f"{name}: {help_text}" for name, (_, help_text) in _COMMANDS.items()),
    )
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    command = importlib.import_module(_COMMANDS[options.command][0])
    subparser = argparse.ArgumentParser(
        prog=f"semflow {options.command}", description=command.__doc__
    )
    command.add_arguments(subparser)
    try:
        command.run(subparser.parse_args(options.arguments))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
