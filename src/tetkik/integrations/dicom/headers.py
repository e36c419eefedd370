"""What a received file says of itself, without its pixels; read in a sandboxed process."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement

from tetkik.documents.dicom import is_result
from tetkik.errors import InputError, TetkikError
from tetkik.imaging.dicom import parse_dicom
from tetkik.imaging.read import load_readers
from tetkik.imaging.subprocess_worker import WorkerPool
from tetkik.imaging.tags import identity_of, image_tags, items, text, texts, whole
from tetkik.integrations.dicom.character_sets import DecodedText, decode_text, load_codecs
from tetkik.values import Identity, ImageTags

_TEXTS = (
    "PatientName",
    "PatientID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "SeriesDescription",
    "StudyDescription",
    "IssuerOfPatientID",
)


@dataclass(frozen=True, slots=True)
class HeaderRequest:
    content: bytes = field(repr=False)
    name: str
    """Of the file, for an error."""
    character_set: str | None = None
    """What the setting of the peer says that its text is in."""


@dataclass(frozen=True, slots=True)
class Header:
    """Of one file; the text is repaired (`character_sets`)."""

    identity: Identity
    tags: ImageTags
    description: str = field(default="", repr=False)
    """Study Description (0008,1030)."""
    issuer: str = ""
    """Of the Patient ID (0010,0021)."""
    accession_issuer: str = ""
    """Issuer of Accession Number Sequence (0008,0051), Local Namespace Entity ID (0040,0031)."""
    declared: str = ""
    """The first value of Specific Character Set (0008,0005)."""
    repaired: bool = False
    proposed: str | None = None
    """A character set that the text seems to be in, where no setting says so."""
    is_result: bool = False
    """Whether it was made of a report (`documents.dicom`)."""


class HeaderReader(WorkerPool):
    """Processes that read headers: what a hostile file makes of one reaches nothing else."""

    def __init__(self, count: int = 1) -> None:
        super().__init__((read_header,), count, prepare=_prepare)

    def read(self, request: HeaderRequest) -> Header:
        """The header of a file; `InputError` where it cannot be read."""
        found = self.call(read_header, request, request.name)
        if isinstance(found, TetkikError):
            raise found
        return found


def _prepare() -> None:
    load_readers()
    load_codecs()


def read_header(request: HeaderRequest) -> Header:
    """What a file says; `InputError` for one that is damaged or says of no study that it is of it."""
    dataset, _syntax = parse_dicom(request.content, request.name)
    declared = next(iter(texts(dataset, "SpecificCharacterSet")), "")
    # Before anything else looks at the values: pydicom keeps the bytes until then.
    found = {
        keyword: decoded
        for keyword in _TEXTS
        if (decoded := _decoded(dataset, keyword, declared, request.character_set)) is not None
    }
    identity = identity_of(dataset)
    if not identity.study_uid or not identity.instance_uid:
        raise InputError(
            "{file} has no Study Instance UID or no SOP Instance UID; correct the system that sent it.",
            file=request.name,
        )

    def value_of(keyword: str) -> str:
        return found[keyword].text if keyword in found else ""

    tags = image_tags(dataset, max(whole(dataset, "NumberOfFrames") or 1, 1))
    accession_issuer = next(iter(items(dataset, "IssuerOfAccessionNumberSequence")), Dataset())
    return Header(
        identity=replace(
            identity,
            patient_name=value_of("PatientName") or identity.patient_name,
            patient_id=value_of("PatientID") or identity.patient_id,
            accession=value_of("AccessionNumber") or identity.accession,
            referrer=value_of("ReferringPhysicianName") or identity.referrer,
        ),
        tags=replace(tags, series=value_of("SeriesDescription") or tags.series),
        description=value_of("StudyDescription"),
        issuer=value_of("IssuerOfPatientID"),
        accession_issuer=text(accession_issuer, "LocalNamespaceEntityID") or "",
        declared=declared,
        repaired=any(one.repaired for one in found.values()),
        proposed=next((one.proposed for one in found.values() if one.proposed), None),
        is_result=is_result(dataset),
    )


def _decoded(dataset: Dataset, keyword: str, declared: str, really: str | None) -> DecodedText | None:
    """A text of the file from its bytes; None where there is none, or only pydicom can read it.

    ISO 2022 escape sequences name their character sets themselves (PS3.5 6.1.2.5).
    """
    tag = tag_for_keyword(keyword)
    element = dataset.get_item(tag, keep_deferred=True) if tag is not None and tag in dataset else None
    raw = element.value if isinstance(element, RawDataElement) else None
    if not isinstance(raw, bytes) or b"\x1b" in raw:
        return None
    decoded = decode_text(raw.partition(b"\\")[0].strip(b" \0"), declared, really)
    return decoded if decoded.text else None
