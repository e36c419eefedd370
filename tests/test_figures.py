"""The tables of figures: written by benchmarks through one helper, the same in the README and the docs."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONTENT = json.loads((ROOT / "docs" / "figures.json").read_text("utf-8"))
FIGURES = {
    f"{table['id']}/{figure['id']}": figure for table in CONTENT["tables"] for figure in table["figures"]
}
RECORDED = re.compile(r"record\(\s*f?\"([\w/{}\[\].() :>',-]+?)\"", re.DOTALL)


def benchmarks(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def figures(tmp_path, monkeypatch):
    module = benchmarks("figures")
    copy = tmp_path / "figures.json"
    copy.write_bytes(module.FILE.read_bytes())
    monkeypatch.setattr(module, "FILE", copy)
    monkeypatch.delenv("RECORD_FIGURES", raising=False)
    return module


def test_every_figure_has_its_own_name_and_a_date():
    assert len(FIGURES) == sum(len(table["figures"]) for table in CONTENT["tables"])
    for name, figure in FIGURES.items():
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", figure["date"]), name


def test_cells_stand_in_columns_of_their_table():
    for table in CONTENT["tables"]:
        for figure in table["figures"]:
            assert set(figure["values"]) <= set(table["columns"][1:]), figure["id"]


def test_the_readme_shows_ten_figures_in_both_languages():
    assert len(CONTENT["readme"]) == 10
    for entry in CONTENT["readme"]:
        assert entry["value"] in FIGURES[entry["figure"]]["values"]
        assert entry["en"] and entry["tr"]


def test_every_table_is_shown():
    page = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    for table in CONTENT["tables"]:
        assert page.count(f"<!-- figures: {table['id']} -->") == 1, table["id"]


def test_commands_name_programs_that_exist():
    for name, figure in FIGURES.items():
        for file in re.findall(r"(?:benchmarks|tests)/[\w/]+\.py", figure["command"] or ""):
            assert (ROOT / file).is_file(), name


def test_benchmarks_record_figures_that_exist():
    named = 0
    for file in (ROOT / "benchmarks").glob("*.py"):
        for found in RECORDED.finditer(file.read_text("utf-8")):
            pattern = "[\\w.-]*".join(map(re.escape, re.split(r"\{.*?\}", found[1])))
            assert any(re.fullmatch(pattern, name) for name in FIGURES), f"{file.name}: {found[1]}"
            named += 1
    assert named > 50


def test_nothing_changes_unless_it_is_asked_for(figures):
    before = figures.FILE.read_bytes()
    figures.record("urgency/judges-recall", {"reached": "1.000"})
    assert figures.FILE.read_bytes() == before


def test_a_figure_is_recorded_with_its_date(figures, monkeypatch):
    monkeypatch.setenv("RECORD_FIGURES", "1")
    figures.record("urgency/judges-recall", {"reached": figures.judged("0.800", met=False), "n": "10"})
    content = json.loads(figures.FILE.read_text("utf-8"))
    _, figure = figures.find(content, "urgency/judges-recall")
    assert figure["values"]["reached"] == "**0.800, missed**"
    assert (figure["values"]["n"], figure["values"]["asked"]) == ("10", "0.95")


def test_recording_keeps_the_rest_of_the_file_byte_for_byte(figures, monkeypatch):
    monkeypatch.setenv("RECORD_FIGURES", "1")
    before = figures.FILE.read_text("utf-8").splitlines()
    figures.record("bert-int8/int8-speed", {"reached": "2.5"})
    after = figures.FILE.read_text("utf-8").splitlines()
    assert len(before) == len(after)
    assert sum(one != other for one, other in zip(before, after, strict=True)) <= 2


@pytest.mark.parametrize(
    ("name", "values"), [("urgency/none", {"reached": "1"}), ("urgency/macro-f1", {"chance": "0.5"})]
)
def test_what_the_file_does_not_have_is_an_error(figures, name, values):
    with pytest.raises(KeyError, match="urgency"):
        figures.record(name, values)
