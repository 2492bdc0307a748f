"""Imports point downward only."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tools.closure import ROOT, closure, imports_of, source_of

# From the ground up. A module may import what stands before its package, and its own package.
PACKAGES = (
    "semflow.core",
    "semflow.params",
    "semflow.datasets",
    "semflow.index",
    "semflow.shards",
    "semflow.pseudo_masks",
    "semflow.networks",
    "semflow.image_latents",
    "semflow.mask_latents",
    "semflow.pretraining",
    "semflow.flow",
    "semflow.formulations",
    "semflow.checkpoint",
    "semflow.inference",
    "semflow.pipeline",
    "semflow.filmstrip",
    "semflow.metrics",
    "semflow.training",
    "semflow.baselines",
    "semflow.peers",
    "semflow.evaluation",
    "semflow.report",
    "semflow.card",
    "semflow.schema",
    "semflow.cost",
    "semflow.app",
    "semflow.cli",
    "stages",
    "flows",
    "tools",
    "bench",
)
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for folder in ("semflow", "stages", "flows", "tools", "bench")
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


def place_of(module: str) -> int:
    """The place of a module's package in the table."""
    package = next((p for p in PACKAGES if module == p or module.startswith(f"{p}.")), None)
    assert package, f"give the package of {module} a place in PACKAGES"
    return PACKAGES.index(package)


@cache
def own_imports(module: str) -> set[str]:
    """Modules of this repository that a module imports, without the package roots above them."""
    path = source_of(module)
    assert path is not None
    found = {name for name in imports_of(path) if source_of(name) is not None}
    return found - {"semflow", module}


@pytest.mark.parametrize("module", [name for name in MODULES if name != "semflow"])
def test_a_module_imports_only_what_lies_below_it(module: str) -> None:
    for imported in own_imports(module):
        assert place_of(imported) <= place_of(module), f"{module} imports {imported}"


def test_the_package_itself_imports_only_the_guard() -> None:
    assert own_imports("semflow") == {"semflow.core", "semflow.core.torchvision_guard"}


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


def test_schemas_import_nothing_but_schemas_and_what_they_are_made_of() -> None:
    made_of = {"semflow.params", "semflow.params.fields", "semflow.core", "semflow.core.errors"}
    for module in (name for name in MODULES if name.endswith(".schema")):
        found = {name for name in own_imports(module) if not name.endswith(".schema")}
        packages = {name for name in found if name in PACKAGES and module != "semflow.schema"}
        assert found - packages <= made_of or module == "semflow.schema", module


@pytest.mark.parametrize(
    "module", ["semflow.pseudo_masks.palette", "semflow.flow.solvers", "semflow.flow.paths"]
)
def test_formulas_know_no_files(module: str) -> None:
    path = source_of(module)
    assert path is not None
    assert set(imports_of(path)) & FILE_HANDLING == set()
    assert "open(" not in (ROOT / path).read_text("utf-8")


@pytest.mark.parametrize("package", ["semflow.flow", "semflow.params", "semflow.core"])
def test_what_all_share_knows_no_file_of_a_data_set(package: str) -> None:
    names = [name for name in MODULES if name.startswith(f"{package}.")]
    assert names
    for name in names:
        path = source_of(name)
        assert path is not None
        text = (ROOT / path).read_text("utf-8").lower()
        assert not {"leftimg8bit", "celebamask", "stuffthing", "bmng"} & set(text.split("_"))


def test_what_needs_no_network_imports_no_torch() -> None:
    modules = [
        "semflow",
        "semflow.schema",
        "semflow.datasets.readers",
        "semflow.shards.manifest",
        "semflow.shards.reading",
        "semflow.shards.pixels",
        "semflow.index.checking",
        "semflow.core.packages",
        "semflow.core.resume",
        "semflow.pseudo_masks.coloring",
        "semflow.params.recipes",
        "semflow.evaluation.results",
        "semflow.app.brushes",
        "semflow.app.inputs",
        "semflow.app.markup",
        "semflow.cli.main",
        "semflow.cost.page",
        "stages.entry",
        "stages.launch",
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
