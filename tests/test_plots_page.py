from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from semflow.core.files import write_json
from tools.closure import ROOT


def test_dvcs_plots_are_on_a_page_that_asks_no_other_host(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    for name in ("config", "plots.html"):
        shutil.copyfile(ROOT / ".dvc" / name, tmp_path / ".dvc" / name)
    config = tmp_path / ".dvc" / "config"
    text = config.read_text("utf-8")
    config.write_text(text.replace("[core]", "[core]\n    no_scm = true"), encoding="utf-8")
    write_json(tmp_path / "curve.json", [{"steps": 1, "miou": 0.25}, {"steps": 5, "miou": 0.5}])
    command = [sys.executable, "-m", "dvc", "plots", "show", "-x", "steps", "-y", "miou"]
    subprocess.run([*command, "curve.json", "-o", "out"], cwd=tmp_path, check=True)
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert "vegaEmbed('#curve_json', spec)" in page
    assert "function vegaEmbed(" in page
    assert re.search(r"<(?:script|link|img)[^>]+(?:src|href)=", page) is None
