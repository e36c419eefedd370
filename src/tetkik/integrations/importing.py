"""From the spool into cases: what came by DICOM is grouped by study, and goes where its order says.

Every step is a transaction of its own and is found again after a crash: a file is removed from the spool when
its image is in a case, or counted to a study that waits, and never before. One process does it
(`integrations.listening`): one thread counts and decides, others import (`integrations.study_imports`), so
that neither waits for the other when much comes. The models then read what is there (`fleet.worker`).
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Set
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.exc import DataError, SQLAlchemyError

from tetkik.errors import Conflict, InputError, NotFound, RecordsError, UsageError
from tetkik.imaging.subprocess_worker import ReaderPool
from tetkik.integrations.dicom import query
from tetkik.integrations.dicom.priors import Archives
from tetkik.integrations.dicom.spool import (
    Header,
    HeaderReader,
    HeaderRequest,
    ReceivedFile,
    Spool,
    instance_digest,
)
from tetkik.integrations.dicom.worklist import take_worklist
from tetkik.integrations.listening import Work, open_spool
from tetkik.integrations.systems import Configuration, DicomListener, HospitalSystem, Service
from tetkik.language import Sentence
from tetkik.records.cases.identity_comparison import compare_with_patient
from tetkik.records.database import Records, open_records
from tetkik.records.images import received_decisions, receiving
from tetkik.records.images.receiving import NewFile, ReceivedContent, ReceivedView, WaitingFile
from tetkik.settings import Settings, cores
from tetkik.values.access import SYSTEM
from tetkik.values.radiograph import Identity
from tetkik.values.states import ReceivedFileState, ReceivedState
from tetkik.workflow.image_intake import NO_MODEL, IncomingImage, screen
from tetkik.workflow.malware_scanner import ScannerSilent

# When a study is complete: DICOM does not say so, but its source may know how many images it has.


_FIRST_QUESTION = timedelta(seconds=5)
"""Of quiet, before the source is asked: a number that still grows is no answer."""
_MISSING = 15
"""Quiet periods that missing images are waited for: perhaps the source counts what it never sends."""


class Completion(StrEnum):
    COUNTED = "counted"
    """As many images as the source has."""
    QUIET = "quiet"
    LONGEST = "longest"
    """It was waited for long enough."""


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """How far a study is."""

    first_at: datetime
    last_at: datetime
    files: int
    expected: int | None
    asked_at: datetime | None


def may_ask(progress: ImportProgress, now: datetime, listener: DicomListener) -> bool:
    """Whether it is time to ask the source how many images the study has."""
    quiet = timedelta(seconds=listener.quiet_seconds)
    if progress.expected is not None and progress.files >= progress.expected:
        return False
    if now - progress.last_at < min(_FIRST_QUESTION, quiet):
        return False
    return progress.asked_at is None or now - progress.asked_at >= quiet


def why_complete(progress: ImportProgress, now: datetime, listener: DicomListener) -> Completion | None:
    """Why nothing more is waited for; None while something is."""
    quiet = timedelta(seconds=listener.quiet_seconds)
    if progress.expected is not None and progress.files >= progress.expected:
        return Completion.COUNTED
    if now - progress.first_at >= timedelta(seconds=listener.longest_seconds):
        return Completion.LONGEST
    patience = quiet if progress.expected is None else _MISSING * quiet
    return Completion.QUIET if now - progress.last_at >= patience else None


# What the records keep of the header of a received file.


_AHEAD = timedelta(minutes=5)
"""A study that was made so long after it came shows that the sender's clock is ahead."""


