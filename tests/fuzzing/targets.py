"""What reads input from outside, each with inputs that are nearly sound.

A reader either takes an input or refuses it by one of the errors that it may raise. Everything else is a
finding: another error, a process that ends, 20 seconds of processor, or more memory than allowed.
"""

from __future__ import annotations

import atexit
import io
import json
import os
import random
import shutil
import socket
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from pydicom.uid import UID, JPEG2000Lossless, JPEGBaseline8Bit, JPEGLossless, JPEGLSLossless

from tests.fuzzing.mutations import mutated_bytes, mutated_text
from tests.fuzzing.text_readers import TEXT_READERS, sentences
from tests.imaging.files import (
    as_bytes,
    codestream_of,
    dataset,
    picture,
    raster,
    sound_files,
    with_codestream,
)
from tests.integrations.dicom.listener import CR_IMAGE, Listener, listening
from tests.integrations.dicom.wire import RELEASE, answered, data, request, store
from tests.integrations.hl7.messages import MAPPING, ZONE, adt, orm
from tests.records.kit import made_case, made_records, made_user
from tests.records.pictured import film
from tests.service.zips import cd, zipped
from tetkik.bundle import Manifest, Task, export_bundle, import_bundle, open_bundle, write_manifest
from tetkik.errors import BundleError, InputError, TetkikError
from tetkik.imaging.deidentify import Options, Secret, deidentify_bytes
from tetkik.imaging.presentation import read_state, states_of
from tetkik.imaging.read import read_bytes
from tetkik.imaging.tag_list import list_tags
from tetkik.integrations.dicom.spool import HeaderRequest
from tetkik.integrations.dicom.spool import read_header as read_dicom_header
from tetkik.integrations.hl7.intake import check_message
from tetkik.records.database import Records
from tetkik.records.lifecycle.backup import MANIFEST, make_backup, read_header, read_members, write_archive
from tetkik.records.lifecycle.restore import restore_backup
from tetkik.report.facts import read_findings
from tetkik.report.passages.documents import read_blocks
from tetkik.service.kit.http.incoming_files import MemoryBudget
from tetkik.service.studies.archive import Archive

Dice = random.Random


@dataclass(frozen=True)
class Target:
    """A reader of input from outside.

    Attributes:
        make: an input, of the dice.
        read: reads it.
        refusals: errors by which it may refuse.
        examples: inputs in the tests.
    """

    make: Callable[[Dice], bytes]
    read: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...] = (InputError,)
    examples: int = 200


# Images


def _dicom(dice: Dice) -> bytes:
    return mutated_bytes(dice, list(sound_files().values()))


def _only_dicom(dice: Dice) -> bytes:
    return mutated_bytes(dice, [data for data in sound_files().values() if data[128:132] == b"DICM"])


@cache
def _codestreams() -> list[tuple[UID, bytes]]:
    grey = picture()
    made = [
        (uid, codestream_of(as_bytes(dataset(grey, 12), uid)))
        for uid in (JPEG2000Lossless, JPEGLSLossless, JPEGLossless)
    ]
    return [*made, (JPEGBaseline8Bit, raster((grey >> 4).astype(np.uint8), "JPEG"))]


def _codestream(dice: Dice) -> bytes:
    """A sound file around a codestream that is not: what gets by the parser goes to the decoder in C."""
    uid, stream = dice.choice(_codestreams())
    made = dataset((picture() >> 4).astype(np.uint8)) if uid == JPEGBaseline8Bit else dataset(picture(), 12)
    return with_codestream(made, mutated_bytes(dice, [stream]), uid)


@cache
def _state() -> tuple[bytes, bytes]:
    """A presentation state, and the image that it is of."""
    from tests.documents.test_presentation_state import ct, written
    from tetkik.values.presentation import Presentation

    image = ct()
    return written(Presentation((0.4, 0.3), True, 90, False, ((10.0, 20.0), (90.0, 80.0))), image), image


def _show(data: bytes) -> None:
    about, (_, image) = read_state((data, "FILE")), _state()
    for reference in about.references:
        states_of(((data,), image, "FILE", reference.uid, 1))


