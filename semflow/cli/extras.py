"""Which extra of an installation brings a package that a sub-command asks for."""

from __future__ import annotations

EXTRAS = {
    "train": (
        "accelerate",
        "cryptography",
        "dask",
        "distributed",
        "jinja2",
        "lpips",
        "matplotlib",
        "tensorboard",
        "torch_fidelity",
        "torchmetrics",
        "torchvision",
        "webdataset",
    ),
    "pipeline": ("dvc", "dvclive", "fastapi", "prefect", "psutil"),
    "hub": ("transformers",),
    "s3": ("dvc_s3",),
    "trackers": ("wandb",),
}
"""By extra of pyproject.toml: the modules that its packages hold."""


def extra_of(module: str) -> str | None:
    """What to run for a module that is not there; None where no extra brings it."""
    top = module.partition(".")[0]
    found = next((extra for extra, modules in EXTRAS.items() if top in modules), None)
    return None if found is None else f"run: pip install 'semflow[{found}]'"