def content_of(
    header: Header, peer: HospitalSystem | None, received_at: datetime, zone: ZoneInfo
) -> ReceivedContent:
    """What a file of a peer says of its study; `zone` is the hospital's."""
    offset = timedelta(minutes=peer.clock_offset_minutes if peer is not None else 0)
    made_at = _made_at(header.identity, zone, offset)
    ahead = made_at - received_at if made_at is not None else timedelta()
    issuer = peer.issuer if peer is not None else ""
    return ReceivedContent(
        identity=header.identity,
        modality=header.tags.modality,
        body_part=header.tags.body_part,
        description=header.description[:200],
        issuer=header.issuer or issuer,
        accession_issuer=header.accession_issuer or issuer,
        made_at=made_at,
        clock_ahead=int(ahead.total_seconds() // 60) if ahead > _AHEAD else None,
        declared=header.declared[:40],
        repaired=header.repaired,
        proposed=header.proposed,
    )


def _made_at(identity: Identity, zone: ZoneInfo, offset: timedelta) -> datetime | None:
    """When a study was made, by the file, with the sender's clock put right; None where it does not say."""
    date, time = identity.study_date or "", (identity.study_time or "").partition(".")[0]
    with suppress(ValueError, OverflowError):
        stated = datetime.strptime(date + time.ljust(6, "0")[:6], "%Y%m%d%H%M%S").replace(tzinfo=zone)
        if identity.study_offset:
            stated = stated.replace(tzinfo=datetime.strptime(identity.study_offset, "%z").tzinfo)
        return stated.astimezone(UTC) - offset
    return None


# Which received studies are imported, and when: several at the same time, the most urgent case first.


POLL_SECONDS = 2.0
_MOST = 4


def imports_for(cores: int) -> int:
    """Studies that are imported at the same time: half of the cores is left to receivers and workers."""
    return min(max(1, cores // 2), _MOST)


class StudyImports:
    """Imports the studies that are decided.

    Args:
        places: studies at the same time.
        step: imports one, in a thread of its own. A study that it leaves as it was is tried again after a
            pause, which keeps no other one.
    """

    def __init__(self, records: Records, places: int, step: Callable[[ReceivedView], object]) -> None:
        self._records, self._places, self._step = records, places, step
        self._pool = ThreadPoolExecutor(places, "importing")
        self._running: dict[Future[object], str] = {}
        self._tried: dict[str, float] = {}
        """Studies, and until when they are left alone."""

    def run(self, stopping: threading.Event) -> None:
        """Import until nothing is left that was not tried a moment ago, or until it is to stop."""
        self._tried.clear()
        while not stopping.is_set():
            self._begin()
            if not self._running:
                return
            ended, _ = wait(self._running, POLL_SECONDS, FIRST_COMPLETED)
            for one in ended:
                self._tried[self._running.pop(one)] = time.monotonic() + POLL_SECONDS
                one.result()  # what ends the program is raised here

    def close(self) -> None:
        """Wait for those that are under way, and end."""
        self._pool.shutdown(cancel_futures=True)

    def _begin(self) -> None:
        """Give each free place the study that is the most urgent now."""
        free = self._places - len(self._running)
        if not free:
            return
        now = time.monotonic()
        self._tried = {study: until for study, until in self._tried.items() if until > now}
        aside = {*self._running.values(), *self._tried}
        decided, most = (ReceivedState.COMPLETE,), free + len(aside)
        with self._records.read() as tx:
            waiting = receiving.list_received(tx, decided, most=most, urgent=True)
        for study in [one for one in waiting if one.id not in aside][:free]:
            self._running[self._pool.submit(self._step, study)] = study.id


WORKLIST_SECONDS = 60.0
"""Between two looks at the worklist of another system."""
PRIORS_SECONDS = 300.0
"""Until an archive that did not answer is asked again for earlier studies."""
_RECENT = timedelta(days=1)
"""How long that goes on."""
_NAME = "image"
"""What a file is called in an error: its own name would name its study."""
_DONE, _REFUSED = ReceivedFileState.IMPORTED, ReceivedFileState.REFUSED
_AWAY = (OSError, SQLAlchemyError, RecordsError, ScannerSilent, UsageError, MemoryError)
_LARGE = 100_000_000
"""Bytes of a file that is imported while no other large one is: their pixels together need not have room."""
_ATTEMPTS = 3
"""Of a file over which something fails that nobody foresaw."""
_MOST_COUNTING = 4
_ANSWER_SECONDS = 2.0
"""That an import waits at most for another system; its answer counts when it comes."""
_GONE = Sentence("The file is not in the spool any more; have the study sent again.")
_INCOMPARABLE = Sentence("The study cannot be compared with the orders here; say whose it is.")
_FAILED = Sentence("The file could not be imported; tell whoever runs the service, then have it sent again.")
_NOT_ASKED = Sentence("The archive gave another study than it was asked for; correct that system.")
_OTHER_OBJECT = Sentence("The file is another object than its sender announced; correct that system.")
_RESULT = Sentence("It is a result that this program made of a report, and no image to be read.")
_log = structlog.get_logger()


class Decoders:
    """The sandboxed processes that look at files, for `count` studies at the same time."""

    def __init__(self, count: int | None = None) -> None:
        self.count = count or imports_for(cores())
        # One more where several import, so that counting does not wait for them.
        self.headers, self.readers = HeaderReader(min(2, self.count)), ReaderPool(self.count)

    def close(self) -> None:
        self.headers.close()
        self.readers.close()


class Importer:
    """Takes files from one spool until it is stopped; who made the decoders closes them.

    Args:
        now: tells the time.
    """

    def __init__(
        self,
        records: Records,
        settings: Settings,
        configuration: Configuration,
        spool: Spool,
        decoders: Decoders,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        assert configuration.listen is not None
        self._records, self._settings = records, settings
        self._configuration, self._listener = configuration, configuration.listen
        self._spool = spool
        self._now = now
        self._headers, self._readers = decoders.headers, decoders.readers
        self._stopping, self._large = threading.Event(), threading.Lock()
        self._imports = StudyImports(records, decoders.count, lambda study: self._safely(study, self._import))
        self._asking, self._listing = ThreadPoolExecutor(1, "asking"), ThreadPoolExecutor(1, "listing")
        """Where others are asked for priors and for worklists: a slow one keeps nothing else waiting."""
        self._counting = ThreadPoolExecutor(_MOST_COUNTING, "counting")
        self._counts: dict[str, Future[int | None]] = {}
        """The question that each peer was asked last: how many images a study has."""
        self._attempts: Counter[str] = Counter()
        self._settled: Set[tuple[str, datetime]] = frozenset()
        """Files that are imported or refused, as they were at the last look."""
        self._archives = Archives(records, configuration, settings, spool)
        self._has_archives = any(peer.priors for peer in configuration.peers)
        self._priors: Future[int] | None = None
        self._priors_at = 0.0
        self._worklist: Future[None] | None = None
        self._worklist_at = 0.0

    def run(self, stopping: threading.Event) -> None:
        """Work until the event is set."""
        self._stopping = stopping
        importing = threading.Thread(target=self._repeat, args=(self.import_complete, stopping), daemon=True)
        importing.start()
        self._repeat(self.take_in, stopping)
        importing.join()
        self.close()

    @staticmethod
    def _repeat(step: Callable[[], None], stopping: threading.Event) -> None:
        while not stopping.is_set():
            try:
                step()
            except Exception as fault:
                # The database or the disk may be away for a while.
                _log.error("import", kind=type(fault).__name__)
            stopping.wait(POLL_SECONDS)

    def close(self) -> None:
        self._imports.close()
        for pool in (self._asking, self._listing, self._counting):
            pool.shutdown(wait=False, cancel_futures=True)

    def run_once(self) -> None:
        """Take in what is new, decide what is complete, import what is decided."""
        self.take_in()
        self.import_complete()
        self._ask()

    def take_in(self) -> None:
        """Take in what is new, and decide what is complete."""
        if time.monotonic() >= self._worklist_at and (self._worklist is None or self._worklist.done()):
            self._worklist_at = time.monotonic() + WORKLIST_SECONDS
            self._worklist = self._listing.submit(self.take_worklists)
        self._ask()
        files = {file.path.name: file for file in self._spool.incoming()}
        self._take_in(files)
        with self._records.read() as tx:
            receiving_now = receiving.list_received(tx, (ReceivedState.RECEIVING,), most=None, begun=True)
        for study in receiving_now:
            self._safely(study, self._complete)
        self._tidy(files)

    def import_complete(self) -> None:
        """Import what is decided."""
        self._imports.run(self._stopping)

    def take_worklists(self) -> None:
        """Take the orders of every provider of worklists."""
        for peer in self._configuration.peers:
            if peer.worklist:
                zone = ZoneInfo(self._settings.hospital_time_zone)
                try:
                    taken = take_worklist(self._records, self._configuration, peer, zone)
                except Exception as fault:
                    _log.error("worklist", peer=peer.name, kind=type(fault).__name__)
                else:
                    _log.info("worklist_taken", peer=peer.name, count=taken)

    def _safely(self, study: ReceivedView, step: Callable[[ReceivedView], None]) -> bool:
        """One study that fails does not keep the others; it is tried again at the next look."""
        try:
            step(study)
        except Exception as fault:
            template = getattr(fault, "template", None)
            _log.error("import", study=study.id, kind=type(fault).__name__, template=template)
            return False
        return True

    def _attempt(
        self, name: str, step: Callable[[], None], refuse: Callable[[Sentence], None], why: Sentence = _FAILED
    ) -> None:
        """One file or study that fails does not keep the others; after a few times it is refused.

        Another writer of the same moment is a `Conflict` as well, so that none is final the first time.

        Raises:
            OSError, RecordsError, ScannerSilent and the like: the disk, the database, the scanner or a
                process is away, and it is no file's fault.
        """
        try:
            step()
        except FileNotFoundError:
            return
        except Exception as fault:
            if isinstance(fault, _AWAY) and not isinstance(fault, Conflict | NotFound | DataError):
                raise
            _log.error("import", item=name, kind=type(fault).__name__)
            self._attempts[name] += 1
            if self._attempts[name] < _ATTEMPTS:
                return
            refuse(Sentence(fault.template, fault.values) if isinstance(fault, Conflict | NotFound) else why)
        self._attempts.pop(name, None)

    def _take_in(self, files: dict[str, ReceivedFile]) -> None:
        with self._records.read() as tx:
            known = receiving.file_states(tx, files)
        settled = {name: files[name].received_at for name in known if known[name] in (_DONE, _REFUSED)}
        if settled.items() - self._settled:
            with self._records.write(SYSTEM) as tx:
                received_decisions.forget_refused(tx, settled)
                received_decisions.forget_erased(tx, settled)
                known = receiving.file_states(tx, files)
        self._settled = settled.items()
        for name, file in files.items():
            state = known.get(name)
            if state is _DONE:
                file.remove()  # it came once more, or the program ended before it was removed
            elif state is None:
                try:
                    self._attempt(name, partial(self._count, file), partial(self._refuse_new, file))
                except OSError as fault:  # of this file perhaps: the others go on, and it is tried again
                    _log.error("import", file=name, kind=type(fault).__name__)

    def _count(self, file: ReceivedFile) -> None:
        """Count a new file to its study, or set it aside with its reason."""
        peer = self._configuration.peer(file.peer)
        try:
            header = self._header(file.open(), peer)
        except (InputError, RecordsError) as fault:
            self._refuse_new(file, Sentence(fault.template, fault.values))
            return
        if not self._was_asked_for(peer, header):
            self._refuse_new(file, _NOT_ASKED)
            return
        if (header.identity.instance_uid, header.tags.sop_class) != (file.sop_instance_uid, file.sop_class):
            self._refuse_new(file, _OTHER_OBJECT)  # its sender may be told that the other one is safe
            return
        if header.is_result:
            _log.info("result_set_aside", peer=file.peer)
            with self._records.write(SYSTEM) as tx:
                receiving.set_aside(tx, self._new(file), _RESULT)
            return
        zone = ZoneInfo(self._settings.hospital_time_zone)
        content = content_of(header, peer, file.received_at, zone)
        assert header.identity.study_uid is not None
        with self._records.write(SYSTEM) as tx:
            receiving.add_file(tx, self._new(file), header.identity.study_uid, content)

    def _was_asked_for(self, peer: HospitalSystem | None, header: Header) -> bool:
        """Whether a file may be here: an archive that may not store gives of the study that was asked for."""
        if peer is None or not peer.is_web or peer.may(Service.STORE):
            return True
        with self._records.read() as tx:
            study = receiving.find_received(tx, header.identity.study_uid or "")
        return study is not None and study.peer == peer.name

    def _new(self, file: ReceivedFile) -> NewFile:
        digest = instance_digest(self._records.vault, file.sop_instance_uid)
        return NewFile(file.path.name, file.peer, digest, file.received_at)

    def _refuse_new(self, file: ReceivedFile, fault: Sentence) -> None:
        _log.warning("file_refused", peer=file.peer, template=fault.template)
        with self._records.write(SYSTEM) as tx:
            receiving.refuse_file(tx, self._new(file), fault)

    def _header(self, content: bytes, peer: HospitalSystem | None) -> Header:
        character_set = peer.character_set if peer is not None else None
        return self._headers.read(HeaderRequest(content, _NAME, character_set))

    def _complete(self, study: ReceivedView) -> None:
        """Decide about a study once nothing more is expected of it."""
        peer = self._configuration.peer(study.peer)
        with self._records.read() as tx:
            instances = receiving.count_instances(tx, study.id) if study.refused else study.files
        progress = ImportProgress(study.first_at, study.last_at, instances, study.expected, study.asked_at)
        uid = study.content.identity.study_uid
        if (
            peer is not None
            and peer.expected_count
            and uid
            and may_ask(progress, self._now(), self._listener)
        ):
            count = self._expected(study, peer, uid)
            progress = replace(progress, expected=count if count is not None else progress.expected)
        why = why_complete(progress, self._now(), self._listener)
        if why is None:
            return

        def decide() -> None:
            without_orders = peer is not None and peer.without_orders
            with self._records.write(SYSTEM) as tx:
                decided = received_decisions.decide(tx, study.id, without_orders=without_orders)
            _log.info(
                "study_complete", study=study.id, peer=study.peer, why=why.value, files=study.files,
                expected=progress.expected, verdict=decided.verdict, state=decided.state.value,
                character_set=decided.content.proposed, clock_ahead=decided.content.clock_ahead,
            )  # fmt: skip

        def doubt(fault: Sentence) -> None:
            with self._records.write(SYSTEM) as tx:
                received_decisions.doubt(tx, study.id, fault)

        self._attempt(study.id, decide, doubt, _INCOMPARABLE)

    def _expected(self, study: ReceivedView, peer: HospitalSystem, uid: str) -> int | None:
        """How many images a study has, where its source says it at once; one question to each at a time."""

        def ask() -> int | None:
            try:
                count = query.count_images(self._configuration, peer, uid)
            except query.Unanswered:
                count = None
            with self._records.write(SYSTEM) as tx:
                receiving.note_expected(tx, study.id, count)
            return count

        before = self._counts.get(peer.name)
        if before is not None and not before.done():
            return None
        asked = self._counts[peer.name] = self._counting.submit(ask)
        try:
            return asked.result(_ANSWER_SECONDS)
        except TimeoutError:
            _log.warning("count_late", peer=peer.name)
            return None

    def _import(self, study: ReceivedView) -> None:
        """Bring what waits of a study into its case, image by image."""
        with self._records.read() as tx:
            waiting = receiving.waiting_files(tx, study.id)
        for one in waiting:
            if self._stopping.is_set():
                return
            try:
                file = self._spool.find(one.name)
            except FileNotFoundError:
                self._refuse(one, _GONE)
                continue
            except (ValueError, TypeError, RecordsError):
                continue  # `Spool.incoming` puts it aside
            step = partial(self._import_file, study, one, file)
            self._attempt(one.name, step, partial(self._refuse, one))
        with self._records.write(SYSTEM) as tx:
            done = receiving.finish(tx, study.id)
            is_done, is_prior = done.state is ReceivedState.IMPORTED, done.prior_of is not None
            if is_prior and done.state is not ReceivedState.COMPLETE and done.case_id is not None:
                received_decisions.put_away(tx, done.case_id)  # nobody reads an earlier study
        _log.info("study_imported", study=done.id, images=done.imported, refused=done.refused, done=is_done)
        if is_done and not is_prior:
            self._priors_at = 0.0  # the other thread asks for its earlier studies

    def _ask(self) -> None:
        """Ask archives for earlier studies: at once for a new one, later where one did not answer."""
        waits = time.monotonic() < self._priors_at or (self._priors is not None and not self._priors.done())
        if self._has_archives and not waits:
            self._priors_at = time.monotonic() + PRIORS_SECONDS
            self._priors = self._asking.submit(self._archives.ask, self._now() - _RECENT)

    def _import_file(self, study: ReceivedView, one: WaitingFile, file: ReceivedFile) -> None:
        with self._large if file.path.stat().st_size > _LARGE else nullcontext():
            self._bring_into_case(study, one, file)

    def _bring_into_case(self, study: ReceivedView, one: WaitingFile, file: ReceivedFile) -> None:
        peer = self._configuration.peer(study.peer)
        try:
            content = file.open()
            screen(self._settings, content, _NAME)
            header = self._header(content, peer)
            image = self._readers.read(content, _NAME)
        except (InputError, RecordsError) as fault:
            self._refuse(one, Sentence(fault.template, fault.values))
            return
        if not study.content.names(header.identity):
            self._refuse(one, Sentence("It names another patient than its study does."))
            return
        tags = replace(header.tags, frames=image.tags.frames)
        incoming = IncomingImage(content, replace(image, identity=header.identity, tags=tags))
        assert study.case_id is not None and study.patient_id is not None
        with self._records.read() as tx:
            stored = incoming.store(tx, study.patient_id)
        route = self._configuration.route(study.peer, header.tags.modality or "", header.tags.body_part or "")
        model = NO_MODEL if study.prior_of is not None else (route.model or None) if route else None
        with self._records.write(SYSTEM) as tx:
            # A person who decides otherwise at this moment comes before or after.
            row = receiving.lock(tx, study.id)
            if row.state is not ReceivedState.COMPLETE or row.case_id != study.case_id:
                return
            differs = compare_with_patient(tx, study.patient_id, header.identity)
            confirmed = tuple(item.trait.value for item in differs) if study.decided_at else ()
            received_decisions.take_up(tx, study.case_id)
            # A Conflict where the case was moved, or the image was removed from it.
            added = incoming.keep(tx, study.case_id, stored, confirmed=confirmed, model=model)
            receiving.settle_file(tx, one.id, image_id=added.image.id)
        file.remove()

    def _refuse(self, one: WaitingFile, fault: Sentence) -> None:
        _log.warning("file_refused", file=one.id, template=fault.template)
        with self._records.write(SYSTEM) as tx:
            receiving.settle_file(tx, one.id, fault=fault)

    def _tidy(self, files: dict[str, ReceivedFile]) -> None:
        with self._records.read() as tx:
            rejected = receiving.count_received(tx).get(ReceivedState.REJECTED, 0)
        with self._records.write(SYSTEM) as tx:
            received_decisions.forget_missing_priors(tx, timedelta(seconds=self._listener.longest_seconds))
            names = received_decisions.forget_rejected(tx) if rejected else ()
        for name in names:
            if name in files:
                files[name].remove()


def import_work(settings: Settings, configuration: Configuration) -> Work:
    """The process that imports, for `listening.mind`: one, for the spool is of one `tetkik listen`."""

    def run(stopping: threading.Event) -> None:
        records, decoders = open_records(settings), Decoders()
        spool = open_spool(settings, records, configuration.listen)
        try:
            Importer(records, settings, configuration, spool, decoders).run(stopping)
        finally:
            decoders.close()
            records.close()

    return Work("import", 1, run)
