"""Training the model of urgency: what it learns, what it writes, what it refuses."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from tetkik.bundle import Task, open_bundle
from tetkik.errors import DataError
from tetkik.lab.triage.data import Complaints
from tetkik.lab.triage.urgency.train import UrgencyFigures, UrgencyOptions, read_levels, train_urgency
from tetkik.triage.urgency import assess
from tetkik.triage.urgency.assess import UrgencyReader
from tetkik.values import UrgencyLevel

TABLE = Path(__file__).parents[3] / "data" / "invented-complaints" / "complaints.csv"


def quiet(step: str, done: int, total: int | None) -> None:
    """No progress."""


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with TABLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))[::9]


def table(rows: list[dict[str, str]]) -> Complaints:
    return Complaints(tuple(row["text"] for row in rows), tuple(row["level"] for row in rows), {})


def test_it_learns_and_says_how_well(tmp_path, rows):
    options = UrgencyOptions(id="own", data_name="invented")
    bundle = train_urgency(table(rows), [row["writer"] for row in rows], tmp_path / "own", options, quiet)
    figures = {metric.name: metric for metric in bundle.manifest.metrics}
    assert set(figures) == {"red_recall", "green_as_red", "macro_f1"}
    assert figures["red_recall"].value > 0.75 and "by writer" in figures["red_recall"].split[0].template
    assert figures["red_recall"].n == sum(row["level"] == "kirmizi" for row in rows)
    assert figures["macro_f1"].n == len(rows) and figures["macro_f1"].value > 0.6
    reader = UrgencyReader.load(open_bundle(tmp_path / "own", Task.URGENCY))
    reds = [row["text"] for row in rows if row["level"] == "kirmizi"]
    alone = np.mean([assess(text).level is UrgencyLevel.KIRMIZI for text in reds])
    assert (
        np.mean([assess(text, reader=reader).level is UrgencyLevel.KIRMIZI for text in reds]) > alone + 0.15
    )
    card = (tmp_path / "own" / "README.md").read_text("utf-8")
    assert f"{len(rows)} complaints" in card and "TETKIK_TRIAGE_URGENCY_MODEL=own" in card


def test_a_level_with_few_complaints_is_refused(tmp_path, rows):
    few = [row for row in rows if row["level"] != "sari"]
    with pytest.raises(DataError, match=r"level sari \(0\)"):
        train_urgency(table(few), None, tmp_path / "own", UrgencyOptions(), quiet)
    assert not (tmp_path / "own").exists()


def test_a_table_is_read_with_and_without_its_writers(tmp_path):
    file = tmp_path / "levels.csv"
    file.write_text("text,label,group\nateşim var,sari,a\n ,yesil,b\nreçete,yesil,\n", encoding="utf-8")
    complaints, writers = read_levels(file)
    assert complaints.texts == ("ateşim var", "reçete") and writers == ["a", ""]
    assert complaints.left_out == {"empty text": 1}
    file.write_text("text,label\nateşim var,sari\n", encoding="utf-8")
    assert read_levels(file)[1] is None
    file.write_text("text,label\nateşim var,Dahiliye\n", encoding="utf-8")
    with pytest.raises(DataError, match="Dahiliye"):
        read_levels(file)


def test_figures_are_of_the_true_level():
    truth, said = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 0, 2, 2])
    found = UrgencyFigures.of(truth, said)
    assert found.red_recall == 0.5
    assert found.green_as_red == pytest.approx(1 / 3)
    assert found.macro_f1 == pytest.approx((0.5 + 2 / 3 + 0.8) / 3)
