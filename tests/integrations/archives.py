"""Archives that results are sent to: Orthanc, dcmtk's storescp, and one that answers as it is told to."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt

from tests.ports import free_port
from tests.programs import program
from tetkik.integrations.systems import Configuration

_PLUGINS = Path("/usr/share/orthanc/plugins")


def systems(*peers: Any, routes: Any = ()) -> Configuration:
    """A file of systems with these peers, each named in `name`."""
    return Configuration.model_validate({"peer": peers, "route": routes})


@dataclass
class Orthanc:
    dicom: int
    http: int
    folder: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http}"

    def peer(self, name: str = "pacs", *, web: bool = False, **more: object) -> dict[str, object]:
        if web:
            return {"name": name, "dicomweb": f"{self.url}/dicom-web", **more}
        return {"name": name, "ae_title": "ORTHANC", "host": "127.0.0.1", "port": self.dicom, **more}

    def instances(self) -> dict[str, dict[str, str]]:
        """The main tags of everything that it has, by SOP Instance UID."""
        found = httpx.get(f"{self.url}/instances?expand", timeout=10).json()
        return {one["MainDicomTags"]["SOPInstanceUID"]: one for one in found}

    def file(self, identifier: str) -> bytes:
        return httpx.get(f"{self.url}/instances/{identifier}/file", timeout=10).content

    def clear(self) -> None:
        for one in httpx.get(f"{self.url}/patients", timeout=10).json():
            httpx.delete(f"{self.url}/patients/{one}", timeout=10)


@contextmanager
def orthanc(folder: Path, **settings: object) -> Iterator[Orthanc]:
    """An Orthanc with DICOM and DICOMweb on ports of its own; `settings` go into its configuration."""
    dicom, http = free_port(), free_port()
    file = folder / "orthanc.json"
    file.write_text(
        json.dumps(
            {
                "Name": "pacs",
                "StorageDirectory": str(folder / "storage"),
                "IndexDirectory": str(folder / "storage"),
                "DicomAet": "ORTHANC",
                "DicomCheckCalledAet": True,
                "DicomPort": dicom,
                "HttpPort": http,
                "RemoteAccessAllowed": True,
                "AuthenticationEnabled": False,
                "DefaultEncoding": "Utf8",
                "OverwriteInstances": True,
                "Plugins": [str(_PLUGINS)],
                "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
                **settings,
            }
        ),
        "utf-8",
    )
    command = [program("orthanc"), str(file)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
    made = Orthanc(dicom, http, folder, process)
    try:
        _wait(lambda: httpx.get(f"{made.url}/system", timeout=2).status_code in (200, 401))
        yield made
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def storescp(folder: Path, *options: str) -> Iterator[dict[str, object]]:
    """dcmtk's storescp; gives it as a peer."""
    port = free_port()
    command = [program("storescp"), *options, "-aet", "DCMTK", "-od", str(folder), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peer = {"name": "dcmtk", "ae_title": "DCMTK", "host": "127.0.0.1", "port": port}
    try:
        _wait(lambda: _listens(port))
        yield peer
    finally:
        process.terminate()
        process.wait(20)


@dataclass
class Archive:
    """Answers every object with `status`; keeps how often each came, and may end the association instead."""

    port: int
    status: int = 0x0000
    comment: str = ""
    hang_up: bool = False
    got: list[str] = field(default_factory=list)

    def peer(self, name: str = "told", **more: object) -> dict[str, object]:
        return {"name": name, "ae_title": "TOLD", "host": "127.0.0.1", "port": self.port, **more}

    @contextmanager
    def occupied(self) -> Iterator[None]:
        """Somebody else has an association with it meanwhile."""
        other = AE()
        other.add_requested_context("1.2.840.10008.1.1")
        association = other.associate("127.0.0.1", self.port)
        assert association.is_established
        yield
        association.release()

    def _stored(self, event: evt.Event) -> Dataset:
        self.got.append(str(event.file_meta.MediaStorageSOPInstanceUID))
        answer = Dataset()
        answer.Status = self.status
        if self.comment:
            answer.ErrorComment = self.comment
        if self.hang_up:
            event.assoc.abort()
        return answer


@contextmanager
def archive(*sop_classes: str, implicit: bool = False, **entity: object) -> Iterator[Archive]:
    """An archive of these SOP classes; keywords are attributes of pynetdicom's AE."""
    own = AE(ae_title="TOLD")
    own.maximum_associations = 50
    for name, value in entity.items():
        setattr(own, name, value)
    syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    for sop_class in sop_classes:
        own.add_supported_context(sop_class, [syntax])
    own.add_supported_context("1.2.840.10008.1.1")
    made = Archive(free_port())
    server = own.start_server(
        ("127.0.0.1", made.port), block=False, evt_handlers=[(evt.EVT_C_STORE, made._stored)]
    )
    try:
        yield made
    finally:
        assert server is not None
        server.shutdown()


@dataclass
class Web:
    """An HTTP server that answers as it is told to, and keeps what it was asked."""

    port: int = 0
    status: int = 200
    content: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/dicom+json"})
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    def peer(self, **more: object) -> dict[str, object]:
        return {"name": "web", "dicomweb": f"http://127.0.0.1:{self.port}/dicom-web", **more}


@contextmanager
def web() -> Iterator[Web]:
    made = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            made.asked.append((self.command, self.path, dict(self.headers), body))
            self.send_response(made.status)
            for name, value in made.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(made.content)))
            self.end_headers()
            self.wfile.write(made.content)

        do_POST = do_GET  # noqa: N815 - the names that http.server looks for

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def _wait(ready: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            if ready():
                return
        except httpx.HTTPError:
            pass
        assert time.monotonic() < end, "the archive does not start"
        time.sleep(0.05)
