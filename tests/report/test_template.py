"""A hospital's own report: which slots there are, and what fills them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.made import facts, result_of
from tetkik.errors import DataError
from tetkik.language import Language
from tetkik.report.composer import compose
from tetkik.report.draft import SLOTS, draft_report, example_report, fill, read_template
from tetkik.report.grounding import check_draft
from tetkik.values import Draft, DraftSentence, Identity, Section

IDENTITY = Identity(
    patient_id="4711",
    patient_name="ŞAHİN^Gülçin^^Dr",
    birth_date="19610423",
    study_date="20240312",
    accession="A-1",
)
DRAFT = draft_report(result_of({"Effusion": "certain", "Pneumothorax": "absent"})).draft


@pytest.fixture
def template(tmp_path):
    def make(text: str | bytes) -> Path:
        path: Path = tmp_path / "form.txt"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return make


def test_every_slot_is_filled(template):
    text = "\n".join(f"{name}={{{name}}}" for name in SLOTS)
    filled = fill(read_template(template(text)), DRAFT, IDENTITY)
    assert "{" not in filled and "None" not in filled
    lines = dict(line.split("=", 1) for line in filled.splitlines() if "=" in line)
    assert lines["patient"] == "Gülçin ŞAHİN" and lines["patient_id"] == "4711"
    assert lines["birth_date"] == "23.04.1961" and lines["study_date"] == "12.03.2024"
    assert lines["findings"].startswith("Plevral efüzyon izlenmektedir. Pnömotoraks lehine bulgu saptanmadı.")
    assert lines["impression"] == "Plevral efüzyon."
    assert lines["sources"] and lines["model"] == "findings-test 1.0"
    assert lines["state"].startswith("Taslak")


def test_the_patient_is_named_only_where_the_form_asks(template):
    filled = fill(read_template(template("BULGULAR\n{findings}\n\nSONUÇ\n{impression}")), DRAFT, IDENTITY)
    assert not any(word in filled for word in ("ŞAHİN", "Gülçin", "4711", "1961", "2024", "A-1"))


def test_a_form_keeps_its_own_words_and_braces(template):
    filled = fill(read_template(template("T.C. {{Sağlık}} Bakanlığı\r\n{impression}\n{state}")), DRAFT)
    assert filled.startswith("T.C. {Sağlık} Bakanlığı")


def test_a_form_without_a_place_for_the_state_gets_it_as_its_last_line(template):
    form = read_template(template("{impression}\n"))
    last = fill(form, DRAFT).rstrip().splitlines()[-1]
    assert last == fill("{state}", DRAFT).strip()
    exercise = fill(form, example_report([("Mass", None)], Language.EN))
    assert exercise.rstrip().splitlines()[-1] == "Exercise: about no patient"


def test_nothing_is_in_the_slots_of_an_unknown_patient(template):
    assert fill("[{patient}{patient_id}{birth_date}{accession}]{state}", DRAFT).startswith("[]")


def test_an_undecided_mark_shows():
    known = facts({"Effusion": "certain"})
    sentence = DraftSentence("Kitle izlenmektedir.", Section.FINDINGS, ("finding:Effusion",))
    marked = check_draft(Draft(Language.TR, (sentence,), known.bases()), known)
    assert fill("{findings}{state}", marked).startswith("[!] Kitle")
    sound = check_draft(compose(known, (), Language.TR), known)
    assert "[!]" not in fill("{findings}", sound)


@pytest.mark.parametrize(
    ("text", "slot"),
    [
        ("{patience}", "{patience}"),
        ("{}", "{}"),
        ("{0}", "{0}"),
        ("{findings:>999999999}", "{findings:>999999999}"),
        ("{findings!r}", "{findings!r}"),
        ("{findings.__class__}", "{findings.__class__}"),
        ("{patient[0]}", "{patient[0]}"),
        ("{findings:{model}}", "{findings:{model}}"),
    ],
)
def test_a_slot_that_does_not_exist_is_named(template, text, slot):
    with pytest.raises(DataError) as caught:
        read_template(template(text))
    assert caught.value.values["slot"] == slot
    assert "recommendation" in str(caught.value)


@pytest.mark.parametrize("text", [b"\xff\xfe\x00b", "{findings", "findings}"])
def test_what_is_no_template_is_one_sentence(template, text):
    with pytest.raises(DataError, match="UTF-8") as caught:
        read_template(template(text))
    assert "{{findings}}" not in str(caught.value) and "{findings}" in str(caught.value)


def test_a_template_of_many_pages_is_refused(template):
    with pytest.raises(DataError, match="too large"):
        read_template(template("x" * 300_000))


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device")
def test_a_device_without_an_end_is_no_template():
    with pytest.raises(DataError, match="too large"):
        read_template(Path("/dev/zero"))


def test_the_line_ends_of_windows_are_those_of_every_form(template):
    assert read_template(template(b"a\r\n{findings}\rb\n")) == "a\n{findings}\nb\n"


def test_a_mark_at_the_beginning_of_the_file_is_no_word_of_the_form(template):
    assert read_template(template(b"\xef\xbb\xbf{findings}")) == "{findings}"