def _deidentify(data: bytes) -> object:
    return deidentify_bytes(data, "FILE", Secret(b"0123456789abcdef"), Options())


# Archives


@cache
def _archives() -> list[bytes]:
    png = (b"\x89PNG\r\n\x1a\n" + bytes(90),)
    return [zipped(cd(film(0))), zipped([("a.png", *png), ("b/c.png", *png)], zipfile.ZIP_STORED)]


def _archive(data: bytes) -> None:
    archive = Archive(io.BytesIO(data), "FILE")
    for member in archive.survey(1 << 30).members:
        with MemoryBudget().reserve() as load:
            try:
                archive.content(member, load)
            except TetkikError as fault:
                assert isinstance(fault, InputError), fault


@cache
def _bundle_zip() -> bytes:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "bundle")
        folder.mkdir()
        np.savez(folder / "model.npz", weights=np.arange(50, dtype=np.float32))
        (folder / "README.md").write_text("# A model\n", "utf-8")
        write_manifest(
            folder,
            Manifest(
                id="ornek",
                version="1.0",
                task=Task.TRIAGE,
                kind="linear",
                labels=("Dahiliye", "Ortopedi"),
                created="2026-01-01",
            ),
        )
        return export_bundle(open_bundle(folder), Path(name, "bundle.zip")).read_bytes()


def _bundle(dice: Dice) -> bytes:
    """A zip whose octets are changed, or a sound zip with a changed manifest."""
    if dice.random() < 0.5:
        return mutated_bytes(dice, [_bundle_zip()])
    with zipfile.ZipFile(io.BytesIO(_bundle_zip())) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    entries["manifest.json"] = mutated_bytes(dice, [entries["manifest.json"]])
    return zipped(entries.items())


