"""A hundred signed reports: every document of them says what the record says, and so what the others say."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import hl7
import pydicom
import pypdfium2
import pytest
from fhir.resources.R4B.bundle import Bundle

from tests.documents.programs import said, validated
from tests.documents.signed_cases import HOSPITAL, SOURCE, UNCITED, UNJUDGED, SignedCase, signed_cases
from tests.documents.test_sr import items
from tetkik.documents.capture import to_capture
from tetkik.documents.fhir import to_fhir
from tetkik.documents.hl7 import to_hl7
from tetkik.documents.parts import NATIONAL_OID
from tetkik.documents.pdf import to_pdf
from tetkik.documents.rejection import to_rejection
from tetkik.documents.sr import to_sr
from tetkik.documents.text import to_text
from tetkik.language import Language
from tetkik.report.labeler.read import read_report
from tetkik.report.labeler.rules import Polarity
from tetkik.values import ReportDocument, Section, Sex, label_name

OIDS = {"PI": HOSPITAL.oid, "NNTUR": NATIONAL_OID}
UCUM = {"a": "Y", "mo": "M", "d": "D"}
LABELS = {
    Language.TR: {"PI": "Dosya numarası", "NNTUR": "T.C. kimlik numarası"},
    Language.EN: {"PI": "Hospital number", "NNTUR": "Turkish identity number"},
}


@cache
def cases() -> tuple[SignedCase, ...]:
    return tuple(signed_cases())


def expected(case: SignedCase) -> dict[str, Any]:
    """What every document has to say."""
    document, identity = case.document, case.document.identity
    assert document.signature is not None
    return {
        "name": case.name,
        "numbers": {kind: (number, OIDS[kind]) for kind, number in case.numbers.items()},
        "born": identity.birth_date or "",
        "sex": identity.sex or "",
        "age": case.age,
        "accession": identity.accession or "",
        "number": document.number,
        "examined": case.examined.isoformat() if case.examined else "",
        "referrer": case.referrer,
        "department": document.department,
        "signed": document.signature.signed_at.isoformat(),
        "state": document.standing.value,
        "sentences": [item.text for item in document.draft.sentences],
        "present": case.present,
        "measured": [item.rounded for item in document.measurements],
    }


def in_hl7(document: ReportDocument) -> dict[str, Any]:
    message = hl7.parse(to_hl7(document).decode())

    def at(segment: str, place: int) -> str:
        found = [item for item in message if str(item[0]) == segment]
        return str(found[0][place]) if found and len(found[0]) > place else ""

    def moment(text: str) -> str:
        return (
            datetime.strptime(text, "%Y%m%d%H%M%S%z" if len(text) > 8 else "%Y%m%d").isoformat()
            if len(text) > 8
            else f"{text[:4]}-{text[4:6]}-{text[6:]}"
            if text
            else ""
        )

    def plain(text: str) -> str:
        return str(message.unescape(text.replace("\\.br\\", "\n")))

    family, given = ([*at("PID", 5).split("^"), "", ""])[:2]
    numbers = {}
    for one in filter(None, at("PID", 3).split("~")):
        number, _, _, authority, kind = one.split("^")
        numbers[kind] = (number, authority.split("&")[1])
    rows = [item for item in message if str(item[0]) == "OBX"]
    ages = [(int(str(row[5])), UCUM[str(row[6]).split("^")[0]]) for row in rows if "^Age^" in str(row[3])]
    physician = [*at("OBR", 16).split("^"), *[""] * 7][:7]
    assert at("OBR", 16) == at("PV1", 8)
    texts = [plain(str(row[5])) for row in rows if str(row[2]) == "FT"]
    found = {
        str(row[3]).split("^")[0]: str(row[5]).startswith("52101004") for row in rows if str(row[2]) == "CWE"
    }
    lines = [row for row in rows if str(row[2]) == "NM" and str(row[4])]
    return {
        "name": plain(f"{given} {family}".strip()),
        "numbers": numbers,
        "born": at("PID", 7),
        "sex": at("PID", 8).replace("U", ""),
        "age": ages[0] if ages else None,
        "accession": at("OBR", 18),
        "number": at("OBR", 20),
        "examined": moment(at("OBR", 7)),
        "referrer": " ".join(filter(None, (physician[5], physician[2], physician[1]))),
        "department": at("PV1", 10),
        "signed": moment(at("OBR", 22)) if document.withdrawal is None else None,
        "state": {"F": "final", "C": "amended", "X": "withdrawn"}[at("OBR", 25)],
        "sentences": [line for text in texts for line in text.split("\n")],
        "present": found,
        "measured": [float(str(row[5])) for row in lines],
    }


def in_fhir(document: ReportDocument) -> dict[str, Any]:
    content = json.loads(to_fhir(document))
    Bundle.model_validate(content)
    found: dict[str, list[Any]] = {}
    for entry in content["entry"]:
        found.setdefault(entry["resource"]["resourceType"], []).append(entry["resource"])
    report, patient = found["DiagnosticReport"][0], found["Patient"][0]
    request, role = ([*found.get(kind, ()), {}][0] for kind in ("ServiceRequest", "PractitionerRole"))
    name = [*patient.get("name", ()), {}][0]
    observed = found.get("Observation", [])
    codes = ((one["code"]["coding"][-1], one) for one in observed)
    by_code = {code["code"]: one for code, one in codes if not code["system"].endswith("model-output")}
    age = by_code.get("30525-0", {}).get("valueQuantity")
    numbers = {
        one["type"]["coding"][0]["code"]: (one["value"], one["system"].removeprefix("urn:oid:"))
        for one in patient.get("identifier", ())
        if one.get("use") != "old"
    }
    asked = [one["value"] for one in request.get("identifier", ())]
    studied = [
        one["value"]
        for study in found.get("ImagingStudy", ())
        for one in study["identifier"]
        if one["system" if "system" in one else "type"] != "urn:dicom:uid"
    ]
    assert not (asked and studied) or asked == studied
    words = re.sub(r"<[^>]+>", "\n", report["text"]["div"])
    assert all(
        one.get("status") in ("final", "amended", "entered-in-error", "preliminary") for one in observed
    )
    return {
        "name": " ".join((*name.get("given", ()), name.get("family", ""))).strip(),
        "numbers": numbers,
        "born": patient.get("birthDate", "").replace("-", ""),
        "sex": {"female": "F", "male": "M", "other": "O", "unknown": ""}[patient["gender"]],
        "age": age and (age["value"], UCUM[age["code"]]),
        "accession": [*asked, *studied, ""][0],
        "number": report["identifier"][1]["value"],
        "examined": report.get("effectiveDateTime", ""),
        "referrer": role.get("practitioner", {}).get("display", ""),
        "department": role.get("organization", {}).get("display", ""),
        "signed": report["issued"] if document.withdrawal is None else None,
        "state": {"entered-in-error": "withdrawn"}.get(report["status"], report["status"]),
        "sentences": [
            item.text for item in document.draft.sentences if item.text in words.replace("&amp;", "&")
        ],
        "present": {code: one["valueBoolean"] for code, one in by_code.items() if "valueBoolean" in one},
        "measured": [
            one["valueQuantity"]["value"]
            for one in observed
            if "valueQuantity" in one and one["code"]["coding"][-1]["code"] != "30525-0"
        ],
    }


STRUCTURED: dict[str, pydicom.Dataset] = {}
"""Structured reports that were read back, by the report's id."""


