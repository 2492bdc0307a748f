"""Locks, the list of components and what is searched for advisories agree with constraints.txt."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import datetime
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.advisories import covers, of
from tools.closure import ROOT
from tools.lock import LOCKS, OUTSIDE, PINNED, Locked, parse, pinned, text_of, without_outside
from tools.sbom import SBOM, trimmed, wanted

NAMES = ("build", "setup", "supply")
OF_OTHER_EXTRAS = {
    "brotli",
    "gradio",
    "gradio-client",
    "groovy",
    "hf-gradio",
    "pandas",
    "playwright",
    "pydub",
    "python-multipart",
    "safehttpx",
    "semantic-version",
}
"""Pinned for the extras hub and peers, which `make setup` does not install."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def lock_of(name: str) -> dict[str, Locked]:
    return {entry.name: entry for entry in parse((LOCKS / f"{name}.lock").read_text("utf-8"))}


def pins() -> dict[str, str]:
    return {canonicalize_name(name): version for name, version in pinned().items()}


def locked(name: str, *via: str) -> Locked:
    return Locked(
        canonicalize_name(name), "1", "", ("a" * 64,), frozenset(map(canonicalize_name, via))
    )


def test_every_pinned_package_is_locked_in_its_version_but_torch_and_other_extras() -> None:
    lock = lock_of("setup")
    assert pins().keys() - lock.keys() == OUTSIDE | OF_OTHER_EXTRAS
    assert {name: lock[name].version for name in pins().keys() & lock.keys()} == {
        name: version for name, version in pins().items() if name in lock
    }


def test_no_package_is_pinned_twice() -> None:
    lines = [line for line in PINNED.read_text("utf-8").splitlines() if "==" in line]
    assert len(lines) == len(pins())


def test_what_a_lock_has_beyond_the_pins_is_for_another_platform_or_python() -> None:
    lock = lock_of("setup")
    assert all(lock[name].marker for name in lock.keys() - pins().keys())


def test_every_dependency_of_the_project_is_locked_in_a_version_that_it_allows() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    needs = {
        "setup": PROJECT["project"]["dependencies"] + extras["test"] + extras["s3"],
        "build": PROJECT["build-system"]["requires"],
        "supply": extras["supply"],
    }
    for name, lines in needs.items():
        lock = lock_of(name)
        for requirement in map(Requirement, lines):
            package = canonicalize_name(requirement.name)
            if package not in {*OUTSIDE, "semflow"}:
                assert requirement.specifier.contains(lock[package].version), package


@pytest.mark.parametrize("name", NAMES)
def test_every_package_of_a_lock_has_a_hash_and_no_line_names_an_index(name: str) -> None:
    text = (LOCKS / f"{name}.lock").read_text("utf-8")
    packages = parse(text)
    assert len(packages) == len(re.findall(r"^\S+==", text, re.MULTILINE))
    assert all(package.hashes for package in packages)
    assert text_of(packages) == text
    assert "://" not in text


def test_setup_installs_nothing_but_torch_and_torchvision_without_a_hash() -> None:
    recipe = (ROOT / "Makefile").read_text("utf-8").split("$(VENV)/installed:")[1].split("\n\n")[0]
    installs = [line.split("$(INSTALL) ")[1] for line in recipe.splitlines() if "INSTALL" in line]
    loose = [line for line in installs if "--require-hashes" not in line]
    assert loose == ["-c constraints.txt torch torchvision", "--no-deps --no-build-isolation -e ."]


def test_libraries_of_an_accelerator_go_with_torch_and_what_others_need_stays() -> None:
    packages = [
        locked("torch", "semflow"),
        locked("torchvision", "semflow"),
        locked("sympy", "torch"),
        locked("cuda-toolkit", "torch"),
        locked("nvidia-cublas", "cuda-toolkit", "torch"),
        locked("nvidia-ml-py", "dvclive"),
        locked("dvclive", "semflow"),
    ]
    kept = [package.name for package in without_outside(packages, ["sympy", "dvclive"])]
    assert kept == ["sympy", "nvidia-ml-py", "dvclive"]


