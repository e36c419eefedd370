"""The notebooks of the documentation run from the first cell to the last, with the models that come along."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
NAMES = ("findings", "report", "triage")


def cells(name: str) -> list[dict[str, Any]]:
    content = json.loads((FOLDER / f"{name}.ipynb").read_text("utf-8"))
    assert content["nbformat"] == 4
    found: list[dict[str, Any]] = content["cells"]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_runs(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    names: dict[str, object] = {"__name__": "__main__"}
    code = [cell for cell in cells(name) if cell["cell_type"] == "code"]
    for number, cell in enumerate(code):
        source = "".join(cell["source"])
        assert cell["outputs"] == [] and cell["execution_count"] is None  # nobody's data, no stale figures
        exec(compile(source, f"{name}.ipynb, code cell {number}", "exec"), names)
        assert capsys.readouterr().out or "print" not in source
    assert len(code) >= 3


def test_all_of_them_are_listed_and_run():
    assert sorted(path.stem for path in FOLDER.iterdir()) == list(NAMES)
    page = (FOLDER.parent / "python-api.md").read_text("utf-8")
    assert all(f"(notebooks/{name}.ipynb)" in page for name in NAMES)