def structured(document: ReportDocument) -> pydicom.Dataset:
    if document.id not in STRUCTURED:
        STRUCTURED[document.id] = pydicom.dcmread(io.BytesIO(to_sr(document)))
    return STRUCTURED[document.id]


def in_sr(document: ReportDocument) -> dict[str, Any]:
    read = structured(document)
    given, family = str(read.PatientName.given_name), str(read.PatientName.family_name)

    def number(item: Any) -> tuple[str, tuple[str, str]]:
        (qualifier,) = item.IssuerOfPatientIDQualifiersSequence
        return qualifier.IdentifierTypeCode, (item.PatientID, qualifier.UniversalEntityID)

    others = [one for one in read.get("OtherPatientIDsSequence", ()) if "IssuerOfPatientID" in one]
    zone = read.TimezoneOffsetFromUTC
    examined = f"{read.StudyDate[:4]}-{read.StudyDate[4:6]}-{read.StudyDate[6:]}" if read.StudyDate else ""
    if read.StudyTime:
        examined = datetime.strptime(f"{read.StudyDate}{read.StudyTime}{zone}", "%Y%m%d%H%M%S%z").isoformat()
    everything = items(read)
    texts: dict[str, list[str]] = {}
    for item in everything:
        if item.ValueType == "TEXT":
            texts.setdefault(item.ConceptNameCodeSequence[0].CodeMeaning, []).append(item.TextValue)
    signed = read.VerifyingObserverSequence[0].VerificationDateTime
    named = ("Procedure Description", "Finding", "Impression", "Recommendation")
    physician = read.ReferringPhysicianName
    parts = (physician.name_prefix, physician.given_name, physician.family_name) if physician else ()
    groups = [item for item in everything if item.get("ContentTemplateSequence")]
    present, measured = {}, []
    for group in (
        one for one in groups if one.ContentTemplateSequence[0].TemplateIdentifier in ("1501", "1410")
    ):
        inner = items(group)
        label = next(one.TextValue for one in inner if one.ValueType == "TEXT")
        values = [one.ConceptCodeSequence[0].CodeMeaning for one in inner if one.ValueType == "CODE"]
        figures = [
            float(one.MeasuredValueSequence[0].NumericValue) for one in inner if one.ValueType == "NUM"
        ]
        if "Present" in values or "Absent" in values:
            present[label] = "Present" in values
        else:
            measured += figures
    return {
        "name": f"{given} {family}".strip(),
        "numbers": dict(map(number, (read, *others))) if read.PatientID else {},
        "born": read.PatientBirthDate,
        "sex": read.PatientSex,
        "age": (int(read.PatientAge[:3]), read.PatientAge[3]) if "PatientAge" in read else None,
        "accession": read.AccessionNumber,
        "number": texts["Report number"][0],
        "examined": examined,
        "referrer": " ".join(filter(None, map(str, parts))),
        "department": [*texts.get("Referring department", ()), ""][0],
        "signed": datetime.strptime(str(signed), "%Y%m%d%H%M%S%z").isoformat(),
        "state": "amended" if read.InstanceNumber == 2 else "final",
        "sentences": [text for name in named for text in texts.get(name, ())],
        "present": present,
        "measured": measured,
    }


