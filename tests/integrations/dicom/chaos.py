"""`tetkik listen` under what goes wrong in a hospital, and what must hold afterwards.

The listener is the command itself, with processes of its own; a modality sends images meanwhile and repeats
what was not acknowledged.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydicom import Dataset

from tests.integrations.dicom.listener import association, image, read
from tests.integrations.dicom.wire import RELEASE, answered, data, request
from tests.patience import PATIENCE
from tests.ports import free_port
from tetkik.integrations.dicom.spool import FOLDER, Spool
from tetkik.records.database import open_records
from tetkik.settings import Settings

KINDS: Mapping[str, tuple[str, str] | None] = {
    "acceptor killed": ("listen_process_ended", ""),
    "cut": ("dicom_association_failed", "cut"),
    "wrong AE": ("dicom_refused", "unknown_calling_ae"),
    "full disk": ("dicom_store_refused", "out_of_resources"),
    "malformed": ("dicom_association_failed", "malformed"),
    "slow": ("dicom_association_failed", "silent"),
    "parent killed": None,
}
"""What goes wrong, and the line that says it; of a parent that is killed none is left to say."""
_SYSTEMS = """
[listen]
address = "127.0.0.1"
port = {port}
processes = 2
silent_seconds = 4
quiet_seconds = 86400
longest_seconds = 86400
reserve_bytes = {reserve}
[[peer]]
name = "ct1"
ae_title = "CT1"
addresses = ["127.0.0.1"]
allow = ["store", "echo", "commit"]
"""
_A_ROUND = 4
"""Images."""


@dataclass
class Outcome:
    rounds: int = 0
    acknowledged: int = 0
    refused: int = 0
    """Answered with a failure, and sent again."""
    kinds: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


@dataclass
class Hospital:
    """The listener's process, and what its modality knows."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    acknowledged: dict[str, str] = field(default_factory=dict)
    """Digests of data sets by SOP Instance UID."""
    refused: int = 0
    said: int = 0
    """Bytes of the log that were looked at."""

    def start(self, reserve: int = 0) -> None:
        systems = self.folder / "systems.toml"
        systems.write_text(_SYSTEMS.format(port=self.port, reserve=reserve))
        environment = os.environ | {
            "TETKIK_DATA_DIR": str(self.folder / "house"),
            "TETKIK_INTEGRATIONS": str(systems),
        }
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tetkik", "listen", "--allow-root"],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        _wait(self._answers)

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError((self.folder / "log").read_text())
        try:
            with socket.create_connection(("127.0.0.1", self.port)) as caller:
                caller.settimeout(PATIENCE)
                caller.sendall(request())
                accepted = answered(caller)
                caller.sendall(RELEASE)
                caller.recv(100)
                return accepted
        except OSError:
            return False

    def stop(self, number: int = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        if number == signal.SIGTERM:
            assert self.process.wait(PATIENCE) == 0
        self.process.wait(PATIENCE)

        def port_is_free() -> bool:
            with socket.socket() as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    tried.bind(("127.0.0.1", self.port))
                except OSError:
                    return False
                return True

        _wait(port_is_free)

    def kill_acceptor(self, chance: random.Random) -> None:
        assert self.process is not None
        task = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        os.kill(int(chance.choice(task.read_text().split())), signal.SIGKILL)

    def send(self, one: Dataset) -> None:
        """Again and again until it is acknowledged, as a modality does."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with association(self.port) as made:
                if made.is_established:
                    status = _stored(made, one)
                    if status == 0:
                        self.acknowledged[one.SOPInstanceUID] = _digest(one)
                        return
                    self.refused += status is not None
            time.sleep(0.05)
        raise AssertionError("never acknowledged")

    def new_lines(self) -> list[dict[str, Any]]:
        with (self.folder / "log").open("rb") as log:
            log.seek(self.said)
            content = log.read()
        whole = content[: content.rfind(b"\n") + 1]
        self.said += len(whole)
        return [json.loads(line) for line in whole.splitlines()]


def chaos(folder: Path, rounds: int, seed: int) -> Outcome:
    """So many rounds, each with one kind of fault while images are sent; then a look at what is there."""
    chance, outcome = random.Random(seed), Outcome()
    hospital = Hospital(folder, free_port())
    hospital.start()
    kinds = list(KINDS)
    try:
        for number in range(rounds):
            kind = kinds[number % len(kinds)]
            outcome.rounds += 1
            outcome.kinds[kind] += 1
            sent = [image(size=2 * chance.randrange(500, 2_000_000)) for _ in range(_A_ROUND)]
            if kind == "full disk":
                hospital.stop()
                hospital.start(reserve=2**62)
            with _sending(hospital, sent):
                _do(kind, hospital, chance)
            outcome.faults += [f"round {number}, {kind}: {fault}" for fault in _lines_of(kind, hospital)]
        # Twice is what a modality does that did not hear the answer.
        hospital.send(sent[0])
        hospital.stop()
    finally:
        if hospital.process is not None and hospital.process.poll() is None:
            hospital.process.kill()
            hospital.process.wait()
    outcome.acknowledged, outcome.refused = len(hospital.acknowledged), hospital.refused
    outcome.faults += _faults_of_what_is_there(hospital)
    return outcome


def _do(kind: str, hospital: Hospital, chance: random.Random) -> None:
    if kind == "acceptor killed":
        time.sleep(chance.random() * 0.2)
        hospital.kill_acceptor(chance)
    elif kind == "parent killed":
        time.sleep(chance.random() * 0.2)
        hospital.stop(signal.SIGKILL)
        hospital.start()
    elif kind == "full disk":
        before = hospital.refused
        _wait(lambda: hospital.refused > before)
        hospital.stop()
        hospital.start()
    elif kind == "wrong AE":
        _wait(lambda: _rejected(hospital.port))
    else:
        with socket.create_connection(("127.0.0.1", hospital.port)) as caller:
            caller.settimeout(PATIENCE)
            caller.sendall(request())
            assert answered(caller)
            content = data(chance.randbytes(100), 0b11)
            caller.sendall(content if kind == "malformed" else content[: chance.randrange(7, 100)])
            if kind != "cut":
                while caller.recv(65536):  # until the listener has enough of it
                    pass


@contextmanager
def _sending(hospital: Hospital, sent: list[Dataset]) -> Iterator[None]:
    faults: list[BaseException] = []

    def send() -> None:
        try:
            for one in sent:
                hospital.send(one)
        except BaseException as error:
            faults.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    assert not faults, faults


def _lines_of(kind: str, hospital: Hospital) -> list[str]:
    """What is wrong with the lines of a round: none, or one too many."""
    wanted, lines = KINDS[kind], []
    end = time.monotonic() + PATIENCE / 2  # less than `_wait` has, so that the fault is told

    def told() -> bool:
        lines.extend(hospital.new_lines())
        late = time.monotonic() > end
        return wanted is None or late or any(_said(line) == wanted for line in lines)

    _wait(told)
    found = [_said(line) for line in lines if line["level"] != "info"]
    if kind != "slow":  # where the machine pauses, the modality is one that says nothing
        found = [words for words in found if words[1] != "silent"]
    if kind == "full disk":
        return [] if set(found) == {wanted} else [f"{found}"]
    # What was coming in at a kill of the parent's process was cut for both sides.
    return [] if found == ([wanted] if wanted else []) else [f"{found}"]


def _said(line: dict[str, Any]) -> tuple[str, str]:
    return line["event"], line.get("reason", "")


def _faults_of_what_is_there(hospital: Hospital) -> list[str]:
    records = open_records(Settings(data_dir=hospital.folder / "house"))
    try:
        files = list(Spool(hospital.folder / "house" / FOLDER, records.vault).incoming())
        there = Counter(file.sop_instance_uid for file in files)
        contents = {file.sop_instance_uid: _digest(read(file)) for file in files}
    finally:
        records.close()
    lost = [uid for uid, digest in hospital.acknowledged.items() if contents.get(uid) != digest]
    doubled = [uid for uid, times in there.items() if times > 1]
    unfinished = list((hospital.folder / "house" / FOLDER).glob("*.part"))
    shutil.rmtree(hospital.folder / "house")
    return (
        [f"lost: {uid}" for uid in lost]
        + [f"doubled: {uid}" for uid in doubled]
        + [f"unfinished: {path}" for path in unfinished]
    )


def _rejected(port: int) -> bool:
    with association(port, ae_title="ELSE") as made:
        return bool(made.is_rejected)


def _stored(made: Any, one: Dataset) -> int | None:
    try:
        status = made.send_c_store(one)
    except (RuntimeError, ValueError):  # the association ended meanwhile
        return None
    return int(status.Status) if status else None


def _digest(one: Dataset) -> str:
    return sha256(one.SOPInstanceUID.encode() + one[0x7FE00010].value).hexdigest()


def _wait(what: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)
