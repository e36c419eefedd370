"""A hospital in the middle of a day: cases at every step, so that every page has something to show."""

from __future__ import annotations

import re
import tempfile
from datetime import UTC, datetime
from functools import cache
from itertools import product
from pathlib import Path

from sqlalchemy import select

import tetkik.service
from tests.phantom import write_phantom
from tests.records import changes
from tests.records.kit import made_case, made_user, take_job
from tests.records.reports_kit import drawn, judged_all, reports_of_case
from tetkik.language import Language
from tetkik.records.cases import cases, complaints, patients
from tetkik.records.cases.patients import Person
from tetkik.records.database import Transaction
from tetkik.records.images import received_decisions, receiving
from tetkik.records.images.receiving import NewFile, ReceivedContent
from tetkik.records.orders.orders import OrderContent, place_order
from tetkik.records.people import invites
from tetkik.records.reports import signing, templates
from tetkik.records.reports.signing import Proof
from tetkik.records.schema import ReceivedStudy
from tetkik.records.worklist import critical_results
from tetkik.rules.editing import DraftEdit
from tetkik.service.kit.background.image_decoder import ImageDecoder
from tetkik.service.kit.context import AppContext
from tetkik.service.kit.http.incoming_files import IncomingFile
from tetkik.service.reception import triaged
from tetkik.service.studies.upload import Upload
from tetkik.settings import settings
from tetkik.statistics import FEWEST
from tetkik.values import (
    SYSTEM,
    CriticalLevel,
    DraftSentence,
    Hospital,
    Identity,
    LinkReason,
    Method,
    Role,
    Section,
    Sex,
)
from tetkik.workflow import patients as patient_comparison
from tetkik.workflow import patients as patient_merge
from tetkik.workflow.image_processing import read_case_image

NO_PAGES = (
    ".pdf",
    ".csv",
    ".json",
    ".js",
    ".png",
    ".webmanifest",
    "/{form}",
    "/worklist/more",
    "/ready",
    "/login/oidc",
    "/oidc/callback",
    "/c/{reference}",
    "/{macro_id}",
    "/tags",
    "/{study_id}",
)
"""Ends of addresses that give a document, part of a page, lead elsewhere, or are one person's alone."""
COMPLAINT = "Üç gündür öksürüyorum, ateşim var, nefes alırken göğsüm batıyor."


