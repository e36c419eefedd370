"""A report as plain text and as HL7 v2: written, read back, compared."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import hl7
import pytest

from tests.documents.sample import IDENTITY, RESULT, document, draft
from tetkik.documents.hl7 import MessageForm, to_hl7
from tetkik.documents.parts import date_words, moment_words, number_words, patient_name, percent_words
from tetkik.documents.text import to_text
from tetkik.language import Language
from tetkik.values import Finding, Identity, ReportState, ThresholdOn

AGE = "30525-0"


def test_the_text_has_every_sentence_under_its_heading():
    text = to_text(document()).decode()
    assert text.index("Teknik\n") < text.index("Bulgular\n") < text.index("Sonuç\n") < text.index("Öneri\n")
    for sentence in document().draft.sentences:
        assert sentence.text in " ".join(text.split())
    assert "Gülçin Işıl ŞAHİN" in text and "23.04.1961" in text
    assert "imzalanmadı" in text and document().verification in text.replace("\n", "")
    assert "tıbbi cihaz değildir" in text
    assert max(map(len, text.splitlines())) <= 92


def test_what_no_model_assessed_is_one_line_under_the_report():
    made = document()
    unread = replace(made.draft, not_assessed=("Tuberculosis", "Hernia"))
    (line,) = [
        line
        for line in to_text(replace(made, content=replace(made.content, draft=unread))).decode().splitlines()
        if "değerlendirmedikleri" in line
    ]
    assert line == "Modelin değerlendirmedikleri: Tüberküloz, Hiatal herni"
    assert "değerlendirmedikleri" not in to_text(made).decode()


def test_a_signed_text_names_who_signed():
    text = to_text(document(ReportState.FINAL, Language.EN)).decode()
    assert "Uzm. Dr. Ömer Çağrı Ünsal 123456" in text and "04.03.2026 05:06 (UTC)" in text
    assert "SIGNED REPORT" in text


def test_an_exercise_is_marked_and_a_hostile_name_speaks_to_no_terminal():
    hostile = replace(IDENTITY, patient_name="\x1b[31mX^<script>\u202e")
    text = to_text(document(identity=hostile, draft=draft(exercise=True))).decode()
    assert "\x1b" not in text and "\u202e" not in text and "Alıştırma" in text


def test_a_file_without_a_patient_has_no_empty_lines_about_one():
    assert "Dosya numarası" in to_text(document()).decode()
    assert "Dosya numarası" not in to_text(document(identity=Identity())).decode()


@pytest.mark.parametrize(
    ("state", "code"), [(ReportState.DRAFT, "P"), (ReportState.FINAL, "F"), (ReportState.AMENDED, "C")]
)
def test_hl7_is_read_back_as_it_was_meant(state: ReportState, code: str):
    message = hl7.parse(to_hl7(document(state)).decode())
    head = message.segment("MSH")
    assert str(head[9]) == "ORU^R01^ORU_R01" and str(head[12]) == "2.5.1" and str(head[18]) == "UNICODE UTF-8"
    patient = message.segment("PID")
    assert message.unescape(str(patient[3][0][0])) == "4711|A^B"
    assert str(patient[5][0][0]) == "ŞAHİN" and str(patient[5][0][1]) == "Gülçin Işıl"
    assert [str(part) for part in patient[5][0][2:]] == ["", "", "Uzm."]  # prefix after suffix, unlike DICOM
    assert str(patient[7]) == "19610423" and str(patient[8]) == "F"
    order = message.segment("OBR")
    assert message.unescape(str(order[18])) == "ACC~42" and str(order[25]) == code
    assert str(order[4]) == "18748-4^Diagnostic imaging study^LN" and str(order[24]) == "RAD"
    assert all(str(row[11]) == code for row in message.segments("OBX"))
    if state is not ReportState.DRAFT:
        assert str(order[32]) == "123456&Ünsal&Ömer Çağrı&&&Uzm. Dr."


def test_hl7_holds_the_sections_and_the_findings_above_their_thresholds():
    message = hl7.parse(to_hl7(document()).decode())
    rows = message.segments("OBX")
    texts = [message.unescape(str(row[5])) for row in rows if str(row[2]) == "FT"]
    assert "Solda plevral efüzyon büyük olasılıkla mevcuttur." in texts[1] and len(texts) == 4
    numbers = {str(row[3][0][0]): float(str(row[5])) for row in rows if str(row[2]) == "NM"}
    assert numbers == {"Effusion": 0.83, "Cardiomegaly": 0.95, AGE: 64}
    effusion = next(row for row in rows if str(row[3][0][0]) == "Effusion")
    assert str(effusion[3]) == "Effusion^Plevral efüzyon^99TETKIK^60046008^Pleural effusion^SCT"
    assert str(rows[-1][5]) == document().verification


def test_what_latin_5_does_not_have_is_written_otherwise():
    said = replace(draft(), sentences=(replace(draft().sentences[0], text="Nodül ≥ 8 mm – “stabil”"),))
    made = document()
    made = replace(made, content=replace(made.content, draft=said))
    message = to_hl7(made, MessageForm(turkish=True)).decode("iso8859_9")
    assert 'Nodül >= 8 mm - "stabil"' in message


def test_a_text_cannot_break_out_of_its_field():
    hostile = replace(IDENTITY, patient_name="A|B^C\rPID|2||EVIL", patient_id="x\nOBX|9")
    message = hl7.parse(to_hl7(document(identity=hostile)).decode())
    assert len(message.segments("PID")) == 1 and len(message.segments("OBR")) == 1
    assert [str(segment[0]) for segment in message] == ["MSH", "PID", "OBR", *["OBX"] * 8, "NTE"]


def test_the_verification_changes_with_what_is_said_and_not_with_how_it_is_shown():
    one = document()
    assert one.verification == document(image=b"png").verification
    other = replace(draft(), sentences=draft().sentences[:-1])
    assert len({one.verification, document(draft=other).verification, document(version=2).verification}) == 3


def test_only_what_is_signed_is_final():
    with pytest.raises(ValueError, match="signed exactly"):
        document(ReportState.FINAL, signature=None)


def test_names_and_dates_as_people_write_them():
    assert patient_name("ŞAHİN^Gülçin^Işıl^Prof. Dr.^PhD=x=y") == "Prof. Dr. Gülçin Işıl ŞAHİN PhD"
    assert patient_name("YILMAZ") == "YILMAZ" and patient_name(None) == ""
    assert date_words("20260304") == "04.03.2026" and date_words("2026") == "2026" and date_words(None) == ""
    assert RESULT.findings[0].positive


def test_moments_and_numbers_as_people_write_them():
    moment = datetime(2026, 3, 4, 8, 6, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert moment_words(moment) == "04.03.2026 08:06 (UTC+5:30)"
    assert moment_words(moment.astimezone(timezone(timedelta(hours=-3)))) == "03.03.2026 23:36 (UTC-3)"
    assert moment_words(moment.astimezone(UTC)) == "04.03.2026 02:36 (UTC)"
    assert [percent_words(share, Language.TR) for share in (0.0042, 0.0996, 0.834, 1)] == [
        "%0,4",
        "%10",
        "%83",
        "%100",
    ]
    assert percent_words(0.0042, Language.EN) == "0.4%" and number_words(0.1234, Language.TR) == "0,12"


def test_an_uncalibrated_score_is_never_sent_as_a_number():
    plain = Finding("Mass", True, 0.37, None, 0.12, ThresholdOn.SCORE, positive=True)
    message = hl7.parse(to_hl7(document(result=replace(RESULT, findings=(plain,)))).decode())
    numbers = [str(row[3][0][0]) for row in message.segments("OBX") if str(row[2]) == "NM"]
    assert numbers == [AGE]


def test_what_iso_8859_9_lacks_is_said_otherwise_or_not_sent():
    def made(text: str) -> bytes:
        first, *others = draft().sentences
        content = replace(draft(), sentences=(replace(first, text=text), *others))
        return to_hl7(document(draft=content), MessageForm(turkish=True))

    assert 'nodül >= 8 mm - "x"'.encode("iso8859_9") in made("nodül ≥ 8 mm – “x”")
    assert "Ölçü: ş ğ İ 10 µm".encode("iso8859_9") in made("Ölçü: ş ğ İ 10 µm")
    with pytest.raises(ValueError, match="encode"):
        made("α-1")
