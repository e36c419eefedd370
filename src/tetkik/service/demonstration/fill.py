"""Fills a demonstration in the background, by the same functions as the pages: people do it, models read.

The first case is there within seconds. What was filled is noted step by step, so that a start after Ctrl-C
goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import structlog

from tetkik.language import Language
from tetkik.records.cases import admission
from tetkik.records.cases.admission import Admission
from tetkik.records.cases.cases import load_case
from tetkik.records.database import Transaction
from tetkik.records.reports import drafts, signing, withdrawal
from tetkik.records.reports.editing import DraftEdit
from tetkik.records.reports.judging import read_labels
from tetkik.records.reports.signing import Proof
from tetkik.records.reports.slow_work import written
from tetkik.records.worklist.case_contents import load_contents
from tetkik.service.demonstration import people
from tetkik.service.demonstration.cases import CASES, DemoCase, End, files_of
from tetkik.service.demonstration.folder import Progress
from tetkik.service.kit.background.image_decoder import ImageDecoder
from tetkik.service.kit.context import AppContext
from tetkik.service.kit.http.incoming_files import IncomingFile
from tetkik.service.reception.triage import triaged
from tetkik.service.studies.upload import Upload
from tetkik.values import (
    Actor,
    DraftSentence,
    JobState,
    Judgement,
    Method,
    Role,
    Section,
    WithdrawalReason,
)
from tetkik.workflow.reports import hospital_of

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
        self._progress = Progress.load(context.settings.data_dir)
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
        with self._records.write(people.at_work(self._records, Role.RECEPTION)) as tx:
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
        actor = people.at_work(self._records, Role.TECHNICIAN)
        for name, content in files_of(case, at.astimezone()):
            case_id = self._progress.cases[case.key]
            upload = Upload(self._context, self._decoder, actor, IncomingFile(content, name), case_id)
            upload.prepare()
            with self._records.write(actor) as tx:
                tx.now = at
                upload.keep(Language.TR, tx)
            self._decoder.work_available.set()

    def _wait(self, case: DemoCase) -> None:
        """Wait until the models have read what was uploaded to a case."""
        while not self._stopped.wait(_STEP):
            with self._records.read() as tx:
                studies = load_contents(tx, self._progress.cases[case.key]).studies
            if not any(study.state in _WORKING for study in studies):
                return

    def _radiologist(self) -> Actor:
        return people.at_work(self._records, Role.RADIOLOGIST)

    def _report(self, tx: Transaction, case: DemoCase) -> str:
        return load_contents(tx, self._progress.cases[case.key]).reports[0].id

    def _sign(self, case: DemoCase, at: datetime) -> None:
        def work(tx: Transaction) -> None:
            tx.now = at
            self._write_and_sign(tx, self._report(tx, case), case.findings, case.impression)

        written(partial(self._records.write, self._radiologist()), work)

    def _write_and_sign(self, tx: Transaction, report_id: str, findings: str, impression: str) -> None:
        parts = ((Section.FINDINGS, findings), (Section.IMPRESSION, impression))
        texts = tuple(DraftSentence(text, section, ()) for section, text in parts)
        draft = drafts.save(tx, report_id, drafts.draft_of(tx, report_id).revision, DraftEdit(texts))
        if labels := [item.label for item in draft.blockers if item.label is not None]:
            stated = read_labels(f"{findings} {impression}", Language.TR)
            for label in labels:
                judgement = Judgement.ACCEPTED if label in stated else Judgement.REJECTED
                draft = drafts.judge(tx, report_id, draft.revision, label, judgement)
        hospital = hospital_of(self._context.settings)
        signing.sign(tx, report_id, draft.revision, _proof(tx), hospital, self._decoder.report_picture)

    def _amend(self, case: DemoCase, at: datetime) -> None:
        def work(tx: Transaction) -> None:
            tx.now = at
            report_id = self._report(tx, case)
            signing.begin_amendment(tx, report_id, "Klinisyenle görüşüldü, takip önerisi eklendi.")
            advice = f"{case.impression} Klinik şüphe sürerse toraks BT ile takip önerilir."
            self._write_and_sign(tx, report_id, case.findings, advice)

        written(partial(self._records.write, self._radiologist()), work)

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
