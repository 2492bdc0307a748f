"""What the documents say of the tests is so."""

from __future__ import annotations

import ast
import re
import tomllib
from importlib.metadata import Distribution
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tools import licences
from tools.closure import ROOT
from tools.lock import pinned

RELIABILITY = ROOT / "docs" / "reliability.md"
FAULTS = 55
STATES = ("mended", "was gone", "open")


def rows() -> list[tuple[int, str, str]]:
    """Number, state and tests of every row of the tables of faults."""
    found = []
    for line in RELIABILITY.read_text("utf-8").splitlines():
        if match := re.match(r"\| (\d+) \|", line):
            _, _, _, state, tests, _ = re.split(r"(?<!\\)\|", line)
            found.append((int(match[1]), state.strip(), tests))
    return found


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", RELIABILITY.read_text("utf-8"))
    assert named
    for file, name in named:
        tree = ast.parse((ROOT / file).read_text("utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, file


def test_a_fault_has_one_row_a_state_and_unless_it_is_open_a_test() -> None:
    numbers = [number for number, _, _ in rows()]
    assert len(set(numbers)) == len(numbers)
    assert set(numbers) <= set(range(1, FAULTS + 1))
    for number, state, tests in rows():
        assert state.startswith(STATES), number
        assert state.startswith("open") or "::test_" in tests, number


def test_the_table_of_licences_has_every_pinned_package_in_its_version() -> None:
    table = licences.DOCS.read_text("utf-8").split(licences.START)[1].split(licences.END)[0]
    stated = {
        name: (version, licence)
        for name, version, licence in re.findall(
            r"^\| ([\w.-]+) \| ([\w.]+) \| (.+) \|$", table, re.M
        )
    }
    stated.pop("package")
    assert {name: version for name, (version, _) in stated.items()} == pinned()
    assert all(licence.strip() for _, licence in stated.values())


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([("License-Expression", "MIT"), ("License", "other")], "MIT"),
        ([("License", "BSD 3-Clause")], "BSD 3-Clause"),
        (
            [("License", "x" * 61), ("Classifier", "License :: OSI Approved :: MIT License")],
            "MIT License",
        ),
        ([("License", "UNKNOWN")], "not stated"),
        ([("Classifier", "License :: OSI Approved")], "not stated"),
    ],
)
def test_a_licence_is_what_the_packages_metadata_says(
    tmp_path: Path, fields: list[tuple[str, str]], expected: str
) -> None:
    folder = tmp_path / "some-1.0.dist-info"
    folder.mkdir()
    lines = [("Metadata-Version", "2.4"), ("Name", "some"), ("Version", "1.0"), *fields]
    (folder / "METADATA").write_text("".join(f"{name}: {value}\n" for name, value in lines))
    assert licences.licence_of(Distribution.at(folder)) == expected


def test_the_citation_names_the_paper_and_the_project_as_it_is_released() -> None:
    citation = YAML(typ="safe").load(ROOT / "CITATION.cff")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys()
    assert (str(citation["version"]), citation["license"]) == (
        project["version"],
        project["license"],
    )
    paper = citation["preferred-citation"]
    assert paper["type"] == "conference-paper"
    assert paper["year"] == 2024
    assert paper["authors"][0] == {"family-names": "Wang", "given-names": "Chaoyang"}
    # The README cites the same title.
    assert paper["title"] in " ".join((ROOT / "README.md").read_text("utf-8").split())
