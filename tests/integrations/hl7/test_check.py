"""`tetkik hl7 check`, the mapping of a hospital's system, and results by it."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import hl7
import pytest
from typer.testing import CliRunner

from tests.documents.sample import document
from tests.integrations.hl7.messages import adt, orm
from tetkik.cli.app import app
from tetkik.errors import SettingError
from tetkik.integrations.hl7.content import load_mapping
from tetkik.integrations.hl7.intake import oru_for
from tetkik.integrations.systems import HospitalSystem
from tetkik.language import Language
from tetkik.records.orders.orders import OrderContent
from tetkik.values import ReportState

OWN = """
[patient]
number_types = ["DOSYA"]
number_authorities = ["HASTANE"]
tckn = ["PID-4"]

[order]
accession = ["ORC-20.1"]

[departments]
"1500" = "Göğüs Hastalıkları"

[[procedure]]
code = "PA-AKC"
name = "PA akciğer grafisi"
modality = "CR"
body_part = "CHEST"
loinc = "36643-5"
sut = "801.070"

[results]
text = "TX"
pdf = false
"""
ORDER = OrderContent(placer_number="P1", procedure_code="PA-AKC", procedure="PA akciğer")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A hospital's own mapping."""
    file = tmp_path / "hbys.toml"
    file.write_text(OWN, "utf-8")
    return file


def check(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["hl7", "check", *map(str, words)])
    return result.exit_code, result.output


def test_sound_messages_are_told_part_by_part(tmp_path: Path, own: Path):
    file = tmp_path / "messages.hl7"
    file.write_bytes(adt() + b"\x0b" + orm() + b"\x1c\r")
    own.write_text(OWN.replace('number_types = ["DOSYA"]', ""), "utf-8")
    status, said = check(file, "--mapping", own)
    assert status == 0, said
    assert "message 1: ADT^A01, version 2.5.1; answered with AA." in said and "message 2: ORM^O01" in said
    assert "PID-3    taken: the hospital number" in said and "OBR-31.2" not in said
    assert "4711" not in said and "ŞAHİN" not in said


def test_what_is_missing_or_wrong_ends_with_one(tmp_path: Path, own: Path):
    file = tmp_path / "messages.hl7"
    file.write_bytes(adt(tckn="10000000147") + b"ZPI|1\r")
    status, said = check(file)
    assert status == 1 and "answered with AA" in said and "PID-3    not taken: This is no Turkish" in said
    assert "ZPI      not read" in said and "PV1-3    not taken: The code of the department" in said
    status, said = check(file, "--mapping", own)
    assert status == 1 and "PID-3    refused: The patient has neither" in said


def test_a_number_of_a_type_that_the_mapping_does_not_name_is_said(tmp_path: Path, own: Path):
    file = tmp_path / "messages.hl7"
    file.write_bytes(adt(tckn="").replace(b"^^^HASTANE^PI", b""))
    own.write_text('[patient]\nnumber_types = ["PI", "DOSYA"]\n', "utf-8")
    status, said = check(file, "--mapping", own)
    assert status == 1 and 'A number has the type "", which number_types does not name' in said
    own.write_text('[patient]\nnumber_types = ["PI", "DOSYA", ""]\n', "utf-8")
    status, said = check(file, "--mapping", own)
    assert "number_types" not in said and "answered with AA" in said


def test_each_answer_is_a_line_of_json(tmp_path: Path):
    file = tmp_path / "messages.hl7"
    file.write_bytes(adt().replace(b"A01", b"R01").replace(b"ADT", b"ORU") + adt("A99"))
    status, said = check(file, tmp_path / "missing.hl7", "--json")
    result, unknown, missing = map(json.loads, said.splitlines())
    assert status == 1 and missing["error"].startswith("There is no file")
    assert (result["answer"], result["remarks"][0]["place"]) == ("AR", "MSH-9")
    assert "Tetkik sends such messages" in result["remarks"][0]["what"]
    assert unknown["kind"] == "ADT^A99" and unknown["remarks"][0]["level"] == "refused"


@pytest.mark.parametrize("content", [b"", b"PID|1", b"\xff\xfe", b"MSH|^~\\&"])
def test_a_file_without_a_message_is_refused(tmp_path: Path, content: bytes):
    file = tmp_path / "none.hl7"
    file.write_bytes(content)
    assert check(file)[0] == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[order]\naccession = ['OBR18']", "order.accession.0: a place such as PID-3"),
        ("[orders]\naccession = ['OBR-18']", "orders: there is no such setting"),
        ("[[procedure]]\ncode = 'X'\nloinc = '12'", "procedure.0.loinc"),
        ("[results]\ntext = 'RTF'", "results.text: choose from 'FT', 'TX'"),
        ("departments = 3", "departments"),
        ("[", "Invalid"),
    ],
)
def test_a_wrong_mapping_names_the_key(tmp_path: Path, content: str, said: str):
    file = tmp_path / "hbys.toml"
    file.write_text(content, "utf-8")
    with pytest.raises(SettingError) as caught:
        load_mapping(file)
    assert said in caught.value.in_language(Language.EN) and str(file) in str(caught.value)
    with pytest.raises(SettingError, match="missing"):
        load_mapping(tmp_path / "missing.toml")


# Results by the mapping


def result(own: Path | None = None, order: OrderContent | None = None, **peer: object) -> hl7.Message:
    known = HospitalSystem.model_validate(
        {"name": "hbys", "hl7": "h:1", "mapping": str(own) if own else None, **peer}
    )
    codec = "iso8859_9" if known.character_set else "utf-8"
    return hl7.parse(oru_for(known, document(ReportState.FINAL), order).decode(codec))


def test_a_result_has_the_pdf_and_the_default_code():
    message = result(order=ORDER)
    assert str(message.segment("OBR")[4]) == "18748-4^Diagnostic imaging study^LN^PA-AKC^PA akciğer^L"
    assert str(message.segment("OBR")[2]) == "P1"
    (file,) = [row for row in message.segments("OBX") if str(row[2]) == "ED"]
    assert [str(part) for part in file[5][0][:4]] == ["", "application", "pdf", "Base64"]
    assert base64.b64decode(str(file[5][0][4])).startswith(b"%PDF-")


def test_a_result_goes_out_under_the_codes_of_loinc_and_sut(own: Path):
    message = result(own, ORDER, hl7_version="2.3.1", character_set="ISO_IR 148")
    head = message.segment("MSH")
    assert str(head[9]) == "ORU^R01" and str(head[12]) == "2.3.1" and str(head[18]) == "8859/9"
    assert str(message.segment("OBR")[4]) == ("36643-5^PA akciğer grafisi^LN^801.070^PA akciğer grafisi^SUT")
    kinds = {str(row[2]) for row in message.segments("OBX")}
    assert "TX" in kinds and not kinds & {"FT", "ED", "CWE"}
    assert "ŞAHİN" in str(message.segment("PID")[5])


def test_latin_5_is_known_by_each_of_its_names(own: Path):
    assert str(result(own, ORDER, character_set="windows-1254").segment("MSH")[18]) == "8859/9"


def test_a_result_without_its_order_has_the_default_code_alone():
    assert str(result().segment("OBR")[4]) == "18748-4^Diagnostic imaging study^LN"
