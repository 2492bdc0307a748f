"""`semflow doctor`: what is installed, which devices there are, and what data sets still need."""

from __future__ import annotations

from typing import Annotated

import typer


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """Say what is installed, what is there, and what is missing.

    Looks at packages, devices, and the raw files, weights, shards and checkpoint of each block in
    params.yaml. Exit code 1: a listed data set lacks something that no stage fetches or makes.

    \b
    Example:
      semflow doctor --json
    """
    # Imported here: help and completion must not wait for numpy and torch.
    import json

    from semflow.cli.health import devices, of_datasets, packages
    from semflow.core.terminal import printable
    from semflow.schema import read_params

    params = read_params()
    groups = {"packages": packages(), "devices": devices()}
    datasets = of_datasets(params)
    every = [*groups.values(), *datasets.values()]
    missing = any(one.is_missing for findings in every for one in findings)
    if as_json:
        said = {name: [one.as_json() for one in findings] for name, findings in groups.items()}
        blocks = {
            name: {
                "listed": name in params.datasets,
                "findings": [one.as_json() for one in findings],
            }
            for name, findings in datasets.items()
        }
        print(json.dumps({**said, "datasets": blocks, "complete": not missing}, indent=2))
    else:
        listed = {
            f"{name}{'' if name in params.datasets else ' (not in datasets)'}": findings
            for name, findings in datasets.items()
        }
        for name, findings in {**groups, **listed}.items():
            print(printable(name))
            for one in findings:
                sign = "MISSING " if one.is_missing else ""
                cure = f"; {one.cure}" if one.cure else ""
                print(printable(f"  {one.what}: {sign}{one.state}{cure}"))
    raise typer.Exit(int(missing))
