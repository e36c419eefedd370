"""Drafts against reference reports: the labeler's F1 in both languages, and radeval beside it."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tetkik.cli.app import app

ROWS = [
    # Two findings stated, one of them in the draft, and one more that the draft invents.
    ("Plevral efüzyon ve kardiyomegali izlendi.", "Plevral efüzyon izlendi. Kitle izlendi.", "tr"),
    ("Pnömotoraks yoktur.", "Pnömotoraks yoktur.", "tr"),
    ("There is a right pleural effusion.", "Right pleural effusion is possible.", "en"),
    ("There is atelectasis.", "There is no atelectasis.", "en"),
]


def table(folder: Path, rows=ROWS, header=("reference", "draft", "language")) -> str:
    path = folder / "pairs.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


def environment(folder: Path, radeval: str) -> str:
    """The Python of an environment that has nothing beside a package radeval of these lines."""
    (folder / "radeval.py").write_text(radeval)
    python = folder / "python"
    # `-I` would keep the package out, as it keeps out the folders of whoever asks.
    run = f'PYTHONPATH="{folder}" exec "{sys.executable}" "$@"'
    python.write_text(f'#!/bin/sh\n[ "$1" = -I ] && shift\n{run}\n')
    python.chmod(0o755)
    return str(python)


def evaluated(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["report", "evaluate", *arguments, "--json", "--bootstrap", "50"])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_f1_of_what_both_state_in_each_language_and_together(tmp_path):
    found = evaluated(table(tmp_path))
    assert found["n"] == 4
    # Turkish: one hit of two said and two wanted; English: one of one and two; a possible effusion is stated.
    assert found["labeler_f1_tr"]["value"] == pytest.approx(2 * 1 / (2 + 2))
    assert found["labeler_f1_en"]["value"] == pytest.approx(2 * 1 / (1 + 2))
    assert found["labeler_f1"]["value"] == pytest.approx(2 * 2 / (3 + 4))
    assert found["labeler_macro_f1_tr"]["value"] == pytest.approx(1 / 3)
    assert found["labeler_f1"]["n"] == 4 and len(found["labeler_f1"]["ci"]) == 2
    assert found["per_label"]["Effusion"] == 1 and found["per_label"]["Mass"] == 0
    assert found["per_label"]["Pneumothorax"] is None
    assert found["green"] is None and "--radeval" in found["not_computed"]["green"]


def test_radeval_is_asked_of_the_english_pairs_and_says_why_it_has_no_figure(tmp_path):
    python = environment(
        tmp_path,
        """
class RadEval:
    def __init__(self, metrics, per_sample, show_progress):
        import RadEval  # a name of before
        print("downloading", metrics)
        self.metric = metrics[0]
        if self.metric == "green":
            raise OSError("couldn't connect\\nto the hub")
    def __call__(self, refs, hyps):
        assert len(refs) == len(hyps) == 2 and refs[0].startswith("There is a right")
        keys = ["radgraph_partial"] if self.metric == "radgraph" else [self.metric]
        return {key: [0.25, 0.75] for key in keys}
""",
    )
    found = evaluated(table(tmp_path), "--radeval", python)
    for name in ("radgraph_f1", "ratescore"):
        assert (found[name]["value"], found[name]["n"]) == (0.5, 2) and found[name]["ci"]
    assert found["green"] is None
    assert "OSError: couldn't connect to the hub" in found["not_computed"]["green"]


@pytest.mark.parametrize(
    ("radeval", "reason"),
    [
        ("import os; os._exit(3)", "exit status 3"),
        ("raise SystemExit('no licence')", "no licence"),
        ("RadEval = lambda **_: lambda refs, hyps: {'green': [1.0]}", "no figure for each report"),
        ("import os; os.write(1, b'[1]'); os._exit(0)", "without figures"),
        ("import os; os.write(1, b'[' * 100000); os._exit(0)", "without figures"),
        ('import os; os.write(1, b\'{"green": {"scores": [1]}}\'); os._exit(0)', "no figure for each"),
        (
            'import os; os.write(1, b\'{"ratescore": {"scores": {"ratescore": [{}, ""]}}}\'); os._exit(0)',
            "no fig",
        ),
        ("import time; time.sleep(60)", "it took longer than"),
        (None, "could not be run"),
    ],
)
def test_an_environment_that_gives_no_figures_is_a_reason(tmp_path, monkeypatch, radeval, reason):
    if radeval is not None and "sleep" in radeval:
        monkeypatch.setattr("tetkik.lab.report.external_metrics._HOURS", 0.2 / 3600)
    python = str(tmp_path / "none") if radeval is None else environment(tmp_path, radeval)
    found = evaluated(table(tmp_path), "--radeval", python)
    assert found["labeler_f1"] is not None and found["ratescore"] is None
    assert all(reason in found["not_computed"][name] for name in ("radgraph_f1", "ratescore", "green"))


@pytest.mark.attack
def test_the_environment_gets_no_secret_of_ours_and_is_told_to_stay_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("TETKIK_MASTER_KEY", "secret")
    monkeypatch.setenv("TETKIK_OFFLINE", "true")
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "DO_NOT_TRACK")
    ours = "import os; ours = [name for name in os.environ if 'TETKIK' in name]"
    told = f"{ours}\nheard = [*map(os.environ.get, {names})]\nraise SystemExit(f'{{ours}} {{heard}}')"
    python = environment(tmp_path, told)
    found = evaluated(table(tmp_path), "--radeval", python)
    assert f"[] {['1'] * 4}" in found["not_computed"]["green"]


@pytest.mark.parametrize(
    ("rows", "header", "words"),
    [
        ([("a", "b")], ("reference", "text"), "draft"),
        ([], ("reference", "draft"), "no pair"),
        ([("a", "b", "de")], ("reference", "draft", "language"), "row 2: de"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_sentence(tmp_path, rows, header, words):
    result = CliRunner().invoke(app, ["report", "evaluate", table(tmp_path, rows, header)])
    assert result.exit_code == 1 and words in result.stderr and len(result.stderr.splitlines()) == 1
