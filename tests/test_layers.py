"""Imports point downward only."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from support.closure import ROOT, closure, imports_of, source_of

# From the ground up. A module may import what lies below it and, in its own line, its own package.
LAYERS: tuple[tuple[str, ...], ...] = (
    (
        "semflow.core.errors",
        "semflow.core.labels",
        "semflow.params.messages",
        "semflow.core.seeds_spread",
    ),
    ("semflow.core.torchvision_guard",),
    ("semflow.params", "semflow.pseudo_masks.noise"),
    (
        "semflow.core.files",
        "semflow.pseudo_masks.palette",
        "semflow.flow.solvers",
        "semflow.core.pictures",
    ),
    (
        "semflow.core.packages",
        "semflow.datasets",
        "semflow.core.provenance",
        "semflow.core.scratch",
    ),
    ("semflow.core.parts", "semflow.core.pool"),
    ("semflow.shards", "semflow.networks"),
    ("semflow.latents.encoding", "semflow.formulations"),
    ("semflow.latents.image_latents", "semflow.latents.mask_latents"),
    ("semflow.pipeline", "semflow.metrics"),
    ("semflow.evaluation.presets",),
    ("semflow.training", "semflow.scoring"),
    ("semflow.baselines", "semflow.evaluation.results"),
    ("semflow.evaluation",),
    ("semflow.report", "semflow.cli"),
    ("stages", "flows"),
    ("flows.graph", "flows.guard", "flows.output", "flows.parameters", "flows.artifacts"),
    ("flows.workspace", "flows.plugin"),
    ("flows.stage", "flows.record", "flows.compare"),
    ("flows.reproduce",),
    ("flows.road",),
    ("flows.runs",),
)

MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for folder in ("semflow", "stages", "flows")
    for path in (ROOT / folder).rglob("*.py")
)
FLOWS = sorted(path.stem for path in (ROOT / "flows").glob("*.py") if path.stem != "__init__")
FILE_HANDLING = {
    "os",
    "io",
    "shutil",
    "tempfile",
    "pathlib",
    "zipfile",
    "tarfile",
    "semflow.core.files",
}


def place_of(module: str) -> tuple[int, str]:
    """The layer of a module and the name in the table that stands for it, the longest that fits."""
    fitting = [
        (name, layer)
        for layer, names in enumerate(LAYERS)
        for name in names
        if module == name or module.startswith(f"{name}.")
    ]
    assert fitting, f"give {module} a place in LAYERS"
    name, layer = max(fitting, key=lambda found: len(found[0]))
    return layer, name


@cache
def own_imports(module: str) -> set[str]:
    """Modules of this repository that a module imports, without the package roots above them."""
    path = source_of(module)
    assert path is not None
    found = {name for name in imports_of(path) if source_of(name) is not None}
    return found - {"semflow", module}


@pytest.mark.parametrize("module", [name for name in MODULES if name != "semflow"])
def test_a_module_imports_only_what_lies_below_it(module: str) -> None:
    layer, name = place_of(module)
    for imported in own_imports(module):
        below, other = place_of(imported)
        assert below < layer or other == name, f"{module} imports {imported}"


def test_the_package_itself_imports_only_the_guard() -> None:
    assert own_imports("semflow") == {"semflow.core.torchvision_guard"}


def test_no_module_imports_itself_through_others() -> None:
    for module in MODULES:
        reached: set[str] = set()
        waiting = list(own_imports(module))
        while waiting:
            name = waiting.pop()
            assert name != module, f"{module} is reached from itself"
            if name not in reached:
                reached.add(name)
                waiting += own_imports(name)


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("semflow.pseudo_masks.palette", set()),
        ("semflow.flow.solvers", set()),
        ("semflow.params", {"pathlib"}),  # it reads its own file and no other
    ],
)
def test_formulas_and_schema_know_no_files(module: str, allowed: set[str]) -> None:
    path = source_of(module)
    assert path is not None
    assert set(imports_of(path)) & FILE_HANDLING == allowed
    assert "open(" not in (ROOT / path).read_text("utf-8")


def test_what_needs_no_network_imports_no_torch() -> None:
    modules = [
        "semflow",
        "semflow.params",
        "semflow.datasets.readers",
        "semflow.shards.manifest",
        "semflow.index.checking",
        "semflow.core.packages",
        "semflow.cli.main",
        "semflow.cli.use",
        "stages.entry",
        "stages.raw",
        "stages.metric_weights",
    ]
    script = "import sys\n" + "\n".join(
        f"import {module}\nassert 'torch' not in sys.modules, '{module} imports torch'"
        for module in modules
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_flows_know_no_machine_learning() -> None:
    for flow in FLOWS:
        for path in closure(f"flows.{flow}"):
            tops = {name.split(".")[0] for name in imports_of(Path(path))}
            # The guard names torch, but imports it only when torchvision is imported.
            if path != source_of("semflow.core.torchvision_guard"):
                assert not tops & {"torch", "diffusers", "accelerate"}, f"flows.{flow}: {path}"
