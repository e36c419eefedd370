"""Everything that is known of one patient, exported for that patient: readable, and for other systems.

A zip with `patient.json` (everything in words and figures), `fhir.json` (one FHIR R4B Bundle), `reports/`
(the signed reports as PDF, as they were signed), `images/` (the files as they came, with their presentation
states), and `access.json` (who opened what, and when). Names of files say nothing of the patient. Images that
were removed are marked so; one that was taken out as another patient's is named, and its file left out.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import IO, Any

from sqlalchemy import select

from tetkik.documents.fhir import to_fhir
from tetkik.documents.pdf import to_pdf
from tetkik.language import Language, Sentence
from tetkik.records.audit_chain import Action
from tetkik.records.cases import patients
from tetkik.records.database import Records, Transaction
from tetkik.records.images import images, presentation_states
from tetkik.records.images.images import StoredImage
from tetkik.records.orders.orders import StoredOrder, orders_of
from tetkik.records.reports import deliveries, drafts, versions
from tetkik.records.reports.identity import said_name
from tetkik.records.reports.versions import SignedVersion
from tetkik.records.schema import Case, Complaint, Encounter, Image, Report, ReportVersion, Run, Score, User
from tetkik.records.trail.audit_events import AuditFilter, iterate_events
from tetkik.records.worklist import critical_results
from tetkik.values import SYSTEM, Actor, CaseState, Draft, Measurement, RemovalReason, Withdrawal

_README = (
    Sentence("Everything that this hospital holds of you, as you asked for it."),
    Sentence("patient.json: who you are to this hospital, your complaints, images, scores and reports."),
    Sentence("fhir.json: your signed reports for another hospital's system (FHIR R4B)."),
    Sentence("reports/: your signed reports as PDF. images/: your images as they came."),
    Sentence("access.json: who opened your data, and when."),
)


_SCORE = ("label", "score", "probability", "threshold", "positive", "asserted")


def export_patient(
    records: Records,
    patient_id: str,
    target: IO[bytes],
    *,
    actor: Actor = SYSTEM,
    language: Language = Language.TR,
) -> int:
    """Write the zip; gives how many files it holds. The export is an entry of the audit trail."""
    # As the program itself: a restricted case belongs to the patient as much as any other.
    with records.read() as tx, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        held = patients.records_of(tx, patient_id)
        told_of = [{"id": one, **asdict(patients.load_registered_person(tx, one))} for one in held]
        bundles: list[dict[str, Any]] = []
        content = {
            "patient": told_of[0],
            "also_registered_as": told_of[1:],
            "orders": [_order(one) for one in orders_of(tx, held)],
            "encounters": list(_encounters(tx, held)),
            "cases": [_case(tx, archive, row, bundles) for row in _cases(tx, held)],
        }
        _put(archive, "README.txt", "\n".join(line.in_language(language) for line in _README) + "\n")
        _put(archive, "patient.json", _json(content))
        entries = [entry for bundle in bundles for entry in bundle["entry"]]
        bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
        _put(archive, "fhir.json", _json(bundle))
        _put(archive, "access.json", _json(list(_access(tx, held))))
        count = len(archive.namelist())
    with records.write(actor) as tx:
        for one in held:
            tx.audit(Action.PATIENT_EXPORTED, patient_id=one, files=count)
            signed = select(ReportVersion.report_id, ReportVersion.number).where(
                ReportVersion.patient_id == one
            )
            for report_id, number in tx.session.execute(signed).all():
                deliveries.record_delivery(tx, report_id, number, "export")
    return count


def _cases(tx: Transaction, patient_ids: Sequence[str]) -> list[Case]:
    return list(tx.session.scalars(select(Case).where(Case.patient_id.in_(patient_ids)).order_by(Case.id)))


def _order(order: StoredOrder) -> dict[str, Any]:
    stated = {
        name: value for name, value in asdict(order.content).items() if value and name != "scheduled_at"
    }
    return stated | {"scheduled": order.scheduled_at.isoformat(), "state": order.state.value}


def _encounters(tx: Transaction, patient_ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    wanted = select(Encounter).where(Encounter.patient_id.in_(patient_ids)).order_by(Encounter.id)
    for row in tx.session.scalars(wanted):
        moments = {"opened": row.opened_at, "closed": row.closed_at}
        stated = {key: at.isoformat() for key, at in moments.items() if at is not None}
        yield {"department": row.department} | stated


def _case(
    tx: Transaction, archive: zipfile.ZipFile, row: Case, bundles: list[dict[str, Any]]
) -> dict[str, Any]:
    # One that was opened by mistake for this patient says no more than that.
    department = row.department if row.state is not CaseState.MOVED else None
    return {
        "number": row.number,
        "opened": row.created_at.isoformat(),
        "state": row.state.value,
        "department": department,
        "urgency": row.urgency.value if row.urgency else None,
        "question": tx.open_text(row, "question") or None,
        "complaints": list(_complaints(tx, row.id)),
        "images": [
            _image(tx, archive, row, image)
            for removed in (False, True)
            for image in images.list_images(tx, row.id, removed=removed)
        ],
        "critical_results": [
            {
                "at": item.created_at.isoformat(),
                "level": item.level.value,
                "found": item.words,
                "known_since": item.acknowledged_at.isoformat() if item.acknowledged_at else None,
                "known_by": item.told_to or item.acknowledged_by or None,
            }
            for item in critical_results.results_of_case(tx, row.id)
        ],
        "reports": [_report(tx, archive, report_id, bundles) for report_id in _reports(tx, row.id)],
    }


def _complaints(tx: Transaction, case_id: str) -> Iterator[dict[str, Any]]:
    rows = tx.session.scalars(select(Complaint).where(Complaint.case_id == case_id).order_by(Complaint.id))
    for row in rows:
        if row.text is None or row.answer is None:
            continue
        yield {
            "at": row.created_at.isoformat(),
            "text": tx.open_text(row, "text"),
            "answer": json.loads(tx.open_text(row, "answer")),
            "model": row.bundle,
            "department_chosen": row.department_chosen,
            "urgency_chosen": row.urgency_chosen,
            "urgency_reason": row.urgency_reason,
        }


def _reports(tx: Transaction, case_id: str) -> list[str]:
    """Signed ones and drafts; one that was emptied says nothing."""
    there = select(Report.id).where(
        Report.case_id == case_id, (Report.version > 0) | Report.draft.is_not(None)
    )
    return list(tx.session.scalars(there.order_by(Report.id)))


def _image(tx: Transaction, archive: zipfile.ZipFile, case: Case, image: StoredImage) -> dict[str, Any]:
    removed = _removed(tx, image)
    if image.removal_reason is RemovalReason.WRONG_PATIENT:
        return {"file": None, "came": image.created_at.isoformat(), "removed": removed}
    ending = "dcm" if image.file_format == "dicom" else image.file_format
    name = f"images/{case.number}-{image.id[-6:]}.{ending}"
    # Pixels are packed already, or do not pack.
    with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as file:
        for piece in images.read_chunks(tx, image):
            file.write(piece)
    described = images.load_metadata(tx, image)
    states = []
    for number, content in enumerate(presentation_states.states_of_image(tx, image), 1):
        states.append(f"images/{case.number}-{image.id[-6:]}-state-{number}.dcm")
        _put(archive, states[-1], content)
    return {
        "file": name,
        "removed": removed,
        "presentation_states": states,
        "came": image.created_at.isoformat(),
        "rows": image.rows,
        "columns": image.columns,
        "millimetres": image.spacing,
        "said_by_the_file": {key: value for key, value in asdict(described.identity).items() if value},
        "runs": list(_runs(tx, image.id)),
    }


def _removed(tx: Transaction, image: StoredImage) -> dict[str, Any] | None:
    """Who took an image out of its case, when and why; None of one that counts."""
    if image.removed_at is None:
        return None
    row = tx.session.get_one(Image, image.id)
    user = tx.session.get(User, row.removed_by) if row.removed_by is not None else None
    return {
        "at": image.removed_at.isoformat(),
        "by": said_name(user.title, user.name) if user is not None else "Tetkik",
        "why": image.removal_reason.value if image.removal_reason else None,
    }


def _runs(tx: Transaction, image_id: str) -> Iterator[dict[str, Any]]:
    for run in tx.session.scalars(select(Run).where(Run.image_id == image_id).order_by(Run.id)):
        scores = tx.session.scalars(select(Score).where(Score.run_id == run.id).order_by(Score.label))
        yield {
            "at": run.finished_at.isoformat(),
            "model": run.bundle,
            "state": run.state.value,
            "scores": [{column: getattr(item, column) for column in _SCORE} for item in scores],
        }


def _report(
    tx: Transaction, archive: zipfile.ZipFile, report_id: str, bundles: list[dict[str, Any]]
) -> dict[str, Any]:
    infos = versions.versions_of(tx, report_id)
    if not infos:
        draft = drafts.draft_of(tx, report_id)
        measured = _measured(draft.measurements)
        return {"signed": False, "draft": _words(draft.draft), "measurements": measured}
    signed_versions: list[dict[str, Any]] = []
    for info in infos:
        version = versions.version_of(tx, report_id, info.number)
        name = f"reports/{version.report_number}-v{info.number}.pdf"
        _put(archive, name, to_pdf(version.document))
        bundles.append(json.loads(to_fhir(version.document)))
        signed_versions.append(_version(version, name))
    standing = infos[-1].withdrawn is None
    return {"signed": standing, "versions": signed_versions} | ({} if standing else {"withdrawn": True})


def _version(version: SignedVersion, name: str) -> dict[str, Any]:
    return {
        "file": name,
        "number": version.info.number,
        "signed": version.info.signed_at.isoformat(),
        "signed_by": version.info.signed_by,
        "verification": version.info.verification,
        "reason": version.reason,
        "withdrawn": _withdrawn(version.document.withdrawal),
        "text": _words(version.document.draft),
        "measurements": _measured(version.document.measurements),
    }


def _withdrawn(withdrawal: Withdrawal | None) -> dict[str, str] | None:
    """Who took a version back, when and why; its documents say so, too."""
    if withdrawal is None:
        return None
    return {
        "at": withdrawal.signature.signed_at.isoformat(),
        "by": said_name(withdrawal.signature.title, withdrawal.signature.name),
        "why": withdrawal.why.value,
        "words": withdrawal.words,
    }


def _measured(measurements: Sequence[Measurement]) -> list[dict[str, Any]]:
    return [
        {
            "label": item.label,
            "kind": item.kind.value,
            "value": item.rounded,
            "unit": item.unit.value,
            "figures": {one.kind.value: [one.rounded, one.unit.value] for one in item.figures},
        }
        for item in measurements
    ]


def _words(draft: Draft) -> list[dict[str, str]]:
    return [{"section": sentence.section.value, "text": sentence.text} for sentence in draft.sentences]


def _access(tx: Transaction, patient_ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Every entry about the patient or one of their cases, with the name of whoever it was."""
    titles = {row.id: row.title for row in tx.session.execute(select(User.id, User.title))}
    wanted = [AuditFilter(patient_id=one) for one in patient_ids]
    wanted += [AuditFilter(case=case.id) for case in _cases(tx, patient_ids)]
    events = {event.seq: event for one in wanted for event in iterate_events(tx, one)}
    for _, event in sorted(events.items()):
        title = titles.get(event.user_id or "", "")
        yield {
            "at": event.at.isoformat(),
            "what": event.action,
            "who": said_name(title, event.user or "") or "Tetkik",
            "roles": event.roles,
            "case": event.case,
        }


def _put(archive: zipfile.ZipFile, name: str, content: str | bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
