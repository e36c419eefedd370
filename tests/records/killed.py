"""A replacement of the master key killed at each of its steps: run by `test_key_rotation` as a program.

It forks one process for each line of the replacement's own code and kills it with SIGKILL before that line;
after each kill the records are opened as a start would. What it found goes to standard output as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from tests.records.kit import made_user
from tetkik.records.cases import patients
from tetkik.records.cases.patients import Person
from tetkik.records.database import Records
from tetkik.records.keyring import read
from tetkik.records.lifecycle.key_rotation import rotate_master_key
from tetkik.records.trail.verify import verify
from tetkik.records.vault import fingerprint
from tetkik.values import Role

_OWN = ("key_rotation.py", "master_key.py", "keyring.py")
PERSON = Person("Gülçin ŞAHİN", "10000000146", "H-1", "19700101")


class _Killer:
    """Kills this process before the line of the replacement that comes as the n-th new one."""

    def __init__(self, n: int) -> None:
        self.left = n
        self.seen: set[tuple[str, int]] = set()

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if Path(frame.f_code.co_filename).name not in _OWN:
            return None
        line = (frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and line not in self.seen:
            self.seen.add(line)
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return self


def _killed(url: str, folder: Path, n: int) -> bool:
    """Replace the key in a process that dies at its n-th step; False where it came to its end first."""
    child = os.fork()
    if child == 0:
        records = Records(url, folder)
        sys.settrace(_Killer(n))
        rotate_master_key(records)
        sys.settrace(None)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def _opened(url: str, folder: Path, patient_id: str) -> str:
    """Open the hospital, read, write, verify; gives the fingerprint of its key."""
    records = Records(url, folder)
    with records.write(made_user(records, Role.RECEPTION)) as tx:
        assert patients.load_person(tx, patient_id).name == PERSON.name
        patients.create(tx, Person("Ali"))
        assert patients.find(tx, PERSON.tckn) == (patient_id,)
    with records.read() as tx:
        assert verify(tx).whole
    result = records.vault.held.fingerprint
    assert fingerprint(read(folder / "keys" / "master.key")) == result
    records.close()
    return result


def main(url: str, folder: Path, every: int) -> None:
    """Kill at each `every`-th step until the replacement comes to its end by itself."""
    records = Records(url, folder)
    with records.write(made_user(records, Role.RECEPTION)) as tx:
        patient_id = patients.create(tx, PERSON)
    records.close()
    known = _opened(url, folder, patient_id)
    undone = done = 0
    n = 1
    while _killed(url, folder, n):
        result = _opened(url, folder, patient_id)
        undone, done = undone + (result == known), done + (result != known)
        known = result
        n += every
    _opened(url, folder, patient_id)
    sys.stdout.write(json.dumps({"undone": undone, "done": done}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