def on_paper(case: SignedCase) -> dict[str, str]:
    """By label, what the head of a printed report says."""
    document, identity, language = case.document, case.document.identity, case.document.draft.language
    turkish = language is Language.TR
    words = {} if not case.name else {"Hasta" if turkish else "Patient": case.name}
    words |= {LABELS[language][kind]: number for kind, number in case.numbers.items()}
    if identity.birth_date:
        born = identity.birth_date
        words["Doğum tarihi" if turkish else "Date of birth"] = f"{born[6:]}.{born[4:6]}.{born[:4]}"
    sexes = {Sex.FEMALE: ("Kadın", "Female"), Sex.MALE: ("Erkek", "Male")}
    sex = sexes[identity.sex][not turkish] if identity.sex in sexes else ""
    units = {"Y": ("yaşında", "year"), "M": ("aylık", "month"), "D": ("günlük", "day")}
    age = ""
    if case.age is not None:
        count, unit = case.age
        english = f"{count} {units[unit][1]}{'' if count == 1 else 's'} old"
        age = f"{count} {units[unit][0]}" if turkish else english
    if sex or age:
        words["Cinsiyet, yaş" if turkish else "Sex, age"] = ", ".join(filter(None, (sex, age)))
    if case.examined is not None:
        day, timed = f"{case.examined:%d.%m.%Y}", isinstance(case.examined, datetime)
        when = f"{day} {case.examined:%H:%M} (UTC+3)" if timed else day
        words["Tetkik tarihi" if turkish else "Date of study"] = when
    words["Erişim numarası" if turkish else "Accession number"] = identity.accession or ""
    words["Rapor numarası" if turkish else "Report number"] = document.number
    words["İsteyen hekim" if turkish else "Referring physician"] = case.referrer
    words["İsteyen bölüm" if turkish else "Referring department"] = document.department
    return {label: value for label, value in words.items() if value}


@cache
def paper(place: int) -> str:
    """The text of a case's PDF."""
    pages = pypdfium2.PdfDocument(to_pdf(cases()[place].document))
    return " ".join(" ".join(page.get_textpage().get_text_range() for page in pages).split())