def test_an_entry_is_read_with_its_marker_its_hashes_and_what_needs_it() -> None:
    hashes = ["a" * 64, "b" * 64]
    text = (
        "ruamel-yaml-clib==0.2.15 ; python_full_version < '3.13' \\\n"
        f"    --hash=sha256:{hashes[0]} \\\n    --hash=sha256:{hashes[1]}\n"
        "    # via\n    #   -c constraints.txt\n    #   ruamel.yaml\n"
    )
    [entry] = parse(text)
    assert (entry.name, entry.version) == ("ruamel-yaml-clib", "0.2.15")
    assert entry.marker == "python_full_version < '3.13'"
    assert entry.hashes == tuple(hashes)
    assert "ruamel-yaml" in entry.via
    assert "via" not in entry.via


def sbom() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(SBOM.read_text("utf-8"))
    return document


def test_the_list_of_components_is_exactly_what_is_locked_for_its_platform() -> None:
    properties = {part["name"]: part["value"] for part in sbom()["metadata"]["properties"]}
    environment = {name.split(":")[1]: value for name, value in properties.items()}
    listed = {canonicalize_name(part["name"]): part["version"] for part in sbom()["components"]}
    assert len(listed) == len(sbom()["components"])
    assert listed == wanted(environment)
    assert pins().keys() - listed.keys() <= OF_OTHER_EXTRAS | {"pendulum"}


def test_the_list_of_components_is_dated_small_and_names_no_path() -> None:
    document = sbom()
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert datetime.fromisoformat(document["metadata"]["timestamp"]).year >= 2026
    assert SBOM.stat().st_size < 300_000
    assert "file:" not in SBOM.read_text("utf-8")
    refs = {part["bom-ref"] for part in document["components"]}
    root = document["metadata"]["component"]["bom-ref"]
    assert {link["ref"] for link in document["dependencies"]} == refs | {root}
    assert {ref for link in document["dependencies"] for ref in link.get("dependsOn", [])} <= refs


def test_a_component_loses_its_builds_name_and_one_that_is_not_locked_goes() -> None:
    document: dict[str, Any] = {
        "metadata": {"component": {"bom-ref": "root"}, "tools": {"components": []}},
        "components": [
            {"name": "pip", "version": "9", "bom-ref": "pip==9"},
            {
                "name": "torch",
                "version": "2.1+cpu",
                "bom-ref": "torch==2.1+cpu",
                "description": "long",
            },
        ],
        "dependencies": [
            {"ref": "root", "dependsOn": ["torch==2.1+cpu", "pip==9"]},
            {"ref": "torch==2.1+cpu"},
            {"ref": "pip==9"},
        ],
    }
    made = trimmed(document, {canonicalize_name("torch"): "2.1"})
    assert made["components"] == [
        {
            "name": "torch",
            "version": "2.1",
            "bom-ref": "torch==2.1",
            "purl": "pkg:pypi/torch@2.1",
        }
    ]
    assert made["dependencies"] == [
        {"ref": "root", "dependsOn": ["torch==2.1"]},
        {"ref": "torch==2.1", "dependsOn": []},
    ]


@pytest.mark.parametrize(
    ("spec", "version", "expected"),
    [
        ("<2.0", "1.9", True),
        ("<2.0", "2.0", False),
        (">=1,<1.5", "1.4.1", True),
        (">=1,<1.5", "1.5", False),
        ("<2.0.0b1", "2.0.0a1", True),
        ("not a range", "1", True),
    ],
)
def test_an_advisory_covers_the_versions_of_its_range(
    spec: str, version: str, expected: bool
) -> None:
    assert covers(spec, version) is expected


def test_an_advisory_is_found_under_any_spelling_of_a_name() -> None:
    database = {
        "$meta": {"timestamp": 1},
        "Some_Name": [{"specs": ["<1", ">=2,<3"], "cve": None, "id": "a-1", "advisory": "Bad."}],
    }
    assert list(of("some-name", "2.5", database)) == ["some-name 2.5: a-1: Bad."]
    assert list(of("some-name", "1.5", database)) == []
    assert list(of("other", "2.5", database)) == []
