"""A withdrawn report for DICOM archives: a rejection note, the Key Object Selection of IHE's profile IOCM.

A structured report cannot take itself back: its Verification Flag tells whether somebody attested it (PS3.3,
section C.17.2), not that it was wrong, and an archive would hold both objects side by side. IHE Radiology,
volume 3, transaction 4.66 (Imaging Object Change Management) tells archives to hide what a Key Object
Selection Document names under the title (113037, DCM, "Rejected for Patient Safety Reasons") of CID 7011.
It names the structured report, its PDF, its presentation states and the picture of its heatmap; the image
itself stays, for it is to be read.
"""

from __future__ import annotations

from highdicom import ko
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import Comprehensive3DSRStorage

from tetkik.documents import dicom
from tetkik.documents.parts import WITHDRAWN, withdrawal_words
from tetkik.documents.picture import opened
from tetkik.documents.presentation_state import drawn_images, report_state
from tetkik.documents.sr import person
from tetkik.values import ReportDocument

_SERIES_NUMBER = 9004


def to_rejection(document: ReportDocument) -> bytes:
    """The rejection note of a withdrawn report as a file (PS3.10), Explicit VR Little Endian, in UTF-8.

    Raises ValueError where the report stands.
    """
    withdrawal = document.withdrawal
    if withdrawal is None:
        raise ValueError("a document that stands")
    rejected = _rejected(document)
    words = " ".join((f"{WITHDRAWN}:", *withdrawal_words(document)))
    content = ko.KeyObjectSelection(
        document_title=codes.DCM.RejectedForPatientSafetyReasons,
        referenced_objects=rejected,
        observer_person_context=person(document, withdrawal.signature),
        description=dicom.text(words, len(words)),
    )
    when = withdrawal.signature.signed_at
    what = f"rejection/{document.version}/{when.isoformat()}/{len(rejected)}"
    note = ko.KeyObjectSelectionDocument(
        evidence=rejected,
        content=content,
        series_instance_uid=dicom.new_uid(document, "rejection"),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=dicom.new_uid(document, what),
        instance_number=document.version,
        manufacturer=dicom.MANUFACTURER,
        specific_character_set=dicom.CHARACTER_SET,
    )
    dicom.identify(note, document)
    dicom.date_it(note, document, when)
    note.SeriesDescription = dicom.text(f"Tetkik: {WITHDRAWN}", 64)
    return dicom.to_bytes(note)


def _rejected(document: ReportDocument) -> list[Dataset]:
    """What archives may have of the report: structured report, PDF, presentation states, heatmap.

    A note may name what an archive never got: it hides whatever of it there is.
    """
    names = [dicom.own_instance(document, Comprehensive3DSRStorage), dicom.encapsulated(document)]
    names += [report_state(document, image) for image in drawn_images(document)]
    found = [dicom.evidence(document, one) for one in names]
    if document.heatmap is not None:
        picture = opened(document.heatmap)
        shown = dicom.evidence(document, dicom.capture(document, "heatmap", document.heatmap))
        shown.Rows, shown.Columns = picture.height, picture.width
        found.append(shown)
    return found
