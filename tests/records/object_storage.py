"""An object storage of the tests' own: Ceph's RADOS Gateway over one monitor and one OSD in memory.

The three programs run on 127.0.0.1 alone, without authentication among themselves, for the tests that ask.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from tests.integrations.hl7.tls import certificates
from tests.patience import PATIENCE
from tests.ports import free_port
from tests.programs import program
from tetkik.records.storage.s3 import Bucket, SignedRequests

KEY, SECRET, REGION = "TETKIKTEST", "geheim/+=", "default"
_CONFIGURATION = """\
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{monitor}/0]
public addr = 127.0.0.1
ms bind port min = {osd}
ms bind port max = {last}
auth cluster required = none
auth service required = none
auth client required = none
ms cluster mode = crc
ms service mode = crc
ms client mode = crc
ms mon cluster mode = crc
ms mon service mode = crc
ms mon client mode = crc
keyring = {folder}/keyring
run dir = {folder}
log file = {folder}/$name.$pid.log
admin socket =
crash dir = {folder}
mon data = {folder}/monitor
mon cluster log file = {folder}/cluster.log
mon data avail crit = 1
mon allow pool size one = true
paxos propose interval = 0.05
paxos min wait = 0.02
osd data = {folder}/osd
osd objectstore = memstore
osd class load list = *
osd class default list = *
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
rgw data = {folder}/gateway
rgw frontends = beast {listen}
rgw enable apis = s3
rgw run sync thread = false
rgw gc max objs = 1
rgw lc max objs = 1
rgw objexp hints num shards = 1
rgw data log num shards = 1
rgw md log max shards = 1
rgw bucket quota ttl = 0
"""


class ObjectStorage:
    """A gateway that runs until `stop`, and fresh buckets in it."""

    def __init__(self) -> None:
        self._bin = Path(program("radosgw")).parent
        self.folder = Path(tempfile.mkdtemp(prefix="trgw-", dir="/tmp"))
        self._port, tls, monitor, osd = (free_port() for _ in range(4))
        self.endpoint = f"http://127.0.0.1:{self._port}"
        self.tls = f"https://127.0.0.1:{tls}"
        self.certificates = certificates(self.folder)
        self._count = count(1)
        self._running: list[subprocess.Popen[bytes]] = []
        listen = f"tcp_nodelay=1 endpoint=127.0.0.1:{self._port} ssl_endpoint=127.0.0.1:{tls} "
        listen += f"ssl_certificate={self.certificates.cert} ssl_private_key={self.certificates.key}"
        fsid, disk = str(uuid.uuid4()), str(uuid.uuid4())
        for part in ("monitor", "osd", "gateway"):
            (self.folder / part).mkdir()
        (self.folder / "keyring").touch()
        (self.folder / "ceph.conf").write_text(
            _CONFIGURATION.format(
                fsid=fsid,
                folder=self.folder,
                monitor=monitor,
                osd=osd,
                last=osd + 20,
                listen=listen,
            )
        )
        try:
            names = ("--create", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{monitor}/0]")
            self._run("monmaptool", *names, str(self.folder / "map"))
            self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", str(self.folder / "map"))
            self._start("ceph-mon", "-i", "a")
            self._run("ceph", "osd", "new", disk, "0")
            self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk)
            self._start("ceph-osd", "--no-mon-config", "-i", "0")
            self._gateway = self._start("radosgw", "--no-mon-config", "--name", "client.rgw")
            self._wait()
            self.admin(
                *("user", "create", "--uid=tetkik", "--display-name=Tetkik"),
                *(f"--access-key={KEY}", f"--secret-key={SECRET}"),
            )
        except BaseException:
            self.stop()
            raise

    def bucket(self, prefix: str = "hastane/a", *, versions: bool = False) -> Bucket:
        """A new bucket; it keeps `versions` where that is wanted."""
        name = f"tetkik-{next(self._count)}"
        requests = self.requests(name)
        made = requests.ask("PUT")
        assert made[0] == 200, made
        if versions:
            wanted = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
            assert requests.ask("PUT", query={"versioning": ""}, content=wanted)[0] == 200
        return Bucket(self.endpoint, name, prefix, REGION, KEY, SECRET)

    def requests(self, name: str) -> SignedRequests:
        """Requests of S3 to a bucket, for what the storage itself never asks."""
        return SignedRequests(self.endpoint, name, REGION, KEY, SECRET, None)

    def admin(self, *words: str) -> None:
        """Run a command of `radosgw-admin`."""
        self._run("radosgw-admin", "--no-mon-config", "--name", "client.rgw", *words)

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """The gateway takes connections and answers none."""
        self._gateway.send_signal(signal.SIGSTOP)
        # The signal ends no request that one of the gateway's threads is at; wait until all have stopped.
        os.waitid(os.P_PID, self._gateway.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        try:
            yield
        finally:
            self._gateway.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Stop the programs at once and remove their folder."""
        for one in reversed(self._running):
            one.kill()
            one.wait(PATIENCE)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _command(self, name: str, *words: str) -> list[str]:
        return [str(self._bin / name), "--conf", str(self.folder / "ceph.conf"), *words]

    def _run(self, name: str, *words: str) -> None:
        command = [str(self._bin / name), *words] if name == "monmaptool" else self._command(name, *words)
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"

    def _start(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.out").open("wb") as log:
            started = subprocess.Popen(self._command(name, "-f", *words), stdout=log, stderr=log)
        self._running.append(started)
        return started

    def _wait(self) -> None:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            with contextlib.suppress(OSError), urllib.request.urlopen(self.endpoint, timeout=1):
                return
            ended = [one.args for one in self._running if one.poll() is not None]
            assert not ended, f"{ended}: {[file.read_text() for file in self.folder.glob('*.out')]}"
            time.sleep(0.05)
        raise AssertionError("the gateway does not answer")