@cache
def film(seed: int, signs: tuple[str, ...] = ("Effusion",)) -> bytes:
    """A synthetic chest radiograph as DICOM."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "film.dcm"
        write_phantom(file, seed=seed, signs=signs, rows=512, columns=512)
        return file.read_bytes()


class Rounds:
    """Cases that wait, are to be read, and are signed.

    Args:
        hospital: to fill.
    """

    def __init__(self, app_context: AppContext) -> None:
        self.app_context = app_context
        self.records = app_context.records
        self.desk = made_user(self.records, Role.RECEPTION, name="Ayşe Kaya")
        self.technician = made_user(self.records, Role.TECHNICIAN, name="Can Demir")
        self.radiologist = made_user(self.records, Role.RADIOLOGIST, name="Uzm. Dr. Zeynep Arslan")
        machine = ImageDecoder(self.records)
        self.waiting = self._case("Gülçin ŞAHİN", "10000000146")
        self.to_read = self._case("İbrahim ÇAĞLAR", "10000000078")
        self.signed = self._case("Ömer IŞIK", "")
        self._read(machine, self.to_read, 3)
        self._read(machine, self.signed, 4)
        machine.close()
        with self.records.read() as tx:
            (self.draft,) = reports_of_case(tx, self.to_read)
            (self.report,) = reports_of_case(tx, self.signed)
        self._sign()
        self._register_twice()
        self._say_much()
        with self.records.write(self.radiologist) as tx:
            self.template = templates.add(
                tx, "Normal akciğer", Language.TR, "Bulgular:\nAkciğerler doğaldır."
            ).id
            critical_results.raise_result(tx, self.to_read, CriticalLevel.RED, "Pnömotoraks", notify=False)
        with self.records.write(SYSTEM) as tx:
            self.invite = invites.invite(tx, str(self.technician.user_id))
            self.received = self._doubtful(tx)

    def _case(self, name: str, number: str) -> str:
        answer = triaged(COMPLAINT, self.app_context.settings, Language.TR)
        person = Person(name, number, "", "19700101")
        return made_case(self.records, self.desk, person, complaint=answer, department="Göğüs Hastalıkları")

    def _doubtful(self, tx: Transaction) -> str:
        """A study that another system sent, and that differs from its order."""
        patient_id = cases.load_case(tx, self.waiting, audit=False).patient_id
        ordered = OrderContent("A-1", modality="DX", procedure="PA akciğer grafisi", scheduled_at=tx.now)
        place_order(tx, patient_id, ordered, "hbys")
        said = Identity("10000000146", "SAHIN^GULCIN", "19700110", accession="A-1", study_uid="1.2.3")
        file = NewFile("rounds", "ct1", b"\1" * 32, tx.now)
        receiving.add_file(tx, file, "1.2.3", ReceivedContent(said, modality="DX", made_at=tx.now))
        received_id = tx.session.scalars(select(ReceivedStudy.id)).one()
        return received_decisions.decide(tx, received_id).id

    def _read(self, machine: ImageDecoder, case_id: str, seed: int) -> None:
        upload = Upload(
            self.app_context,
            machine,
            self.technician,
            IncomingFile(film(seed), "film.dcm"),
            case_id,
            sure=True,
        )
        upload.prepare()
        with self.records.write(self.technician) as tx:
            upload.keep(Language.TR, tx)
        with self.records.write(SYSTEM) as tx:
            work = take_job(tx, "rounds")
        assert work is not None
        read_case_image(self.records, settings(), work, machine.pixels)

    def _sign(self) -> None:
        doctor = self.radiologist
        with self.records.write(doctor) as tx:
            current = judged_all(tx, self.report)
            if not current.draft.section(Section.FINDINGS):
                text = DraftEdit((DraftSentence("Bulgu yok.", Section.FINDINGS),))
                current = changes.save(tx, self.report, current.revision, text)
            revision = current.revision
        proof = Proof(str(doctor.user_id), Method.PASSWORD, datetime.now(UTC))
        with self.records.write(doctor) as tx:
            signing.sign(
                tx, self.report, revision, proof, Hospital("Örnek Hastanesi", "Radyoloji", ""), drawn
            )

    def _say_much(self) -> None:
        """As many complaints as a verdict on drift needs, in the counts alone."""
        answer = triaged(COMPLAINT, self.app_context.settings, Language.TR)
        self.triage_model = answer.bundle_sha256
        with self.records.write(SYSTEM) as tx:
            for _ in range(FEWEST):
                complaints.count_complaint(tx, answer.bundle_sha256, answer.result, answer.measured)

    def _register_twice(self) -> None:
        """Two records more of the first patient: one is joined with hers, one only looks alike."""
        with self.records.write(self.desk) as tx:
            self.patient = cases.load_case(tx, self.waiting).patient_id
            unknown = patients.create(tx, Person("Bilinmeyen 17", number="B-17"))
            self.double = patients.create(tx, Person("Gulcin SAHIN", number="H-9", sex=Sex.FEMALE))
            seen = patient_comparison.compare_patients(tx, unknown, self.patient).seen
            patient_merge.link(tx, unknown, self.patient, LinkReason.IDENTIFIED, seen)

    def addresses(self, path: str) -> list[str]:
        """What the address of a route becomes: one for each thing that it may name.

        Raises:
            KeyError: a parameter that nobody has thought of; add it here.
        """
        if path.endswith(NO_PAGES):
            return []
        if path == "/engineer/drift":
            return [path, f"{path}?bundle={self.triage_model}"]
        if path.startswith("/read/{case_id}/{report_id}"):
            return [path.format(case_id=self.to_read, report_id=self.draft)]
        if path.startswith("/cases/{case_id}/move"):  # to whom a case goes; one that is signed stays
            return [path.format(case_id=self.to_read, patient_id=self.patient)]
        values = {
            "case_id": (self.waiting, self.to_read, self.signed),
            "report_id": (self.report,),
            "number": ("1",),
            "model_id": ("findings-mobilenet-cxr",),
            "user_id": (str(self.technician.user_id),),
            "template_id": (self.template,),
            "received_id": (self.received,),
            "patient_id": (self.patient,),
            "other_id": (self.double,),
            "token": (self.invite,),
        }
        names = re.findall(r"\{(\w+)\}", path)
        chosen = product(*(values[name] for name in names))
        return [path.format(**dict(zip(names, one, strict=True))) for one in chosen]

    @staticmethod
    def static(address: str) -> str:
        """The text of a file under `/static/`."""
        folder = Path(tetkik.service.__file__).parent
        return (folder / address.lstrip("/")).read_text("utf-8")
