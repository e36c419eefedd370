"""The reading room with invented patients, `tetkik serve --demo`: its folder, its people, its pages."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import update

from tetkik.errors import NotFound, NotSignedIn, UsageError
from tetkik.files import written_whole
from tetkik.findings.demonstration import demonstration_model
from tetkik.language import Language
from tetkik.records import audit_chain
from tetkik.records.cases import cases as admission
from tetkik.records.cases.cases import Admission, load_case
from tetkik.records.database import DATABASE, Records, Transaction
from tetkik.records.demonstration import is_demonstration
from tetkik.records.people import users
from tetkik.records.people.users import Peer, Profile, build_actor, user_row
from tetkik.records.reports import drafts, signing, withdrawal
from tetkik.records.reports.signing import PictureOf, Proof
from tetkik.records.schema import Job
from tetkik.records.worklist import assignments
from tetkik.records.worklist.case_contents import load_contents
from tetkik.rules.editing import DraftEdit, save
from tetkik.rules.judging import judge, read_labels
from tetkik.service.demonstration_cases import CASES, DemoCase, End, files_of
from tetkik.service.kit.access.authentication import identify, limit_sign_ins, start_session_and_redirect
from tetkik.service.kit.access.authorization import RequestContext, allowed, public
from tetkik.service.kit.background.image_decoder import ImageDecoder
from tetkik.service.kit.context import AppContext, ContextDep, Demonstration
from tetkik.service.kit.http.incoming_files import IncomingFile
from tetkik.service.kit.http.responses import safe_path
from tetkik.service.kit.rendering.templates import render
from tetkik.service.reception import triaged
from tetkik.service.studies.upload import Upload
from tetkik.settings import Settings
from tetkik.values.access import EVERY_DEPARTMENT, SYSTEM, Actor, Method, Permission, Role
from tetkik.values.document import DEMONSTRATION, WithdrawalReason
from tetkik.values.report import DraftSentence, Section
from tetkik.values.states import JobState, Judgement
from tetkik.workflow.reports import hospital_of

MARKER, MODEL, CONTACTS = "demonstration.json", "model", "contacts.toml"
_WARD = '[[contact]]\nname = "Servis (gösteri telefonu)"\nchannel = "screen"\n'
"""Who is told of a critical result in a demonstration: the clinician, above their reports."""
_KEPT = ("language", "report_language", "models_dir", "threads", "allow_root", "listen_port", "offline")
"""Settings of this machine; every other one of a demonstration is the default, so that nothing of a hospital
(its database, its keys, its language model, its identity provider) is touched.
"""


@dataclass
class DemonstrationProgress:
    """What is filled already: steps by name, and the cases that they opened, by the key of the case."""

    file: Path
    began: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    """When the filling began, ISO 8601: what happened before is counted from here."""
    done: list[str] = field(default_factory=list)
    cases: dict[str, str] = field(default_factory=dict)
    full: bool = False

    @classmethod
    def load(cls, folder: Path) -> DemonstrationProgress:
        known = json.loads((folder / MARKER).read_text("utf-8"))
        return cls(folder / MARKER, known["began"], known["done"], known["cases"], known["full"])

    def keep(self) -> None:
        kept = {"began": self.began, "done": self.done, "cases": self.cases, "full": self.full}
        with written_whole(self.file) as file:
            file.write(json.dumps(kept).encode())


def prepare_folder(folder: Path, configured: Path, *, reset: bool) -> None:
    """Make the folder, or take the one that is there; with `reset` it is emptied first.

    `UsageError` where it is the hospital's own (`configured`), or holds anything but a demonstration.
    """
    folder = folder.absolute()
    if folder.resolve() == configured.absolute().resolve():
        raise UsageError(
            "{folder} is the data_dir of the settings, and a demonstration never goes there; name another "
            "folder with --folder.",
            folder=folder,
        )
    if folder.exists() and not _is_demonstration(folder):
        if not folder.is_dir() or any(folder.iterdir()):
            raise UsageError(
                "{folder} holds something else than a demonstration, and is left as it is; name an empty "
                "folder with --folder.",
                folder=folder,
            )
    elif reset and folder.exists():
        _empty(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (folder / MARKER).exists():
        DemonstrationProgress(folder / MARKER).keep()
    (folder / CONTACTS).write_text(_WARD, "utf-8")
    demonstration_model(folder / MODEL)


def _is_demonstration(folder: Path) -> bool:
    """Whether a folder has the marker, and no other database beside it."""
    try:
        DemonstrationProgress.load(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    database = folder / DATABASE
    return not database.exists() or is_demonstration(f"sqlite:///{database}")


def _empty(folder: Path) -> None:
    """Take away what a demonstration keeps; whatever else somebody put there stays. The marker goes last."""
    for name in (
        f"{DATABASE}-wal",
        f"{DATABASE}-shm",
        DATABASE,
        "erased.jsonl",
        audit_chain.FILE,
        CONTACTS,
    ):
        (folder / name).unlink(missing_ok=True)
    for name in ("files", "tmp", "keys", MODEL):
        if (folder / name).exists():
            shutil.rmtree(folder / name)
    DemonstrationProgress(folder / MARKER).keep()


def demonstration_settings(chosen: Settings, folder: Path, host: str | None) -> Settings:
    """The settings of a demonstration: it listens to this machine alone, unless `host` says otherwise."""
    defaults: dict[str, Any] = {
        name: one.get_default(call_default_factory=True)
        for name, one in Settings.model_fields.items()
        if name not in _KEPT
    }
    own = {
        "data_dir": folder.absolute(),
        "critical_contacts": folder.absolute() / CONTACTS,
        "listen_host": host or "127.0.0.1",
        "hospital_name": DEMONSTRATION,
        "hospital_department": "Gösteri: hastalar kurgusaldır. Demonstration: the patients are invented.",
        "lock_minutes": 240,
        "session_idle_minutes": 720,
        "sign_ins_per_minute": 120,
    }
    return chosen.model_copy(update=defaults | own)


STAFF = Demonstration(
    password="gösteri parolası yeter",  # noqa: S106 - it is shown on every page
    people={
        Role.RECEPTION.value: "Deneme Danışman",
        Role.TECHNICIAN.value: "Deneme Tekniker",
        Role.RADIOLOGIST.value: "Deneme Radyolog",
        Role.CLINICIAN.value: "Deneme Klinisyen",
        Role.HEAD.value: "Deneme Sorumlu",
        Role.ENGINEER.value: "Deneme Mühendis",
        Role.AUDITOR.value: "Deneme Denetçi",
        Role.ADMINISTRATOR.value: "Deneme Yönetici",
    },
)
"""By login, which is the name of the role."""


def add_people(records: Records) -> None:
    """Open the accounts that are not there yet."""
    with records.write(SYSTEM) as tx:
        known = {member.login for member in users.list_users(tx)}
        for login, name in STAFF.people.items():
            if login in known:
                continue
            title = "Uzm. Dr." if login == Role.RADIOLOGIST else ""
            departments = (EVERY_DEPARTMENT,) if login == Role.CLINICIAN else ()
            profile = Profile(name, frozenset({Role(login)}), title=title, departments=departments)
            users.create(tx, login, profile, password=STAFF.password)
        if not assignments.list_pools(tx):
            readers = [one.id for one in assignments.list_readers(tx)]
            assignments.save_pool(tx, None, "Toraks", readers)


def person(tx: Transaction, login: str, peer: Peer) -> Actor:
    """A person of the demonstration, as whoever has given their password."""
    return build_actor(user_row(tx, users.find_user(tx, login).id), Method.PASSWORD, peer)


def at_work(records: Records, role: Role) -> Actor:
    """Who does what the demonstration is filled with."""
    with records.read() as tx:
        return person(tx, role.value, Peer())


router = APIRouter()
_FIRST = "pneumonia"
"""The case that the tour reads."""


@router.get("/login", dependencies=[public()])
@router.get("/demo", dependencies=[public()])
def people_page(request: Request, context: ContextDep, next: str = "/") -> Response:  # noqa: A002
    """The people with their roles, instead of a sign-in page."""
    with suppress(NotSignedIn):  # then the page is that of nobody
        identify(request)
    progress = _progress(context)
    opened = sum(case.key in progress.cases for case in CASES)
    back = safe_path(next)
    return render(request, "demonstration/people.html.jinja", back=back, opened=opened, all=len(CASES))


@router.post("/demo/become", dependencies=[public()])
def become(
    request: Request,
    context: ContextDep,
    login: Annotated[str, Form(max_length=40)],
    back: Annotated[str, Form(alias="next", max_length=2000)] = "/",
) -> Response:
    """Sign in as one of the people, without a password."""
    peer = limit_sign_ins(request)
    assert context.demonstration is not None
    if login not in context.demonstration.people:
        raise NotFound("There is no such person in the demonstration; choose one of the list.")
    with context.records.read() as tx:
        actor = person(tx, login, peer)
    # Ended, the former session would have its open page load again instead of leaving it.
    return start_session_and_redirect(request, context, actor, back, replace=False)


@router.get("/demo/read")
def read_first(ctx: Annotated[RequestContext, allowed(Permission.WORKLIST)]) -> Response:
    """The case that the tour reads; the worklist until it is there."""
    case_id = _progress(ctx.app).cases.get(_FIRST)
    return RedirectResponse(f"/read/{case_id}" if case_id else "/worklist", 303)


def _progress(context: AppContext) -> DemonstrationProgress:
    return DemonstrationProgress.load(context.settings.data_dir)


_STEP = 0.1
"""Seconds between two looks whether the models have read what was uploaded."""
_WORKING = (JobState.QUEUED, JobState.RUNNING)
_log = structlog.get_logger()


class Filler:
    """The thread that fills; `cases` are all of them unless a test wants fewer."""

    def __init__(
        self, context: AppContext, decoder: ImageDecoder, cases: tuple[DemoCase, ...] = CASES
    ) -> None:
        self._context = context
        self._records = context.records
        self._decoder = decoder
        self._cases = cases
        self._progress = DemonstrationProgress.load(context.settings.data_dir)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demonstration", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Ends after the step that is under way; the next start goes on."""
        self._stopped.set()

    def stop(self) -> None:
        """The same, and wait for that."""
        self.end()
        self._thread.join()

    def _run(self) -> None:
        try:
            for case in () if self._progress.full else self._cases:
                self._fill(case)
            self._progress.full = not self._stopped.is_set()
            self._progress.keep()
        except Exception as fault:
            _log.error("demonstration not filled", kind=type(fault).__name__)

    def _fill(self, case: DemoCase) -> None:
        opened = datetime.fromisoformat(self._progress.began) - case.ago
        self._step(f"{case.key}/open", lambda: self._open(case, opened))
        taken = opened + min(timedelta(minutes=15), case.ago / 2)
        self._step(f"{case.key}/images", lambda: self._upload(case, taken))
        if case.end is End.OPEN:
            return
        self._wait(case)
        signed = taken + timedelta(hours=2)
        self._step(f"{case.key}/signed", lambda: self._sign(case, signed))
        if case.end is End.AMENDED:
            self._step(f"{case.key}/amended", lambda: self._amend(case, signed + timedelta(hours=20)))
        if case.end is End.WITHDRAWN:
            self._step(f"{case.key}/withdrawn", lambda: self._withdraw(case, signed + timedelta(days=1)))

    def _step(self, name: str, do: Callable[[], None]) -> None:
        if self._stopped.is_set() or name in self._progress.done:
            return
        do()
        self._progress.done.append(name)
        self._progress.keep()

    def _open(self, case: DemoCase, at: datetime) -> None:
        settings = self._context.settings
        complaint = triaged(case.complaint, settings, Language.TR) if case.complaint else None
        ranked = complaint.result.departments if complaint is not None else ()
        earlier = [one.key for one in self._cases if one.patient == case.patient]
        known = next((self._progress.cases[key] for key in earlier if key in self._progress.cases), None)
        with self._records.write(at_work(self._records, Role.RECEPTION)) as tx:
            tx.now = at
            patient_id = load_case(tx, known, audit=False).patient_id if known is not None else None
            wanted = Admission(
                patient_id=patient_id,
                person=None if patient_id else case.person,
                complaint=complaint,
                department=ranked[0].name if ranked else None,
                question=case.question,
            )
            self._progress.cases[case.key] = admission.admit(tx, wanted)

    def _upload(self, case: DemoCase, at: datetime) -> None:
        actor = at_work(self._records, Role.TECHNICIAN)
        for name, content in files_of(case, at.astimezone()):
            case_id = self._progress.cases[case.key]
            upload = Upload(self._context, self._decoder, actor, IncomingFile(content, name), case_id)
            upload.prepare()
            with self._records.write(actor) as tx:
                tx.now = at
                upload.keep(Language.TR, tx)
                # What is drawn is read at points of its own; what a visitor uploads, as in a hospital.
                tx.session.flush()
                waiting = update(Job).where(Job.case_id == case_id, Job.state == JobState.QUEUED)
                tx.session.execute(waiting.values(model=str(self._context.settings.data_dir / MODEL)))
            self._decoder.work_available.set()

    def _wait(self, case: DemoCase) -> None:
        """Wait until the models have read what was uploaded to a case."""
        while not self._stopped.wait(_STEP):
            with self._records.read() as tx:
                studies = load_contents(tx, self._progress.cases[case.key]).studies
            if not any(study.state in _WORKING for study in studies):
                return

    def _radiologist(self) -> Actor:
        return at_work(self._records, Role.RADIOLOGIST)

    def _report(self, tx: Transaction, case: DemoCase) -> str:
        return load_contents(tx, self._progress.cases[case.key]).reports[0].id

    def _sign(self, case: DemoCase, at: datetime) -> None:
        self._write_and_sign(case, at, case.impression)

    def _write_and_sign(self, case: DemoCase, at: datetime, impression: str) -> None:
        with self._records.read() as tx:
            report_id = self._report(tx, case)
            foreseen = signing.foresee(tx, report_id)
        picture = foreseen.drawn(self._decoder.report_picture)
        with self._records.write(self._radiologist()) as tx:
            tx.now = at
            self._sign_text(tx, report_id, case.findings, impression, picture)

    def _sign_text(
        self, tx: Transaction, report_id: str, findings: str, impression: str, picture: PictureOf
    ) -> None:
        parts = ((Section.FINDINGS, findings), (Section.IMPRESSION, impression))
        text = DraftEdit(tuple(DraftSentence(text, section, ()) for section, text in parts))
        revision = drafts.draft_of(tx, report_id).revision
        draft = drafts.change(tx, report_id, revision, partial(save, text))
        if labels := [item.label for item in draft.blockers if item.label is not None]:
            stated = read_labels(f"{findings} {impression}", Language.TR)
            for label in labels:
                judgement = Judgement.ACCEPTED if label in stated else Judgement.REJECTED
                draft = drafts.judge(tx, report_id, draft.revision, partial(judge, [label], judgement))
        hospital = hospital_of(self._context.settings)
        signing.sign(tx, report_id, draft.revision, _proof(tx), hospital, picture)

    def _amend(self, case: DemoCase, at: datetime) -> None:
        with self._records.write(self._radiologist()) as tx:
            tx.now = at
            why = "Klinisyenle görüşüldü, takip önerisi eklendi."
            signing.begin_amendment(tx, self._report(tx, case), why)
        advice = f"{case.impression} Klinik şüphe sürerse toraks BT ile takip önerilir."
        self._write_and_sign(case, at, advice)

    def _withdraw(self, case: DemoCase, at: datetime) -> None:
        with self._records.write(self._radiologist()) as tx:
            tx.now = at
            why = WithdrawalReason.WRONG_TEXT
            withdrawal.withdraw(
                tx, self._report(tx, case), 1, why, "Yanlış hastanın metni yazılmış.", _proof(tx)
            )


def _proof(tx: Transaction) -> Proof:
    assert tx.actor.user_id is not None
    return Proof(tx.actor.user_id, Method.PASSWORD, tx.now)
