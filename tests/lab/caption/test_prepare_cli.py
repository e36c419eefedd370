"""`tetkik caption prepare` as it is typed."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from tests.lab.caption.layouts import write_roco, write_rocov2, write_table
from tests.templates import translations
from tetkik.cli import main
from tetkik.cli.caption import app
from tetkik.lab.caption.duplicates import Likeness
from tetkik.lab.caption.prepared import LeftOutReason, Split, open_prepared
from tetkik.lab.caption.sources.opening import ROCOV2_PUBLISHED

COUNTS = {"train": 6, "valid": 2, "test": 3}


def prepare(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["prepare", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def words(text: str) -> str:
    return " ".join(text.split())


def test_counts_stand_beside_the_published_ones(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = prepare(
        write_rocov2(tmp_path / "source", COUNTS), "--out", tmp_path / "out", "--workers", 1
    )
    assert code == 0
    said = words(out)
    assert "ROCOv2 11 images kept" in said
    assert "train 6 59,958 4 37,330 2 0 6" in said
    assert "test 3 9,927 2 6,780 1 0 3" in said
    assert (
        "Of 8 files stored as RGB, 4 are grey pictures: filtering by file mode selects a file format" in said
    )
    assert "Rückert et al." in said
    assert "valid: 2 rows, where 9,904 were published" in words(err)
    assert open_prepared(tmp_path / "out").rows(Split.TRAIN) == 6


def test_missing_files_are_named_before_anything_is_decoded(tmp_path):
    rows = [(f"{number}.png", f"Caption {number}", f"case {number}", "train") for number in range(5)]
    table = write_table(tmp_path / "source", rows)
    for number in (1, 3):
        (table.parent / f"{number}.png").unlink()
    code, _, err = prepare(table, "--out", tmp_path / "out", "--workers", 1)
    assert code == 0
    assert words(err).startswith("Image files that are missing: 2 of 5, such as 1.png.")


def test_json_is_one_object(tmp_path):
    code, out, _ = prepare(
        write_roco(tmp_path / "source", COUNTS),
        "--out",
        tmp_path / "out",
        "--workers",
        1,
        "--json",
        "--limit",
        2,
    )
    content = json.loads(out)
    assert code == 0
    assert content["splits"]["train"]["kept"] == 2
    assert content["reference"] is None


def test_options_reach_the_work(tmp_path):
    rows = [(f"{place}.png", f"Caption {place}", f"case {place}", "train") for place in range(20)]
    path = write_table(tmp_path / "table", rows)
    elsewhere = tmp_path / "elsewhere.csv"
    path.rename(elsewhere)
    out = tmp_path / "out"
    arguments = ("--images", tmp_path / "table", "--kind", "table", "--set-aside", 0.4, "--rgb-only")
    code, said, _ = prepare(elsewhere, "--out", out, "--workers", 1, "--keep-duplicates", *arguments)
    assert code == 0, said
    prepared = open_prepared(out)
    assert prepared.rows(Split.TRAIN) + prepared.rows(Split.TEST) == 20
    assert prepared.rows(Split.TEST) > 0
    assert prepared.details["options"] == {"rgb_only": True, "keep_duplicates": True, "limit": None}


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("nowhere", "There is no source at"),
        ("owner/name", "offline"),
        (".", "laid out like none of"),
    ],
)
def test_a_source_that_is_none_is_one_sentence(tmp_path, monkeypatch, capsys, source, fault):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["tetkik", "caption", "prepare", source, "--out", "out"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code in (1, 2)
    said = capsys.readouterr().err.strip()
    assert fault in said
    assert "\n" not in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


def test_what_is_said_by_a_name_has_a_turkish_twin():
    known = {english for _, english, _ in translations()}
    steps = ("training images", "validation images", "test images")
    said = [*(reason.value for reason in LeftOutReason), *(likeness.value for likeness in Likeness), *steps]
    assert [sentence for sentence in said if sentence not in known] == []


def test_the_summary_is_also_in_turkish(tmp_path, turkish_messages):
    path = write_table(tmp_path / "table", [("a.png", "Words.", "1", "train"), ("b.png", "", "1", "train")])
    code, out, _ = prepare(path, "--out", tmp_path / "out", "--workers", 1)
    assert code == 0
    assert "açıklaması yok" in words(out)


def test_counts_that_are_the_published_ones_are_not_remarked(tmp_path, monkeypatch):
    monkeypatch.setitem(ROCOV2_PUBLISHED.images, Split.TRAIN, 6)
    monkeypatch.setitem(ROCOV2_PUBLISHED.rgb, Split.TRAIN, 3)
    source = write_rocov2(tmp_path / "source", {"train": 6})
    _, _, err = prepare(source, "--out", tmp_path / "out", "--workers", 1)
    assert "train: 4 files stored as RGB, where 3 were published." in words(err)
    monkeypatch.setitem(ROCOV2_PUBLISHED.rgb, Split.TRAIN, 4)
    _, _, err = prepare(source, "--out", tmp_path / "out", "--workers", 1)
    assert "published" not in words(err)
