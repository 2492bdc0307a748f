from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from semflow.schema import DatasetParams
from tools.closure import ROOT
from tools.params_reference import PAGE, kind_of, page

pytest.importorskip("mkdocs")

from tools.site import from_docs, without_links_outside


def test_the_reference_of_params_is_what_the_schema_says_now() -> None:
    assert (ROOT / PAGE).read_text("utf-8") == page(), "run: python -m tools.params_reference"


def test_every_key_of_the_first_two_levels_has_a_row() -> None:
    written = page()
    for block, field in DatasetParams.model_fields.items():
        assert f"\n## {block}\n" in written
        for key in getattr(field.annotation, "model_fields", {}):
            assert f"| `{key}` |" in written


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 1, "exclusiveMaximum": 2**63}, "integer, ≥ 1"),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, "number or null"),
        (
            {"type": "array", "items": {"type": "string"}, "minItems": 2},
            "list of (string), 2 or more",
        ),
        ({"type": "array", "prefixItems": [{"type": "integer"}] * 3}, "3 of them: integer"),
        ({"enum": ["a", "b"], "type": "string"}, "`a`, `b`"),
    ],
)
def test_a_kind_is_told_with_its_bounds_and_alternatives(
    schema: dict[str, object], words: str
) -> None:
    assert kind_of(schema, {}) == words


def test_the_readmes_links_are_moved_below_docs() -> None:
    text = "[a](docs/a.md#x) ![b](docs/b.png) [c](params.yaml) [d](https://d.org) [e](#map)"
    assert from_docs(text) == (
        "[a](a.md#x) ![b](b.png) [c](../params.yaml) [d](https://d.org) [e](#map)"
    )


def test_links_that_leave_docs_become_names_and_lost_ones_stay() -> None:
    folder = ROOT / "docs"
    text = "[rows](../study/rows.yaml) [study](study.md) [lost](lost.md) [far](https://a.org)"
    assert without_links_outside(text, folder) == (
        "rows [study](study.md) [lost](lost.md) [far](https://a.org)"
    )


def test_the_error_lines_that_are_explained_are_in_the_code() -> None:
    sources = [*ROOT.glob("semflow/**/*.py"), *ROOT.glob("stages/*.py"), *ROOT.glob("flows/*.py")]
    # Messages are cut where lines end.
    code = re.sub(r'"\s*\n\s*f?"', "", "\n".join(path.read_text("utf-8") for path in sources))
    rows = (ROOT / "docs/troubleshooting.md").read_text("utf-8")
    told = [
        words
        for line in rows.splitlines()
        if line.startswith("| `")
        for words in re.findall(r"`([^`]+)`", line.split("|")[1])
    ]
    assert len(told) > 15
    assert [words for words in told if words not in code] == []


def test_the_site_builds_and_no_link_leads_nowhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir"]
    result = subprocess.run(
        [*command, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    first = (tmp_path / "index.html").read_text("utf-8")
    assert "One rectified flow between images and segmentation masks" in first
    loaded = re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=\"(https?://[^\"]+)", first)
    assert loaded == [], "the site fetches from other hosts"
