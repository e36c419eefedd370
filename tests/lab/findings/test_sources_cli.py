"""`tetkik findings sources`: what a person reads, the JSON, the files, the errors."""

from __future__ import annotations

import json
import sys

import pytest

from tests.lab.findings.tables import chexpert_row, draw, nih_row, write, write_chexpert, write_csv, write_nih
from tests.templates import translations
from tetkik.cli import main
from tetkik.lab.findings.sources import LeftOut


@pytest.fixture
def nih(tmp_path):
    rows = [
        nih_row(f"{patient:08d}_000.png", "Mass|Effusion" if patient % 2 else "No Finding", patient)
        for patient in range(20)
    ]
    return f"nih:{write_nih(tmp_path / 'nih', rows)}"


@pytest.fixture
def run(capsys, monkeypatch):
    """The command with these arguments: exit status, standard output, standard error."""
    monkeypatch.setenv("COLUMNS", "160")

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["tetkik", "findings", "sources", *map(str, arguments)])
        status = 0
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return status, printed.out, printed.err

    return command


def test_a_person_reads_counts_prevalence_and_reasons(run, nih, tmp_path):
    lateral = chexpert_row("train/patient00002/study1/view1_lateral.jpg", {"Edema": "1.0"}, side="Lateral")
    frontal = chexpert_row("train/patient00001/study1/view1_frontal.jpg", {"Edema": "1.0", "Fracture": "1.0"})
    other = write_chexpert(tmp_path / "chexpert", [frontal, lateral])
    status, out, _ = run(f"{nih}=3", f"chexpert:{other}")
    assert status == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "21 images 21 patients or groups" in lines
    assert "nih 20 20 0 20 20 / 0 0 / 20 57 98%" in lines
    assert "Mass 10 10 1 50.0% 50.0% –" in lines and "Edema 1 20 0 4.8% 0.0% –" in lines
    assert "Effusion · Mass 10 5.0 2.00 20" in lines
    assert "lateral view 1" in lines and "Fracture 1" in lines


def test_json_and_files_say_the_same(run, nih, tmp_path):
    status, out, err = run(nih, "--json", "--out", tmp_path / "counts")
    assert status == 0
    result = json.loads(out)
    assert result["images"] == 20 and result["sources"][0]["labels"][0]["label"] == "Atelectasis"
    assert result == json.loads((tmp_path / "counts" / "sources.json").read_text("utf-8"))
    assert sorted(path.name for path in (tmp_path / "counts").iterdir()) == [
        "co_occurrence.csv",
        "prevalence.csv",
        "sources.json",
    ]
    assert "3 files" in err


def test_adjudicated_labels_judge_the_others(run, nih, tmp_path):
    header = ("Image Index", "Finding Labels", "Patient ID", "Fracture", "Pneumothorax", "Airspace opacity")
    rows = [
        (
            f"{row}.png",
            "Pneumothorax" if row % 4 else "Mass",
            row,
            "NO",
            "YES" if row % 2 else "NO",
            "NO",
            "NO",
        )
        for row in range(40)
    ]
    table = write_csv(tmp_path / "google.csv", (*header, "Nodule or mass"), rows)
    status, out, _ = run(nih, "--adjudicated", table, "--json")
    first, second = json.loads(out)["agreement"]
    assert (
        status == 0 and first["sensitivity"]["value"] == 1 and first["ppv"]["value"] == pytest.approx(2 / 3)
    )
    assert second["sensitivity"] == {"value": None, "ci": None}
    assert "Pneumothorax" in run(nih, "--adjudicated", table)[1]


def test_copies_are_joined_by_look(run, tmp_path):
    for number, seed in enumerate((1, 1, 2)):
        draw(tmp_path / f"{number}.png", seed)
    (tmp_path / "3.png").write_bytes(b"no image")
    table = write(tmp_path / "t.csv", "file,labels\n0.png,Mass\n1.png,Mass\n2.png,Mass\n3.png,Mass\n")
    assert json.loads(run(f"csv:{table}", "--json")[1])["groups"] == 4
    status, out, err = run(f"csv:{table}", "--json", "--duplicates")
    assert status == 0 and json.loads(out)["groups"] == 3 and "cannot be read: 1" in err


def test_tables_without_images_rules_and_other_labels(run, tmp_path):
    table = write(tmp_path / "t.csv", "file,labels,kind\na.png,Mass;Lump,x\nb.png,,x\n")
    status, _, err = run(f"csv:{table}", "--known", "kind~x=nih")
    assert status == 1 and "image file missing" in err and err.count("\n") == 1
    status, out, _ = run(f"csv:{table}", "--no-files", "--known", "kind~x=nih", "--others", "--json")
    counts = {item["label"]: item["present"] for item in json.loads(out)["whole"]["labels"]}
    assert status == 0 and counts["Mass"] == 1 and counts["Hernia"] == 0 and counts["Lump"] == 1


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["data"], 2, "data is not a source"),
        (["nih:nowhere"], 1, "nowhere"),
        (["nih:.", "--known", "x"], 2, "COLUMN~REGEX"),
        ([], 2, ""),
    ],
)
def test_errors_are_one_sentence(run, tmp_path, monkeypatch, arguments, status, says):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert (code, out) == (status, "") and says in err


def test_it_speaks_turkish(run, nih, turkish_messages):
    _, out, _ = run(nih)
    assert "prevalans" in out and "20 görüntü" in out


def test_every_reason_has_a_turkish_twin():
    known = {english for _, english, _ in translations()}
    assert [reason.value for reason in LeftOut if reason.value not in known] == []
