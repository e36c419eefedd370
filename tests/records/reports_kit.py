"""Reports for tests: a machine's draft about an image in a case, and the signature of whoever wrote it."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

from sqlalchemy import func, select

from tests.documents import sample
from tests.records import changes
from tests.records.kit import made_case, made_user
from tetkik import workflow
from tetkik.language import Language
from tetkik.records.cases.patients import Person
from tetkik.records.database import Records, Transaction
from tetkik.records.images import images, runs
from tetkik.records.images.images import StoredImage
from tetkik.records.people import access
from tetkik.records.reports import drafts, signing
from tetkik.records.reports.edit_conflicts import WorkingDraft
from tetkik.records.schema import Report, ReportVersion, SignatureRow
from tetkik.records.worklist import claims
from tetkik.rules.editing import Choice, DraftEdit
from tetkik.settings import settings
from tetkik.values import (
    SYSTEM,
    Actor,
    Decision,
    DraftSentence,
    FileFormat,
    FindingsResult,
    Hospital,
    Judgement,
    Method,
    ReportInput,
    Role,
    Section,
)

HOSPITAL = Hospital("Örnek Üniversitesi Hastanesi", "Radyoloji", "Çınar Sok. 1, İzmir")


@dataclass(frozen=True)
class MadeReport:
    """A report with a machine's draft.

    Attributes:
        id: of the report.
        case_id: of its case.
        image_id: that it is about.
    """

    id: str
    case_id: str
    image_id: str


def made_report(
    records: Records,
    *,
    result: FindingsResult | None = None,
    history: str = "nefes darlığı",
    person: Person | None = None,
    case_id: str | None = None,
    language: Language = Language.TR,
    pictures: bool = True,
    **case: object,
) -> MadeReport:
    """A case with an image, a run, and the composer's draft; keywords as for `cases.open_case`."""
    case_id = case_id or made_case(records, made_user(records, Role.RECEPTION), person, **case)
    image_id = made_image(records, case_id)
    result = result or sample.RESULT
    inputs = ReportInput(history=history)
    reported = workflow.report_findings(result, inputs, settings(), language=language)
    document = replace(reported.document, identity=sample.IDENTITY, tags=sample.TAGS)
    if pictures:
        document = replace(
            document,
            heatmap=sample.picture("RGB", (200, 80, 40), size=(300, 260)),
            heatmap_label="Effusion",
        )
    with records.write(SYSTEM) as tx:
        image = images.load_image(tx, image_id)
        run_id = runs.add_run(tx, image, runs.ModelAnswer(result.model, "ab" * 32, tx.now, result))
        report_id = write_draft(tx, image_id, run_id, document, inputs=reported.drafted.facts.inputs)
    return MadeReport(report_id, case_id, image_id)


def drawn(image: StoredImage, frame: int) -> bytes:
    """The picture of any image, as a report shows it."""
    return sample.picture(size=(300, 260))


def write_draft(tx: Transaction, image_id: str, run_id: str | None, document: Any, **made: Any) -> str:
    """The machine's draft about an image alone."""
    return drafts.write_machine_draft(
        tx, image_id, drafts.MachineDraft(document, run_id, (image_id,), **made)
    )


def made_image(
    records: Records,
    case_id: str,
    content: bytes | None = None,
    study_uid: str | None = None,
    frames: int = 1,
) -> str:
    """An image in a case, without a run, alone in its study."""
    content = content or sample.picture(size=(40, 30)) + os.urandom(8)
    identity = replace(sample.IDENTITY, study_uid=study_uid or f"2.25.{zlib.crc32(content)}")
    identity = replace(identity, patient_id=None, birth_date=None)
    with records.write(SYSTEM) as tx:
        patient_id = access.load_visible_case(tx, case_id).patient_id
        stored = images.store_file(tx, patient_id, BytesIO(content))
        tags = replace(sample.TAGS, frames=frames)
        described = images.ImageMetadata(FileFormat.DICOM, 30, 40, identity=identity, tags=tags)
        return images.add_image(tx, case_id, stored, described).image.id


def reports_of_case(tx: Transaction, case_id: str) -> tuple[str, ...]:
    """The reports of a case, in the order in which they were begun."""
    return tuple(tx.session.scalars(select(Report.id).where(Report.case_id == case_id).order_by(Report.id)))


def proof_of(actor: Actor, method: Method = Method.PASSWORD) -> signing.Proof:
    """That the actor has just given the password again."""
    assert actor.user_id is not None
    return signing.Proof(actor.user_id, method, datetime.now(UTC))


def every_mark_kept(draft: WorkingDraft) -> list[Choice]:
    """The decision to keep every sentence that has a mark."""
    return [
        Choice(place, mark.fault, mark.start, mark.end, Decision.KEPT)
        for place, sentence in enumerate(draft.draft.sentences)
        for mark in sentence.marks
    ]


def judged_all(tx: Transaction, report_id: str) -> WorkingDraft:
    """The draft once every finding that it states is accepted, and whose image it is confirmed."""
    current = drafts.draft_of(tx, report_id)
    if any(item.difference for item in current.blockers):
        current = drafts.confirm_identity(tx, report_id, current.revision)
    labels = [item.label for item in current.blockers if item.label is not None]
    if not labels:
        return current
    accepted = Judgement.ACCEPTED
    return changes.judge_all(tx, report_id, current.revision, labels, accepted, sentences_follow=False)


def sign(tx: Transaction, report_id: str, actor: Actor, picture: signing.PictureOf = drawn) -> signing.Signed:
    """Sign a draft, every finding accepted and mark kept; one that states nothing with a sentence by hand."""
    revision = made_ready(tx, report_id).revision
    return signing.sign(tx, report_id, revision, proof_of(actor), HOSPITAL, picture)


def made_ready(tx: Transaction, report_id: str) -> WorkingDraft:
    """The draft as `sign` signs it."""
    current = judged_all(tx, report_id)
    if not any(current.draft.section(part) for part in (Section.FINDINGS, Section.IMPRESSION)):
        texts = (*current.draft.section(Section.TECHNIQUE), DraftSentence("Bulgu yok.", Section.FINDINGS))
        current = changes.save(tx, report_id, current.revision, DraftEdit(texts))
    judged = {item.label for item in current.verdicts}
    for finding in current.result.findings if current.result is not None else ():
        if finding.positive and finding.label not in judged:
            current = changes.judge(tx, report_id, current.revision, finding.label, Judgement.ACCEPTED)
    if current.draft.open_marks:
        current = changes.decide(tx, report_id, current.revision, every_mark_kept(current))
    return current


def signed_report(records: Records, actor: Actor | None = None, **made: object) -> MadeReport:
    """A report that is signed; keywords as for `made_report`."""
    actor = actor or made_user(records, Role.RADIOLOGIST, name="Ömer Çağrı Ünsal")
    report = made_report(records, **made)  # type: ignore[arg-type]
    with records.write(actor) as tx:
        if made.get("restricted"):
            access.break_glass(tx, report.case_id, "Nöbetçi radyolog, rapor bekleniyor")
        claims.claim_case(tx, report.case_id)
        sign(tx, report.id, actor)
    return report


def counts(tx: Transaction) -> tuple[int, ...]:
    """How many versions and signatures there are."""
    tables = (ReportVersion, SignatureRow)
    return tuple(tx.session.scalar(select(func.count()).select_from(table)) or 0 for table in tables)