def _import(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        source, models = Path(name, "bundle.zip"), Path(name, "models")
        source.write_bytes(data)
        taken: set[Path] = set()
        try:
            taken.add(open_bundle(import_bundle(source, models).path).path)
        finally:
            there = {path.name for path in Path(name).iterdir()}
            left = set(models.iterdir()) - taken if models.exists() else set()
            assert there <= {"bundle.zip", "models"} and not left, (there, left)


# Backups


@cache
def _hospital() -> tuple[Path, Records, bytes]:
    """A folder, records with one case in it, and their backup."""
    folder = Path(tempfile.mkdtemp(prefix="tetkik-fuzz-"))
    records = made_records(folder / "first")
    made_case(records, made_user(records, *()), question="nefes darlığı")
    make_backup(records, folder / "backup")
    return folder, records, (folder / "backup").read_bytes()


def _backup(dice: Dice) -> bytes:
    """A backup whose octets are changed, or one whose sealed members somebody with the key has changed."""
    folder, records, sound = _hospital()
    if dice.random() < 0.3:
        return mutated_bytes(dice, [sound])
    with (folder / "backup").open("rb") as file:
        header = read_header(file)
    members = {name: content.read() for name, content in read_members(folder / "backup", records.vault)}
    manifest = json.loads(members.pop(MANIFEST))
    changed = dice.choice([*members, MANIFEST])
    with write_archive(folder / "changed", records.vault, header) as archive:
        for name, content in members.items():
            archive.add(name, mutated_bytes(dice, [content]) if name == changed else content)
        content = json.dumps({**manifest, "hashes": archive.hashes}).encode()
        archive.add(MANIFEST, mutated_bytes(dice, [content]) if changed == MANIFEST else content)
    data = (folder / "changed").read_bytes()
    (folder / "changed").unlink()
    return data


def _restore(data: bytes) -> None:
    folder, _, _ = _hospital()
    source, target = folder / "given", folder / "second"
    source.write_bytes(data)
    shutil.copytree(folder / "first" / "keys", target / "keys")
    try:
        restore_backup(made_records(target), source)
    finally:
        shutil.rmtree(target)


# Documents and JSON


@cache
def _docx() -> bytes:
    import docx

    made, packed = docx.Document(), io.BytesIO()
    made.add_heading("Kılavuz", 1)
    made.add_paragraph("Plevral efüzyonda kontrol grafisi önerilir.")
    made.save(packed)
    return packed.getvalue()


def _document(dice: Dice) -> bytes:
    """A DOCX whose octets are changed, or a sound zip with changed XML in it."""
    if dice.random() < 0.5:
        return mutated_bytes(dice, [_docx()])
    with zipfile.ZipFile(io.BytesIO(_docx())) as archive:
        entries = {name: archive.read(name) for name in ("word/document.xml", "word/styles.xml")}
    name = dice.choice([*entries])
    return zipped({**entries, name: mutated_bytes(dice, [entries[name]])}.items())


def _read_as(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    def from_file(data: bytes) -> object:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, name)
            file.write_bytes(data)
            return read(file)

    return from_file


@cache
def _findings() -> bytes:
    from tests.report.made import result_of

    return json.dumps(result_of({"Mass": "certain", "Effusion": "absent"}).as_json()).encode()


# Messages of the hospital's systems


def _message(dice: Dice) -> bytes:
    return mutated_bytes(dice, [adt(), adt("A40", more="MRG|4712^^^HASTANE^PI"), orm()])


def _check(data: bytes) -> None:
    said = check_message(data, MAPPING, ZONE, "ISO_IR 148")
    assert said.answer in {"AA", "AE", "AR"} and bool(said.remarks)


@cache
def _listener(_process: int) -> Listener:
    """A DICOM port of this process, which stays open: no thread of it is in a fork."""
    opened = listening(Path(tempfile.mkdtemp(prefix="tetkik-fuzz-")), silent_seconds=1)
    made = opened.__enter__()
    atexit.register(opened.__exit__, None, None, None)
    return made


def _association(dice: Dice) -> bytes:
    """A caller's whole side of an association that stores an object; its bytes are changed."""
    stored = data(store(CR_IMAGE, "1.2.3", 1), 3) + data(bytes(range(256)) * 8, 2)
    return mutated_bytes(dice, [request() + stored + RELEASE, request() + data(b"", 3) + RELEASE])


def _call(sent: bytes) -> None:
    """Send it all; whatever it is, the port takes the next caller, and what is kept can be read."""
    listener = _listener(os.getpid())
    with socket.create_connection(("127.0.0.1", listener.port), 20) as caller, suppress(ConnectionError):
        caller.sendall(sent)
        caller.shutdown(socket.SHUT_WR)
        while caller.recv(65536):
            pass
    with socket.create_connection(("127.0.0.1", listener.port), 20) as caller:
        caller.sendall(request())
        assert answered(caller)
    for kept in listener.files():
        kept.open()
        kept.remove()
    assert not any(name.endswith(".damaged") for name in listener.names())


# Text


def _text(dice: Dice) -> bytes:
    return mutated_text(dice, sentences()).encode("utf-8", "surrogatepass")


def _texts(data: bytes) -> None:
    text = data.decode("utf-8", "surrogatepass")
    for read in TEXT_READERS.values():
        read(text)


TARGETS: dict[str, Target] = {
    "images": Target(_dicom, lambda data: read_bytes(data, "FILE"), examples=400),
    "codestreams": Target(_codestream, lambda data: read_bytes(data, "FILE"), examples=400),
    "tags": Target(_only_dicom, lambda data: list_tags((data, "FILE"))),
    "headers": Target(_only_dicom, lambda data: read_dicom_header(HeaderRequest(data, "FILE", "ISO_IR 148"))),
    "presentation states": Target(lambda dice: mutated_bytes(dice, [_state()[0]]), _show),
    "de-identification": Target(_only_dicom, _deidentify, examples=100),
    "archives of studies": Target(lambda dice: mutated_bytes(dice, _archives()), _archive),
    "bundles": Target(_bundle, _import, (BundleError,)),
    "backups": Target(_backup, _restore, (TetkikError,), examples=30),
    "documents": Target(_document, _read_as("file.docx", read_blocks)),
    "findings files": Target(
        lambda dice: mutated_bytes(dice, [_findings()]),
        _read_as("findings.json", read_findings),
        (TetkikError,),
    ),
    "DICOM associations": Target(_association, _call, (), examples=25),
    "HL7 messages": Target(_message, _check, (), examples=400),
    "texts": Target(_text, _texts, (), examples=300),
}
