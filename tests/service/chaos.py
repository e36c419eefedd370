"""A server that is killed at random while people upload, save and sign; and what must hold afterwards.

The server is `tetkik serve` itself, ended with SIGKILL: no handler runs, nothing is flushed. People repeat
what was not answered, with the same Idempotency-Key, as the pages do.
"""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pydicom
from pydicom.uid import UID
from sqlalchemy import func, select

from tests.patience import PATIENCE
from tests.ports import free_port
from tests.records.kit import made_records, made_user
from tests.records.pictured import film
from tests.service.kit import make_context, opened_session
from tetkik.records.database import Records
from tetkik.records.images import images
from tetkik.records.lifecycle import retention
from tetkik.records.lifecycle.integrity import verify_stored
from tetkik.records.people import passwords
from tetkik.records.schema import Blob, Image, Job, Report, ReportVersion, Run, SignatureRow, User
from tetkik.records.trail.verify import verify
from tetkik.values import JobState, Role

PASSWORD = "Sabah-0815-nöbet!"
WORDS = "Bu cümleyi radyolog yazdı."
STEPS = {"upload": 0.12, "inference": 1.2, "save": 0.06, "sign": 0.25}
"""What the hospital is killed in, and about how many seconds each takes."""
_BEGIN = """
import sys, uvicorn, tetkik.service.app, tetkik.findings.predict, tetkik.report.draft
from tetkik.cli import main
if sys.stdin.readline():
    main()
"""
_PATIENCE = 20.0
_MARK = ("fault", "start", "end")


@dataclass
class Course:
    """What became of one film, as its sender knows it: acknowledged or not.

    Attributes:
        content: of the file.
        image_id: once the upload was acknowledged.
        saved: whether a save was.
        signed: whether a signature was.
        step: that is under way.
    """

    content: bytes
    image_id: str = ""
    saved: bool = False
    signed: bool = False
    step: str = ""


@dataclass
class Outcome:
    """What a run of the chaos came to.

    Attributes:
        kills: how often the hospital was killed.
        interrupted: what was under way then, and how often.
        courses: of every film.
        faults: what does not hold; empty where all is well.
    """

    kills: int = 0
    interrupted: Counter[str] = field(default_factory=Counter)
    recoveries: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Seconds from each fault until the next film was signed, by what went wrong."""
    courses: list[Course] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


class ServedHospital:
    """`tetkik serve` over one folder, as often as it is started.

    While one process serves, the next has its modules loaded already and waits for a word to begin.

    Args:
        folder: of the hospital.
        threads: of one model run.
        settings: of the environment, beside those of every hospital here.
        again: whether it will be started more than once.
    """

    def __init__(
        self,
        folder: Path,
        threads: str = "1",
        settings: Mapping[str, str] | None = None,
        *,
        again: bool = True,
    ) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._threads = threads
        self._settings = settings or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._again = again
        self._next: subprocess.Popen[bytes] | None = self._standing_by()

    def _standing_by(self) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "TETKIK_DATA_DIR": str(self._folder),
            "TETKIK_ALLOW_ROOT": "true",
            "TETKIK_REQUESTS_PER_MINUTE": "1000000",
            "TETKIK_THREADS": self._threads,
            **self._settings,
        }
        return subprocess.Popen(
            [sys.executable, "-c", _BEGIN, "serve", "--port", str(self.port)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert self._next is not None
        self._process, self._next = self._next, self._standing_by() if self._again else None
        _tell(self._process)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and self._process.poll() is None:
            try:
                if httpx.get(f"{self.address}/api/v1/ready", timeout=PATIENCE).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise RuntimeError("the hospital does not start")

    def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End it, at once or in peace."""
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(PATIENCE)

    def close(self) -> None:
        """Send the one that waits away."""
        if self._next is not None:
            self._next.kill()
            self._next.communicate()


