from __future__ import annotations

from pathlib import Path

import pytest
from support.tiny import Command


def test_without_gradio_one_line_says_what_to_install(
    semflow_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semflow.app.server.find_spec", lambda _: None)
    result = semflow_command("app")
    assert (result.code, result.out) == (2, "")
    expected = "semflow app needs Gradio; run: pip install -c constraints.txt -e '.[app]'"
    assert result.err == f"error: {expected}\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("nowhere",), "nowhere holds no checkpoint"),
        (("nowhere", "--examples", "empty"), "empty holds no example"),
        (("nowhere", "--port", "0"), "'--port'"),
    ],
)
def test_what_cannot_be_served_is_one_line_and_exit_code_2(
    semflow_command: Command,
    monkeypatch: pytest.MonkeyPatch,
    workspace: Path,
    arguments: tuple[str, ...],
    complaint: str,
) -> None:
    monkeypatch.setattr("semflow.app.server.find_spec", lambda _: object())
    result = semflow_command("app", *arguments)
    assert result.code == 2
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert complaint in result.err
    assert list(workspace.iterdir()) == []
