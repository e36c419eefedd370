"""A case that was opened for the wrong patient, and its way to the right one."""

from __future__ import annotations

from dataclasses import replace

from tests.documents import sample
from tests.records.desk import made_triaged
from tests.records.kit import made_case
from tests.records.pictured import put, result
from tests.records.reports_kit import write_draft
from tetkik.records.cases import patients
from tetkik.records.cases.patients import Person
from tetkik.records.database import Records
from tetkik.records.images import images, jobs, runs
from tetkik.records.images.images import DerivedImageKind
from tetkik.records.schema import Case
from tetkik.values import (
    Actor,
    MoveReason,
    Priority,
    Sex,
)
from tetkik.workflow import case_transfer
from tetkik.workflow.case_transfer import CompletedTransfer

ALI = Person("Ali VELİ", "10000000078", "H-7", "19900101", Sex.MALE)
GULCIN = Person("Gülçin ŞAHİN", "10000000146", "H-1", "19700101", Sex.FEMALE)
QUESTION = "Pnömotoraks var mı?"


def patient_of(records: Records, case_id: str) -> str:
    with records.read() as tx:
        return tx.session.get_one(Case, case_id).patient_id


def made_patient(records: Records, actor: Actor, person: Person = GULCIN) -> str:
    with records.write(actor) as tx:
        return patients.create(tx, person)


def moved(
    records: Records,
    actor: Actor,
    case_id: str,
    patient_id: str,
    reason: MoveReason = MoveReason.CHOSEN_WRONGLY,
    *,
    sure: bool = True,
) -> CompletedTransfer:
    with records.read(actor) as tx:
        case_transfer.prepare_images(tx, case_id, patient_id)
    with records.write(actor) as tx:
        seen = case_transfer.preview_transfer(tx, case_id, patient_id).seen
    with records.write(actor) as tx:
        done = case_transfer.transfer_case(tx, case_id, patient_id, reason, seen, sure=sure)
    case_transfer.remove_leftover_files(records, done)
    return done


def opened(records: Records, actor: Actor, person: Person = ALI, films: int = 2) -> str:
    """A case with everything that the desk and the technician give, read by a model."""
    said = {"complaint": made_triaged(), "department": "Üroloji", "question": QUESTION}
    case_id = made_case(records, actor, person, **said)
    for seed in range(1, films + 1):
        image = put(records, actor, case_id, seed).image
        with records.write(actor) as tx:
            shown = images.store_derived_image(tx, image, sample.picture(shade=seed))
            images.replace_derived_images(tx, image, DerivedImageKind.PREVIEW, {"": shown})
            heat = images.store_derived_image(tx, image, sample.picture(shade=100 + seed))
            images.replace_derived_images(tx, image, DerivedImageKind.HEAT, {"Effusion": heat})
            found = result(flaws=(), sha256=f"{seed:064d}")
            run = runs.add_run(tx, image, runs.ModelAnswer("m 1.0", "0" * 64, tx.now, found))
            document = replace(sample.document(), result=found)
            write_draft(tx, image.id, run, document)
            jobs.add_job(tx, jobs.JobKind.READ_IMAGE, image, Priority.ROUTINE)
    return case_id