def _tell(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.write(b"begin\n")
    process.stdin.close()


class Person:
    """Sends films, waits for their drafts, adds a sentence and signs; again where nobody answered.

    Args:
        hospital: that is served.
        cookie: of their session.
        csrf: its token.
        courses: where they keep what was acknowledged.
    """

    def __init__(self, app_context: ServedHospital, cookie: str, csrf: str, courses: list[Course]) -> None:
        self._client = httpx.Client(
            base_url=f"{app_context.address}/api/v1",
            cookies={"tetkik": cookie},
            headers={"X-CSRF-Token": csrf},
            timeout=PATIENCE,
        )
        self._courses = courses
        self.now: Course | None = None
        self.closing = threading.Event()
        self.fault: BaseException | None = None

    def work(self, films: Iterator[bytes]) -> None:
        """Until it is closing time, one film after another; the last one is brought to its end."""
        try:
            while not self.closing.is_set():
                course = Course(next(films))
                self._courses.append(course)
                self.now = course
                self._through(course)
        except BaseException as fault:
            self.fault = fault
        finally:
            self.now = None
            self._client.close()

    def _through(self, course: Course) -> None:
        course.step = "upload"
        answer = self._ask("POST", "/images", content=course.content, key=os.urandom(8).hex())
        course.image_id = _known(answer, 201)["image"]["id"]
        course.step = "inference"
        until = time.monotonic() + PATIENCE
        while (image := _known(self._ask("GET", f"/images/{course.image_id}"), 200))["report_id"] is None:
            if time.monotonic() > until:
                raise TimeoutError(f"no draft after {PATIENCE:.0f} s: {image}")
            time.sleep(0.02)
        report = f"/drafts/{image['report_id']}"
        course.step = "save"
        revision = self._save(report)
        course.saved = True
        course.step = "sign"
        sent = {"revision": revision, "password": PASSWORD}
        signed = self._ask("POST", f"/reports/{image['report_id']}/sign", json=sent, key=os.urandom(8).hex())
        _known(signed, 201)
        course.signed, course.step = True, ""

    def _save(self, report: str) -> int:
        """The revision in which the sentence stands, every finding and every mark decided."""
        while True:
            draft = _known(self._ask("GET", report), 200)
            said = [one for one in draft["sentences"] if one["text"] != WORDS]
            mine = [one for one in draft["sentences"] if one["text"] == WORDS]
            marked = [mark for one in draft["sentences"] for mark in one["marks"] if mark["decision"] is None]
            seen = {"If-Match": f'"{draft["revision"]}"'}
            if labels := [one["label"] for one in draft["blocking"] if one["label"]]:
                self._ask("POST", f"{report}/reviews/accepted", json={"labels": labels}, headers=seen)
                continue
            if mine and not marked:
                return int(draft["revision"])
            sent = _with_words(said)
            decisions = [
                {
                    "sentence": place,
                    **{name: mark[name] for name in ("fault", "start", "end")},
                    "decision": "kept",
                }
                for place, one in enumerate(draft["sentences"])
                for mark in one["marks"]
            ]
            body = {"sentences": sent, "decisions": decisions} if not mine else None
            if body is None:
                answer = self._ask(
                    "POST",
                    f"{report}/decisions",
                    json={"decisions": decisions},
                    headers={"If-Match": f'"{draft["revision"]}"'},
                )
            else:
                body["decisions"] = []
                answer = self._ask("PUT", report, json=body, headers={"If-Match": f'"{draft["revision"]}"'})
            if answer.status_code not in (200, 409, 412):
                raise RuntimeError(f"{answer.status_code} {answer.text}")

    def _ask(self, method: str, path: str, *, key: str | None = None, **given: Any) -> httpx.Response:
        headers = {**given.pop("headers", {}), **({"Idempotency-Key": key} if key else {})}
        until, said = time.monotonic() + PATIENCE, ""
        while time.monotonic() < until:
            try:
                answer = self._client.request(method, path, headers=headers, **given)
            except httpx.TransportError as fault:
                said = repr(fault)
            else:
                if answer.status_code < 500:
                    return answer
                said = f"{answer.status_code} {answer.text}"
            time.sleep(0.05)
        raise TimeoutError(f"{method} {path}: no answer after {PATIENCE:.0f} s: {said}")


def _with_words(sentences: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept = [{name: one[name] for name in ("section", "text", "evidence")} for one in sentences]
    last = max(
        (place for place, one in enumerate(kept) if one["section"] in ("technique", "findings")), default=-1
    )
    kept.insert(last + 1, {"section": "findings", "text": WORDS, "evidence": []})
    return kept


def _known(answer: httpx.Response, status: int) -> dict[str, Any]:
    if answer.status_code != status:
        raise RuntimeError(
            f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text}"
        )
    body: dict[str, Any] = answer.json()
    return body


def _films() -> Iterator[bytes]:
    """One film after another, each of a patient of their own."""
    known = pydicom.dcmread(io.BytesIO(film(3, side=512)))
    number = 0
    while True:
        number += 1
        known.PatientID = f"CHAOS-{number}"
        known.StudyInstanceUID = f"2.25.{10**20 + number}"
        known.SOPInstanceUID = UID(f"2.25.{10**21 + number}")
        known.file_meta.MediaStorageSOPInstanceUID = known.SOPInstanceUID
        packed = io.BytesIO()
        known.save_as(packed)
        yield packed.getvalue()


KILL = "service"
"""The fault that is a kill of the service, whoever names it."""
Fault = tuple[str, str, Callable[[], None]]
"""What it is called, the step in which it comes, and what does it and mends it."""


def chaos(
    folder: Path,
    kills: int,
    seed: int = 0,
    people: int = 2,
    *,
    url: str | None = None,
    settings: Mapping[str, str] | None = None,
    faults: Sequence[Fault] = (),
) -> Outcome:
    """Kill a hospital so many times, let its people finish, and look at what is left.

    Args:
        people: at work at once.
        url: of its database; None is SQLite.
        settings: of its environment.
        faults: that take turns; none are kills of the service in each of its steps.
    """
    records = made_records(folder, url)
    moments, outcome, films = random.Random(seed), Outcome(), _locked(_films())
    kinds = faults or [(KILL, step, lambda: None) for step in STEPS]
    app_context = ServedHospital(folder, settings=settings, again=any(kind == KILL for kind, *_ in kinds))
    at_work = [Person(app_context, *_signed_in(folder, records), outcome.courses) for _ in range(people)]
    records.close()
    app_context.start()
    threads = [threading.Thread(target=person.work, args=(films,), daemon=True) for person in at_work]
    for thread in threads:
        thread.start()

    def kill_service() -> None:
        app_context.end()
        app_context.start()

    for number in range(kills):
        kind, step, do = kinds[number % len(kinds)]
        _wait_for(step, at_work, moments)
        outcome.interrupted.update(person.now.step for person in at_work if person.now is not None)
        begin, signed = time.monotonic(), _signed(outcome.courses)
        (kill_service if kind == KILL else do)()
        outcome.kills += 1
        if faults:
            while _signed(outcome.courses) == signed and any(thread.is_alive() for thread in threads):
                time.sleep(0.05)
            outcome.recoveries[kind].append(time.monotonic() - begin)
    for person in at_work:
        person.closing.set()
    for thread in threads:
        thread.join()
    app_context.end(signal.SIGTERM)
    app_context.close()
    outcome.faults += [
        f"a person gave up: {person.fault!r}" for person in at_work if person.fault is not None
    ]
    outcome.faults += [f"not brought to its end: {one.step}" for one in outcome.courses if not one.signed]
    reopened = made_records(folder, url)
    outcome.faults += _looked_through(reopened, outcome.courses)
    reopened.close()
    return outcome


def _signed(courses: Sequence[Course]) -> int:
    return sum(one.signed for one in tuple(courses))


def _wait_for(step: str, at_work: list[Person], moments: random.Random) -> None:
    """Until somebody is at a step, and then some part of the time that it takes."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        if any(person.now is not None and person.now.step == step for person in at_work):
            time.sleep(moments.uniform(0, STEPS[step]))
            return
        time.sleep(0.001)


def _locked(films: Iterator[bytes]) -> Iterator[bytes]:
    lock = threading.Lock()

    class Locked(Iterator[bytes]):
        def __next__(self) -> bytes:
            with lock:
                return next(films)

    return Locked()


def _signed_in(folder: Path, records: Records) -> tuple[str, str]:
    actor = made_user(records, Role.TECHNICIAN, Role.RADIOLOGIST)
    with records.write(actor) as tx:
        tx.session.get_one(User, actor.user_id).password_hash = passwords.hashed(PASSWORD)
    return opened_session(make_context(folder, records), actor)


def _looked_through(records: Records, courses: list[Course]) -> list[str]:
    """Everything that was acknowledged is there once and whole, and nothing else is."""
    faults = []
    with records.read() as tx:
        for course in courses:
            if (
                course.image_id
                and images.read_content(tx, images.load_image(tx, course.image_id)) != course.content
            ):
                faults.append(f"the image {course.image_id} is not the one that was sent")
        counts: dict[str, int] = {
            table.__tablename__: tx.session.scalar(select(func.count()).select_from(table)) or 0
            for table in (Image, Report, Run, ReportVersion, SignatureRow)
        }
        faults += [
            f"{count} {name} of {len(courses)} films"
            for name, count in counts.items()
            if count != len(courses)
        ]
        sent = {course.image_id for course in courses}
        for table in (Report, Run, Job):
            if sorted(str(one) for one in tx.session.scalars(select(table.image_id))) != sorted(sent):
                faults.append(f"{table.__tablename__}: not one for each image")
        states = set(tx.session.scalars(select(Job.state)))
        faults += [f"work is {state}" for state in states - {JobState.DONE}]
        trail = verify(tx)
        faults += [f"trail at {one.seq}: {one.what.template}" for one in trail.broken]
        faults += [fault.template for fault in verify_stored(tx).faults]
        named = {*tx.session.scalars(select(Image.file)), *tx.session.scalars(select(Blob.file))}
    return faults + _orphans(records, named)


def _orphans(records: Records, named: set[str]) -> list[str]:
    """What a crash left behind without a row goes once it is old; what has a row stays."""
    store = records.files
    left = [*records.folder.glob("files/??/*"), *store.temporary.iterdir()]
    for path in left:
        os.utime(path, (0, 0))
    retention.remove_orphaned_files(records, asked=True)
    there = set(store.storage.names())
    found = [] if there == named else [f"{len(there - named)} files too many, {len(named - there)} missing"]
    return found + [f"left in {path.parent.name}" for path in store.temporary.iterdir()]
