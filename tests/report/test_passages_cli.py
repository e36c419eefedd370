"""`tetkik report passages` as a person meets it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from tetkik.cli.report.passages import app
from tetkik.errors import UsageError
from tetkik.report.passages import hospital_passages, library

runner = CliRunner()


def run(*words: object) -> tuple[int, str, str]:
    result = runner.invoke(app, [str(word) for word in words], env={"COLUMNS": "120"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_add_search_replace_remove(tmp_path):
    path = tmp_path / "Plevra.md"
    path.write_text("# Plevra\n\nEfüzyon şüphesinde kırmızı zarf kullanılır.\n", "utf-8")
    status, said, _ = run("add", path, "--label", "Effusion")
    assert (status, said) == (0, "plevra is taken in, passages: 1.\n")
    assert run("add", path, "--label", "Effusion")[1] == "plevra is there already as version 1.\n"
    _, said, _ = run("search", "kırmızı", "zarf", "--limit", "1")
    assert "doc-plevra-1" in said and "kırmızı zarf" in said and "Plevra.md" in said
    path.write_text("# Plevra\n\nEfüzyon şüphesinde mavi zarf kullanılır.\n", "utf-8")
    assert "is now version 2" in run("add", path, "--label", "Effusion")[1]
    _, said, _ = run("list")
    assert "plevra" in said.splitlines()[-1] and "Pleural effusion" in said.splitlines()[-1]
    assert run("remove", "plevra")[1] == "plevra is removed, versions: 2.\n"
    assert hospital_passages() == ()
    status, _, warned = run("remove", "plevra")
    assert status == 1 and "no document plevra" in warned


def test_the_others_are_added_though_one_cannot_be_read(tmp_path):
    good = tmp_path / "good.txt"
    good.write_text("Words that a report may cite.")
    (tmp_path / "bad.pdf").write_bytes(b"garbage")
    status, said, warned = run("add", tmp_path / "bad.pdf", tmp_path / "none.md", tmp_path, good)
    assert status == 1
    assert said == "good is taken in, passages: 1.\n"
    assert "bad.pdf cannot be read as PDF" in warned.replace("\n", " ")
    assert "none.md" in warned
    assert "Traceback" not in warned


def test_the_table_counts_every_passage():
    status, said, note = run("list")
    assert status == 0
    counted = sum(int(line.split()[-1]) for line in said.splitlines()[1:] if line.strip())
    assert counted == len(library())
    assert "No documents of a hospital yet" in note


def test_a_label_lists_its_passages_and_an_unknown_one_is_said():
    _, said, _ = run("list", "--label", "Mass", "--language", "en")
    assert "mass-follow-up-en" in said and "mass-follow-up-tr" not in said and "effusion" not in said
    with pytest.raises(UsageError, match="There is no finding Nonsense; the findings are: Atelectasis,"):
        run("list", "--label", "Nonsense")


def test_json_lines():
    _, said, _ = run("search", "pneumothorax", "--json", "--limit", "2", "--language", "en")
    rows = [json.loads(line) for line in said.splitlines()]
    assert [row["label"] for row in rows] == ["Pneumothorax", "Pneumothorax"]
    assert set(rows[0]) == {"id", "language", "label", "kind", "title", "text", "source", "score"}
    _, said, _ = run("list", "--json", "--language", "tr")
    assert len(said.splitlines()) == len(library(library()[0].language))


def test_nothing_found_is_said():
    status, said, note = run("search", "qqq", "--kind", "signs", "--label", "Mass")
    assert (status, said) == (0, "")
    assert "Nothing was found" in note


def test_terminal_escapes_in_a_document_are_not_passed_on(tmp_path):
    path = tmp_path / "evil.txt"
    path.write_text("Red \x1b[31malarm\x1b[0m \u202eesrever words here.", "utf-8")
    run("add", path)
    _, said, _ = run("search", "alarm")
    assert "\x1b" not in said and "\u202e" not in said