def test_every_document_of_two_hundred_cases_says_what_the_record_says():
    kinds = frozenset().union(*(case.kinds for case in cases()))
    assert {"final", "amended", "withdrawn", "national", "hospital", "both", "nobody", "measured"} <= kinds
    readers: dict[str, Callable[[ReportDocument], dict[str, Any]]]
    for place, case in enumerate(cases()):
        document, wanted = case.document, expected(case)
        readers = {"hl7": in_hl7, "fhir": in_fhir, "sr": in_sr}
        if document.withdrawal is not None:
            del readers["sr"]
        for name, reader in readers.items():
            found = {
                key: value for key, value in reader(document).items() if value is not None or key == "age"
            }
            for key, value in found.items():
                assert value == wanted[key], (place, name, key)


def test_paper_and_text_say_the_same_of_two_hundred_cases():
    for place, case in enumerate(cases()):
        document, wanted, language = case.document, on_paper(case), case.document.draft.language
        text = to_text(document).decode()
        rows = dict(re.findall(r"^(\S.*?) {2,}(\S.*)$", text, re.MULTILINE))
        labels = [label for label in rows if label in wanted or label.startswith(("T.C.", "Turkish"))]
        assert {label: rows[label] for label in labels} == wanted, place
        page = paper(place)
        flat = " ".join(text.split())
        for label, value in wanted.items():
            assert f"{label} {value}" in page, (place, label)
        signed = f"{document.signature.signed_at:%d.%m.%Y %H:%M} (UTC+3)"  # type: ignore[union-attr]
        for part in (*(item.text for item in document.draft.sentences), signed, "Uzm. Dr. Ömer Çağrı Ünsal"):
            assert part in page and part in flat, (place, part)
        for label in case.present:
            assert label_name(label, language) in page and label_name(label, language) in flat, (place, label)


def test_no_code_is_without_its_sentence_in_two_hundred_cases():
    """What each document codes is what the labeler reads in the signed text, and nothing beside it."""
    coded = 0
    for place, case in enumerate(cases()):
        document = case.document
        text = "\n".join(item.text for item in document.draft.section(Section.IMPRESSION))
        mentions = [item for one in read_report(text, document.draft.language) for item in one.mentions]
        said = {item.label: item.polarity is Polarity.PRESENT for item in mentions}
        readers = (in_hl7, in_fhir) if document.withdrawal is not None else (in_hl7, in_fhir, in_sr)
        for reader in readers:
            assert reader(document)["present"] == said, (place, reader.__name__)
            coded += len(said)
    assert coded > 500


def test_what_nobody_judged_or_cited_stands_in_no_document():
    for place, case in enumerate(cases()):
        document = case.document
        names = {UNJUDGED, *(label_name(UNJUDGED, language) for language in Language)}
        names |= {"Edema", *(label_name("Edema", language) for language in Language), UNCITED}
        written = [
            to_hl7(document).decode(),
            to_fhir(document).decode(),
            to_text(document).decode(),
            paper(place),
        ]
        if document.withdrawal is None:
            written.append(str(structured(document)))
        for text in written:
            assert not any(name in text for name in names), place
        cites = document.result is not None
        assert (SOURCE in written[2]) is (SOURCE in written[3]) is cites


def one_of_each() -> list[ReportDocument]:
    """A case for each set of kinds that no case before it has."""
    seen: set[str] = set()
    chosen = []
    for case in cases():
        if case.kinds - seen:
            seen |= case.kinds
            chosen.append(case.document)
    return chosen


@pytest.mark.program("dciodvfy")
def test_dicom3tools_finds_no_fault(tmp_path: Path):
    file = tmp_path / "object.dcm"
    for document in one_of_each():
        if document.withdrawal is not None:
            objects = [to_rejection(document)]
        else:
            structured(document).save_as(file)
            objects = [file.read_bytes(), *([to_capture(document)] if document.heatmap else [])]
        for content in objects:
            file.write_bytes(content)
            words = said("dciodvfy", file)[1]
            assert "Error" not in words, words


@pytest.mark.program("node")
def test_the_validator_of_npm_finds_no_error():
    bundles = [json.loads(to_fhir(document)) for document in one_of_each()]
    resources = [entry["resource"] for bundle in bundles for entry in bundle["entry"]]
    for resource, answer in zip(resources, validated(resources), strict=True):
        faults = [one for one in answer["messages"] if one["severity"] == "error"]
        assert not faults, (resource["resourceType"], faults)
