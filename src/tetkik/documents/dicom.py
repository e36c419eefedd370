"""What every DICOM object of a report shares: whose it is, where it belongs, how it is named and written.

Attributes come from the identity that was read from the image, cleaned of what their value representation
forbids (PS3.5, section 6.2); a text is UTF-8 (`ISO_IR 192`).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import NAMESPACE_OID, uuid5

from pydicom.dataset import Dataset
from pydicom.uid import (
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    SecondaryCaptureImageStorage,
)

from tetkik._version import __version__
from tetkik.documents.parts import (
    AgeUnit,
    Identifier,
    PatientAge,
    age_of,
    dicom_date,
    examined_at,
    family_and_given,
    identifiers_of,
    valid_uid,
)
from tetkik.values import Hospital, Identity, MeasuredImage, ReportDocument, Signature
from tetkik.values.common import one_line

CHARACTER_SET = "ISO_IR 192"
MANUFACTURER = "Tetkik"
_RESULT_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.88.",  # structured reports and key objects
    EncapsulatedPDFStorage,
    SecondaryCaptureImageStorage,
    GrayscaleSoftcopyPresentationStateStorage,
)


@dataclass(frozen=True, slots=True)
class Instance:
    """An object that another one refers to."""

    sop_class: str
    uid: str
    series: str


def new_uid(document: ReportDocument, what: str) -> str:
    """A UID of the form `2.25.` (PS3.5, annex B.2) for one of a report's objects; it tells of no patient.

    `what` names the object and, where its content may change, what tells the contents apart.
    """
    report = uuid5(NAMESPACE_OID, f"tetkik:{document.id}")
    return f"2.25.{uuid5(report, what).int}"


def device_uid(document: ReportDocument) -> str:
    """The UID of the model as an observer: the same in every report that leans on it."""
    return f"2.25.{uuid5(NAMESPACE_OID, ' '.join(('tetkik', *model_of(document)))).int}"


def study_uid(document: ReportDocument) -> str:
    """The study of the image; one of our own for a file without one (or with one that is no valid UID)."""
    return valid_uid(document.identity.study_uid) or new_uid(document, "study")


def source(document: ReportDocument) -> Instance | None:
    """The image that the report is about, as an archive knows it; None for a file without UIDs."""
    return instance_of(document.identity, document.tags.sop_class)


def study_images(document: ReportDocument) -> Mapping[str, Instance]:
    """The images of the study that an archive knows, by their id; empty where the report is about one."""
    found = {
        item.id: (valid_uid(item.sop_class), valid_uid(item.instance_uid), valid_uid(item.series_uid))
        for item in document.images
        if valid_uid(document.identity.study_uid)
    }
    return {name: Instance(*map(str, uids)) for name, uids in found.items() if all(uids)}


def image_of(document: ReportDocument) -> Instance | None:
    """The image as other objects refer to it: of a file without UIDs the capture that is made of it."""
    if (known := source(document)) is not None or document.image is None:
        return known
    return capture(document, "image", document.image)


def instance_of(uids: Identity | MeasuredImage, sop_class: str | None) -> Instance | None:
    """The object of these UIDs; None where one of them is missing or invalid."""
    found = (valid_uid(sop_class), valid_uid(uids.instance_uid), valid_uid(uids.series_uid))
    return Instance(*map(str, found)) if all(found) and valid_uid(uids.study_uid) else None


def capture(document: ReportDocument, what: str, picture: bytes) -> Instance:
    """The Secondary Capture that is made of one of the report's pictures, `heatmap` or `image`.

    The image is the same object in every version of the report.
    """
    digest = hashlib.sha256(picture).hexdigest()
    made = "" if what == "image" else f"{_when(document)}/"
    return Instance(
        SecondaryCaptureImageStorage, new_uid(document, f"{what}/{made}{digest}"), new_uid(document, what)
    )


def encapsulated(document: ReportDocument) -> Instance:
    """The report's PDF as an object."""
    return own_instance(document, EncapsulatedPDFStorage, "pdf")


def is_result(dataset: Dataset) -> bool:
    """Whether an object was made of a report by this program, here or elsewhere: no image to be read.

    Archives send on what they got, and so results come back. Our example images are of scanners' classes.
    """
    made_by = one_line(str(dataset.get("Manufacturer", "")))
    uid, sop_class = str(dataset.get("SOPInstanceUID", "")), str(dataset.get("SOPClassUID", ""))
    return made_by == MANUFACTURER and uid.startswith("2.25.") and sop_class.startswith(_RESULT_CLASSES)


def identify(dataset: Dataset, document: ReportDocument) -> None:
    """Set the attributes of the Patient, Patient Study, General Study and General Equipment modules."""
    identify_patient(dataset, document.identity, document.hospital, age_of(document))
    examined = examined_at(document.identity, document.hospital)
    if isinstance(examined, datetime):  # by the offset of the whole object, which may be summer's
        at = examined.astimezone(document.created.tzinfo)
        dataset.StudyDate, dataset.StudyTime = at.strftime("%Y%m%d"), at.strftime("%H%M%S")
    dataset.StudyInstanceUID = study_uid(document)
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = model_of(document)[0]
    dataset.DeviceSerialNumber = model_of(document)[1]
    dataset.SoftwareVersions = __version__


