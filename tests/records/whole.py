"""A patient with everything that is stored of one: complaint, images, runs, a signed report, a reason."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO

from tests.documents.sample import RESULT, TAGS, document, picture
from tests.records.kit import made_case, made_user
from tests.records.reports_kit import sign, write_draft
from tetkik.records.cases import cases, complaints
from tetkik.records.cases.complaints import TriagedComplaint, UrgencyChoice
from tetkik.records.cases.patients import Person
from tetkik.records.database import Records
from tetkik.records.ids import new_id
from tetkik.records.images import images, runs
from tetkik.records.images.images import ImageMetadata
from tetkik.records.schema import BrokenGlass, Case
from tetkik.values import (
    Actor,
    FileFormat,
    Identity,
    MeasuredComplaint,
    ReportState,
    Role,
    UrgencyLevel,
    UrgencyReason,
)
from tetkik.workflow import triage

PERSON = Person("Gülçin ŞAHİN", "10000000146", "H-1", "19700101")
COMPLAINT = "Üç gündür nefes darlığım var, göğsüm sıkışıyor."
MEASURED = MeasuredComplaint(words=6, plain=False, unknown=0.0)
SCAN, OTHER = picture(shade=90), picture(shade=120)


@dataclass(frozen=True)
class Whole:
    """What there is of the patient."""

    records: Records
    reader: Actor
    patient_id: str
    case_id: str
    signed_image: str
    other_image: str
    report_id: str


def made_whole(records: Records, person: Person = PERSON, *, signed: bool = True) -> Whole:
    """A patient with one case and two images; the report of the first is signed."""
    reader = made_user(records, Role.RADIOLOGIST, Role.RECEPTION, name="Elif KAYA")
    case_id = made_case(records, reader, person, question="Efüzyon?")
    with records.write(reader) as tx:
        case = tx.session.get_one(Case, case_id)
        patient_id = case.patient_id
        said = TriagedComplaint(triage(COMPLAINT, "triage-linear-tr"), "0" * 64, MEASURED)
        complaints.store_complaint(tx, case, said)
        tx.session.flush()
        complaints.choose_department(tx, case_id, "Göğüs Hastalıkları")
        cases.change_urgency(tx, case_id, UrgencyChoice(UrgencyLevel.SARI, UrgencyReason.CHRONIC, sure=True))
        glass_id = new_id()
        tx.session.add(
            BrokenGlass(
                id=glass_id,
                user_id=reader.user_id,
                case_id=case_id,
                reason=tx.seal(patient_id, "break_glass.reason", glass_id, b"emergency"),
                at=tx.now,
                expires_at=tx.now + timedelta(hours=1),
            )
        )
    first, report_id = _image(records, reader, case_id, SCAN)
    second, _ = _image(records, reader, case_id, OTHER)
    if signed:
        with records.write(reader) as tx:
            sign(tx, report_id, reader)
    return Whole(records, reader, patient_id, case_id, first, second, report_id)


def _image(records: Records, reader: Actor, case_id: str, content: bytes) -> tuple[str, str]:
    """An image with its run and its draft; gives the ids of image and report."""
    with records.write(reader) as tx:
        patient_id = tx.session.get_one(Case, case_id).patient_id
        stored = images.store_file(tx, patient_id, BytesIO(content))
        identity = Identity(study_uid=f"2.25.{zlib.crc32(content)}")
        shown = ImageMetadata(FileFormat.PNG, 8, 8, identity=identity, tags=TAGS, name="scan.png")
        image = images.add_image(tx, case_id, stored, shown).image
        run_id = runs.add_run(tx, image, runs.ModelAnswer("findings-test 1.0", "0" * 64, tx.now, RESULT))
        report_id = write_draft(tx, image.id, run_id, document(ReportState.DRAFT))
    return image.id, report_id
