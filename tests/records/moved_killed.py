"""A case moved by a process that is killed at each of its steps: for `test_case_transfer_leaves_nothing`.

It forks one process for each line of the move's own code and kills it with SIGKILL before that line, and one
more that dies between the move and the removal of the files; after each kill the records are opened as at a
start. What it found goes to standard output as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from sqlalchemy import select

from tests.documents.sample import picture
from tests.records.desk import made_triaged
from tests.records.kit import made_case, made_user
from tests.records.reports_kit import made_image
from tetkik.records.cases import cases, patients
from tetkik.records.cases.patients import Person
from tetkik.records.database import Records
from tetkik.records.images import images
from tetkik.records.lifecycle import retention
from tetkik.records.lifecycle.integrity import verify_stored
from tetkik.records.schema import Blob, Case, CaseMove, Complaint, Image, Job
from tetkik.records.storage.folder import path_of
from tetkik.records.trail.verify import verify
from tetkik.values import Actor, CaseState, MoveReason, Role
from tetkik.workflow import case_transfer

_OWN = (
    "case_transfer.py",
    "copying.py",
    "case_erasure.py",
    "files.py",
    "folder.py",
    "complaints.py",
    "database.py",
)
_FILMS = tuple(picture(shade=shade) for shade in (90, 120))


class _Killer:
    """Kills this process before the n-th new line of the move; 0 is once it is through."""

    def __init__(self, n: int) -> None:
        self.left = n
        self.seen: set[tuple[str, int]] = set()

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if Path(frame.f_code.co_filename).name not in _OWN:
            return None
        line = (frame.f_code.co_filename, frame.f_lineno)
        if self.left == 0 and frame.f_code.co_name == "remove_leftover_files":
            os.kill(os.getpid(), signal.SIGKILL)
        if event == "line" and line not in self.seen:
            self.seen.add(line)
            if self.left == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            self.left -= bool(self.left)
        return self


def _move(records: Records, actor: Actor, case_id: str, patient_id: str) -> None:
    with records.read(actor) as tx:
        case_transfer.prepare_images(tx, case_id, patient_id)
    with records.write(actor) as tx:
        seen = case_transfer.preview_transfer(tx, case_id, patient_id).seen
    with records.write(actor) as tx:
        done = case_transfer.transfer_case(tx, case_id, patient_id, MoveReason.MOVED_WRONGLY, seen, sure=True)
    case_transfer.remove_leftover_files(records, done)


def _killed(url: str, folder: Path, n: int, actor: Actor, case_id: str, patient_id: str) -> bool:
    """Move in a process that dies at its n-th step; False where it came to its end first."""
    child = os.fork()
    if child == 0:
        records = Records(url, folder)
        sys.settrace(_Killer(n))
        _move(records, actor, case_id, patient_id)
        sys.settrace(None)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def _looked_at(records: Records, people: list[str]) -> str:
    """The one case that is open; everything of it is there, and of the others nothing. Gives its id."""
    with records.read() as tx:
        (open_,) = tx.session.scalars(select(Case).where(Case.state != CaseState.MOVED)).all()
        found = images.list_images(tx, open_.id)
        assert tuple(images.read_content(tx, image) for image in found) == _FILMS
        shown = cases.load_case(tx, open_.id, audit=False)
        assert shown.complaint is not None and shown.question == "Neden?"
        assert {row.patient_id for row in tx.session.scalars(select(Complaint))} == {open_.patient_id}
        assert {row.case_id for row in tx.session.scalars(select(Job))} <= {open_.id}
        left = set(tx.session.scalars(select(Case.id).where(Case.state == CaseState.MOVED)))
        assert set(tx.session.scalars(select(CaseMove.case_id))) == left
        assert not [image for one in left for image in images.list_images(tx, one)]
        assert verify(tx).whole and verify_stored(tx).faults == ()
        assert open_.patient_id in people
        return open_.id


def _swept(records: Records) -> None:
    """What a crash left behind without a row goes once it is old, and no other patient's key opens a file."""
    for name in records.files.storage.names():
        os.utime(records.folder / "files" / path_of(name), (0, 0))
    retention.remove_orphaned_files(records, asked=True)
    with records.read() as tx:
        named = {*tx.session.scalars(select(Image.file)), *tx.session.scalars(select(Blob.file))}
    there = set(records.files.storage.names())
    assert there == {name for name in named if not name.startswith("-")} and len(there) == len(_FILMS)


def main(url: str, folder: Path, every: int) -> None:
    """Kill at each `every`-th step until a move comes to its end by itself."""
    records = Records(url, folder)
    actor = made_user(records, Role.RECEPTION, Role.TECHNICIAN)
    case_id = made_case(records, actor, Person("Ali VELİ"), complaint=made_triaged(), question="Neden?")
    for film in _FILMS:
        made_image(records, case_id, film)
    with records.write(actor) as tx:
        people = [tx.session.get_one(Case, case_id).patient_id, patients.create(tx, Person("Gülçin ŞAHİN"))]
    records.close()
    undone = done = 0
    n, going_on = 0, True
    while going_on:
        records = Records(url, folder)
        with records.read() as tx:
            here = tx.session.get_one(Case, case_id).patient_id
        records.close()
        other = next(one for one in people if one != here)
        going_on = _killed(url, folder, n, actor, case_id, other)
        records = Records(url, folder)
        found = _looked_at(records, people)
        if going_on:
            undone, done = undone + (found == case_id), done + (found != case_id)
        case_id = found
        _swept(records)
        records.close()
        n += every if n else 1
    sys.stdout.write(json.dumps({"undone": undone, "done": done}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
