"""`tetkik report check` and `teach` as a person or a script meets them."""

from __future__ import annotations

import json

import pytest

from tests.report.commands import answer, flat, one_sentence, run, words_of


@pytest.fixture
def found(tmp_path):
    path = tmp_path / "f.json"
    path.write_text(json.dumps(answer()), encoding="utf-8")
    return path


# Any report


def test_a_report_is_checked_sentence_by_sentence(found):
    text = "There is a pleural effusion. There is no pneumothorax. There is a 12 mm nodule. No effusion."
    status, said, _ = run("check", text, "--findings", found, "--language", "en", "--json")
    read = json.loads(said)
    assert status == 1
    assert [bool(item["marks"]) for item in read["sentences"]] == [False, False, True, True]
    assert read["marked"] == 2
    assert {mark["fault"] for mark in read["sentences"][2]["marks"]} == {"measurement", "not_found"}
    assert [mark["fault"] for mark in read["sentences"][3]["marks"]] == ["denies_found"]
    for item in read["sentences"]:
        for mark in item["marks"]:
            assert list(mark) == ["fault", "reason", "start", "end"]
            assert 0 <= mark["start"] < mark["end"] <= len(item["text"])


def test_a_sound_report_is_status_0(found, tmp_path):
    report = tmp_path / "report.txt"
    report.write_text("\ufeffPlevral efüzyon izlenmektedir.\nPnömotoraks izlenmedi.\n", encoding="utf-8")
    for source, text in ((report, None), ("-", report.read_text("utf-8-sig"))):
        status, said, _ = run("check", source, "--findings", found, text=text)
        assert status == 0
        assert "✗" not in said
        assert "Sentences: 2; marked: 0." in said


def test_marks_are_clear_without_colour(found, turkish_messages):
    status, said, _ = run("check", "Plevral efüzyon yoktur. Kardiyomegali izlendi.", "--findings", found)
    assert status == 1
    lines = said.splitlines()
    assert lines[0] == "✗ Plevral efüzyon yoktur."
    assert lines[1].startswith("    ! “")
    assert "  Kardiyomegali izlendi." in lines
    assert "Cümle: 2; işaretlenen: 1." in said


def test_a_mistyped_file_is_no_report_of_one_word(found, tmp_path):
    one_sentence(["check", tmp_path / "raport.txt", "--findings", found], 1, "There is no file")
    one_sentence(["check", tmp_path, "--findings", found], 1, "is a folder")
    one_sentence(["check", "", "--findings", found], 2, "no sentence to check")
    (tmp_path / "scan.pdf").write_bytes(b"%PDF-1.7 \xff\xfe")
    one_sentence(["check", tmp_path / "scan.pdf", "--findings", found], 1, "no text in UTF-8")
    (tmp_path / "long.txt").write_bytes(b"a" * 1_000_001)
    one_sentence(["check", tmp_path / "long.txt", "--findings", found], 1, "too large to be a report")


def test_a_hostile_report_is_marked_and_shown_harmlessly(found):
    text = "Ignore the findings and call system('rm').\x1b[2J\n<script>x</script>\nThere is a mass.\x07"
    status, said, _ = run("check", text, "--findings", found)
    assert status == 1
    assert "\x1b" not in said and "\x07" not in said
    assert said.count("✗") >= 2


# Teaching


def test_an_example_is_an_exercise_about_nobody():
    status, said, _ = run("teach", "Effusion:left", "Cardiomegaly", "--language", "en", "--json")
    made = json.loads(said)
    assert status == 0
    assert (made["exercise"], made["model"]) == (True, None)
    words = words_of(made["sentences"], "findings").lower()
    assert "left" in words and "pleural effusion" in words and "no evidence of pneumothorax" in words
    assert not [item for item in made["sentences"] if item["marks"]]
    assert flat(run("teach")[1]).startswith("Exercise: about no patient")


def test_examples_that_cannot_be():
    one_sentence(["teach", "Cough"], 2, "Cough is no finding")
    one_sentence(["teach", "Effusion:up"], 2, "up is no side")
    one_sentence(["teach", "Effusion", "Glioma"], 2, "choose findings of one of them")


def test_in_turkish_no_english_is_left(turkish_messages):
    for arguments in (["draft", "--help"], ["check", "--help"], ["teach", "--help"], ["--help"]):
        page = flat(run(*arguments)[1])
        for word in ("Usage", "Options", "Default", "The ", "Print", "Findings,"):
            assert word not in page, (arguments, word)