def identify_patient(
    dataset: Dataset, identity: Identity, hospital: Hospital, age: PatientAge | None
) -> None:
    """Set what says whose an object is, of which study but for its UID, and where it was made.

    Patient ID is the hospital's number, or the national one where that is all that is known; the other one is
    among Other Patient IDs, each with who assigned it.
    """
    dataset.SpecificCharacterSet = CHARACTER_SET
    dataset.PatientName = person_name(identity.patient_name or "")
    known = identifiers_of(identity, hospital)
    _number(dataset, known[0] if known else "")
    # PS3.3, C.7.1.1: with those under which the patient was known before records were joined.
    others: tuple[Identifier | str, ...] = (*known[1:], *identity.other_ids)
    for item in others:
        other = Dataset()
        _number(other, item)
        other.TypeOfPatientID = "TEXT"
        dataset.OtherPatientIDsSequence = [*dataset.get("OtherPatientIDsSequence", ()), other]
    if identity.other_names:
        dataset.OtherPatientNames = [person_name(one) for one in identity.other_names]
    dataset.PatientBirthDate = dicom_date(identity.birth_date)
    dataset.PatientSex = identity.sex.value if identity.sex is not None else ""
    if age is not None and (age.count or age.unit is not AgeUnit.YEARS):
        dataset.PatientAge = age.dicom
    examined = examined_at(identity, hospital)
    dataset.StudyDate = examined.strftime("%Y%m%d") if examined is not None else ""
    dataset.StudyTime = examined.strftime("%H%M%S") if isinstance(examined, datetime) else ""
    dataset.StudyID = ""
    dataset.AccessionNumber = text(identity.accession, 16)
    dataset.ReferringPhysicianName = person_name(identity.referrer or "")
    if hospital.name.strip():
        dataset.InstitutionName = text(hospital.name, 64)
        if hospital.department.strip():
            dataset.InstitutionalDepartmentName = text(hospital.department, 64)


def _number(dataset: Dataset, number: Identifier | str) -> None:
    """A number and who assigned it (PS3.3, tables C.7-1 and 10-18); of a former number nobody says."""
    if not isinstance(number, Identifier):
        dataset.PatientID = text(number, 64)
        return
    dataset.PatientID = text(number.value, 64)
    if number.authority:
        dataset.IssuerOfPatientID = text(number.authority, 64)
    if number.oid:
        qualifiers = Dataset()
        qualifiers.UniversalEntityID, qualifiers.UniversalEntityIDType = number.oid, "ISO"
        qualifiers.IdentifierTypeCode = number.kind.value
        dataset.IssuerOfPatientIDQualifiersSequence = [qualifiers]


def date_it(dataset: Dataset, document: ReportDocument, moment: datetime | None = None) -> None:
    """Set when the object was made: `moment`, or the report's own time, so that its bytes stay the same."""
    created = moment or document.created
    # Of the image as well, whose time is said by the same clocks.
    dataset.TimezoneOffsetFromUTC = created.strftime("%z")
    for kind in ("InstanceCreation", "Content", "Series"):
        setattr(dataset, f"{kind}Date", created.strftime("%Y%m%d"))
        setattr(dataset, f"{kind}Time", created.strftime("%H%M%S"))
    for item in dataset.get("ContributingEquipmentSequence", ()):
        item.ContributionDateTime = created.strftime("%Y%m%d%H%M%S%z")


def model_of(document: ReportDocument) -> tuple[str, str]:
    """Name and version of the model that found the findings; the program's own where there was none."""
    written = document.result.model if document.result is not None else ""
    name, _, version = text(written, 64).rpartition(" ")
    return (name, version) if name else (version or MANUFACTURER, __version__)


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """The item of a code sequence (PS3.3, section 8.8), of a value that needs no longer attribute."""
    assert len(value) <= 16 and len(meaning) <= 64
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = value, scheme, meaning
    return made


def person_name(name: str) -> str:
    """`FAMILY^GIVEN` as PN (PS3.5, section 6.2.1): three groups of five parts of printable text at most."""
    groups = []
    for group in name.replace("\\", " ").split("=")[:3]:
        parts = [one_line(part) for part in group.split("^")[:5]]
        groups.append("^".join(parts).rstrip("^")[:64])
    return "=".join(groups).rstrip("=")


def spoken_name(name: str, title: str = "") -> str:
    """A name as people write it, as PN: the last word is taken for the family's, the title is the prefix."""
    parts = (part.replace("^", " ").replace("=", " ") for part in (*family_and_given(name), "", title))
    return person_name("^".join(parts))


def text(value: str | None, longest: int) -> str:
    """A short text (LO, SH): printable; no backslash, which parts values; at most `longest` characters."""
    return one_line((value or "").replace("\\", " "))[:longest].strip()


def to_bytes(dataset: Dataset) -> bytes:
    """The object as a file (PS3.10); its meta information is set."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def own_instance(document: ReportDocument, sop_class: str, kind: str = "report") -> Instance:
    """The names of a `kind` of object: one series for all versions, another instance for whatever differs."""
    sentences = "\n".join(sentence.text for sentence in document.draft.sentences)
    what = f"{kind}/{_when(document)}/{document.state}/{sentences}"
    return Instance(sop_class, new_uid(document, what), new_uid(document, kind))


def evidence(document: ReportDocument, instance: Instance, study: str | None = None) -> Dataset:
    """An object referred to, with as much as its class asks for; `study` is by itself that of the image."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = instance.sop_class, instance.uid
    dataset.SeriesInstanceUID = instance.series
    dataset.StudyInstanceUID = study or study_uid(document)
    for name in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "AccessionNumber"):
        setattr(dataset, name, "")
    dataset.StudyDate = dataset.StudyTime = None
    return dataset


def observer(signed: Signature) -> str:
    """A name of one part keeps its separator: the class takes it for an oversight otherwise."""
    name = spoken_name(signed.name, signed.title) or "?"
    return name if "^" in name else f"{name}^"


def organization(document: ReportDocument) -> str:
    """Verifying Organization is of type 1: it may not be empty."""
    return text(document.hospital.name, 64) or "?"


def _when(document: ReportDocument) -> str:
    return f"{document.version}/{document.created.isoformat()}"
