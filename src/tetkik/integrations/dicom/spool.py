"""What came by DICOM and is not imported yet: sealed files, whole or not there, on the disk before success.

A file is named by a keyed digest of its SOP Instance UID and one of its content: the same object twice is one
file, and another object under the same UID is not lost. It holds the data set as it came, sealed in pieces
under a key of its own, and behind it, sealed too, where it came from:

    magic · salt · pieces of the data set · sealed origin · length of that
"""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import struct
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import structlog
from pydicom import Dataset
from pydicom.charset import python_encoding
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement

from tetkik.documents.dicom import is_result
from tetkik.errors import InputError, RecordsError, TetkikError
from tetkik.files import sync
from tetkik.imaging.dicom import parse_dicom
from tetkik.imaging.read import load_readers
from tetkik.imaging.subprocess_worker import WorkerPool
from tetkik.imaging.tags import identity_of, image_tags, items, text, texts, whole
from tetkik.records.vault import Key, Vault
from tetkik.values.radiograph import Identity, ImageTags

# Text in the character set that its bytes are in, whatever its sender declares.
#
# Scanners declare ISO_IR 100 (Latin-1) and write ISO_IR 148 (Latin-5, Turkish), UTF-8 or Windows-1254:
# `ŞAHİN` then reads `ÞAHÝN`. Bytes that are UTF-8 are hardly ever anything else, so they are read as such;
# the others follow the setting of the peer (`character_set`), and nothing but a setting overrides a
# declaration that can be true. Declarations are those of DICOM (Specific Character Set, PS3.3 C.12.1.1.2)
# or of HL7 (table 0211).


TURKISH = "ISO_IR 148"
_TURKISH_CODEC = "cp1254"
"""Windows-1254 holds ISO 8859-9, and has signs where that has control characters."""
_LATIN_1 = frozenset({"latin_1", "iso8859"})
_CODECS = {
    **{name: codec for name, codec in python_encoding.items() if name},
    "ISO_IR 6": "ascii",  # pydicom reads Latin-1, which is more than the standard has there
    "ISO 2022 IR 6": "ascii",
    TURKISH: _TURKISH_CODEC,
    "ISO 2022 IR 148": _TURKISH_CODEC,
    "WINDOWS-1254": _TURKISH_CODEC,
    "CP1254": _TURKISH_CODEC,
    "UTF-8": "utf-8",
    "ASCII": "ascii",
    "8859/9": _TURKISH_CODEC,
    "8859/1": "latin_1",
    **{f"8859/{part}": f"iso8859_{part}" for part in (2, 3, 4, 5, 6, 7, 8, 15)},
    "UNICODE UTF-8": "utf-8",
}
_OTHER_IN_TURKISH = frozenset("ÝýÞþÐð")
"""What Latin-1 has in the places where Latin-5 has İ ı Ş ş Ğ ğ; the two differ in nothing else."""


@dataclass(frozen=True, slots=True)
class DecodedText:
    text: str = field(repr=False)
    repaired: bool = False
    """Whether the declaration makes another text of the bytes, or none."""
    proposed: str | None = None
    """What the bytes seem to be in, where the text stands as declared and looks wrong."""


def codec_of(name: str) -> str | None:
    """The codec of a character set by its name in DICOM or HL7; None for one that is not known."""
    return _CODECS.get(" ".join(name.upper().split()))


def load_codecs() -> None:
    """Have every codec at hand: where a process may open no file any more, Python cannot import one."""
    for codec in set(_CODECS.values()):
        codecs.lookup(codec)


def decode_text(raw: bytes, declared: str | None, really: str | None = None) -> DecodedText:
    """The text of bytes.

    Args:
        declared: the first character set that the sender names; None or empty for none.
        really: what the setting of the peer says that its text is in.
    """
    if raw.isascii():
        return DecodedText(raw.decode("ascii"))
    stated = _decoded(raw, codec_of(declared or "ASCII"))
    actual = _decoded(raw, "utf-8")
    if actual is None and really:
        actual = _decoded(raw, codec_of(really))
    if actual is not None:
        return DecodedText(actual, repaired=actual != stated)
    if stated is None:
        return DecodedText(raw.decode(_TURKISH_CODEC, "replace"), repaired=True, proposed=TURKISH)
    is_suspect = codec_of(declared or "") in _LATIN_1 and not _OTHER_IN_TURKISH.isdisjoint(stated)
    return DecodedText(stated, proposed=TURKISH if is_suspect else None)


def repair_text(raw: bytes, declared: str | None, really: str | None = None) -> str:
    """The text alone."""
    return decode_text(raw, declared, really).text


def _decoded(raw: bytes, codec: str | None) -> str | None:
    with suppress(UnicodeDecodeError):
        return raw.decode(codec) if codec is not None else None
    return None


# What a received file says of itself, without its pixels; read in a sandboxed process.


_TEXTS = (
    "PatientName",
    "PatientID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "SeriesDescription",
    "StudyDescription",
    "IssuerOfPatientID",
)


@dataclass(frozen=True, slots=True)
class HeaderRequest:
    content: bytes = field(repr=False)
    name: str
    """Of the file, for an error."""
    character_set: str | None = None
    """What the setting of the peer says that its text is in."""


@dataclass(frozen=True, slots=True)
class Header:
    """Of one file; the text is repaired (`character_sets`)."""

    identity: Identity
    tags: ImageTags
    description: str = field(default="", repr=False)
    """Study Description (0008,1030)."""
    issuer: str = ""
    """Of the Patient ID (0010,0021)."""
    accession_issuer: str = ""
    """Issuer of Accession Number Sequence (0008,0051), Local Namespace Entity ID (0040,0031)."""
    declared: str = ""
    """The first value of Specific Character Set (0008,0005)."""
    repaired: bool = False
    proposed: str | None = None
    """A character set that the text seems to be in, where no setting says so."""
    is_result: bool = False
    """Whether it was made of a report (`documents.dicom`)."""


class HeaderReader(WorkerPool):
    """Processes that read headers: what a hostile file makes of one reaches nothing else."""

    def __init__(self, count: int = 1) -> None:
        super().__init__((read_header,), count, prepare=_prepare)

    def read(self, request: HeaderRequest) -> Header:
        """The header of a file; `InputError` where it cannot be read."""
        found = self.call(read_header, request, request.name)
        if isinstance(found, TetkikError):
            raise found
        return found


def _prepare() -> None:
    load_readers()
    load_codecs()


def read_header(request: HeaderRequest) -> Header:
    """What a file says; `InputError` for one that is damaged or says of no study that it is of it."""
    dataset, _syntax = parse_dicom(request.content, request.name)
    declared = next(iter(texts(dataset, "SpecificCharacterSet")), "")
    # Before anything else looks at the values: pydicom keeps the bytes until then.
    found = {
        keyword: decoded
        for keyword in _TEXTS
        if (decoded := _decoded_of_headers(dataset, keyword, declared, request.character_set)) is not None
    }
    identity = identity_of(dataset)
    if not identity.study_uid or not identity.instance_uid:
        raise InputError(
            "{file} has no Study Instance UID or no SOP Instance UID; correct the system that sent it.",
            file=request.name,
        )

    def value_of(keyword: str) -> str:
        return found[keyword].text if keyword in found else ""

    tags = image_tags(dataset, max(whole(dataset, "NumberOfFrames") or 1, 1))
    accession_issuer = next(iter(items(dataset, "IssuerOfAccessionNumberSequence")), Dataset())
    return Header(
        identity=replace(
            identity,
            patient_name=value_of("PatientName") or identity.patient_name,
            patient_id=value_of("PatientID") or identity.patient_id,
            accession=value_of("AccessionNumber") or identity.accession,
            referrer=value_of("ReferringPhysicianName") or identity.referrer,
        ),
        tags=replace(tags, series=value_of("SeriesDescription") or tags.series),
        description=value_of("StudyDescription"),
        issuer=value_of("IssuerOfPatientID"),
        accession_issuer=text(accession_issuer, "LocalNamespaceEntityID") or "",
        declared=declared,
        repaired=any(one.repaired for one in found.values()),
        proposed=next((one.proposed for one in found.values() if one.proposed), None),
        is_result=is_result(dataset),
    )


def _decoded_of_headers(
    dataset: Dataset, keyword: str, declared: str, really: str | None
) -> DecodedText | None:
    """A text of the file from its bytes; None where there is none, or only pydicom can read it.

    ISO 2022 escape sequences name their character sets themselves (PS3.5 6.1.2.5).
    """
    tag = tag_for_keyword(keyword)
    element = dataset.get_item(tag, keep_deferred=True) if tag is not None and tag in dataset else None
    raw = element.value if isinstance(element, RawDataElement) else None
    if not isinstance(raw, bytes) or b"\x1b" in raw:
        return None
    decoded = decode_text(raw.partition(b"\\")[0].strip(b" \0"), declared, really)
    return decoded if decoded.text else None


FOLDER = "incoming"
"""Of the spool, in `data_dir`."""
_MAGIC = b"TETKIKS1"
_SALT = 16
_LENGTH = struct.Struct(">I")
_LONGEST_ORIGIN = 4096
_GATHERED = 256 << 10
"""Bytes that are sealed at once, at least."""
_PART, _DAMAGED = ".part", ".damaged"
_NO_OBJECTS = (_PART, _DAMAGED)
REFUSALS = "listen.refused"
"""A file beside the folder, of as many bytes as objects were refused since `tetkik listen` started."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an object came from, as its association said."""

    peer: str
    calling_ae: str
    sop_class: str
    sop_instance_uid: str
    transfer_syntax: str
    received_at: str
    """ISO 8601, UTC."""


class NoRoom(RecordsError):
    """The disk has less free than its reserve, or the object is longer than it may be."""


class Spool:
    """The folder of objects that wait; several processes may use it at once."""

    def __init__(
        self, folder: Path, vault: Vault, *, reserve_bytes: int = 0, object_bytes: int = 4_000_000_000
    ) -> None:
        self.folder = folder
        self._vault = vault
        self._reserve = reserve_bytes
        self.longest_object = object_bytes
        self._known: dict[str, tuple[tuple[int, int], ReceivedFile]] = {}
        """What was opened of files that still wait, with inode and time of change: some wait for weeks."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def receive(self, origin: Origin) -> Receiving:
        """Begin an object; `NoRoom` where the disk has less free than its reserve."""
        self.check_room()
        return Receiving(self, origin, self._prefix(origin.sop_instance_uid), self._vault)

    def check_room(self) -> None:
        """`NoRoom` where the disk has less free than its reserve."""
        if _free_bytes(self.folder) < self._reserve:
            raise NoRoom("The disk of incoming images is full up to its reserve (reserve_bytes); free space.")

    def note_refusal(self) -> None:
        """Count an object that was refused, for monitoring; several processes do."""
        with suppress(OSError), (self.folder.parent / REFUSALS).open("ab") as file:
            file.write(b".")

    def incoming(self) -> Iterator[ReceivedFile]:
        """Every object that waits, in no order; one that cannot be read is put aside and told in the log."""
        with os.scandir(self.folder) as entries:
            names = [entry.name for entry in entries if not entry.name.endswith(_NO_OBJECTS)]
        before, self._known = self._known, {}
        for name in names:
            path = self.folder / name
            try:
                self._known[name] = self._opened(name, before)
                yield self._known[name][1]
            except FileNotFoundError:  # another process imported it meanwhile
                continue
            except OSError as fault:  # too many open files, a share that is away: it is whole all the same
                log.error("spool_unreadable", file=name, fault=fault.strerror)
            except (ValueError, TypeError, RecordsError):
                with suppress(OSError):
                    path.rename(path.with_suffix(_DAMAGED))
                log.error("spool_damaged", file=name)

    def find(self, name: str) -> ReceivedFile:
        """An object by the name of its file.

        Raises:
            FileNotFoundError: it does not wait here.
            ValueError, TypeError, RecordsError: it is damaged.
        """
        return self._opened(name, self._known)[1]

    def _opened(
        self, name: str, known: Mapping[str, tuple[tuple[int, int], ReceivedFile]]
    ) -> tuple[tuple[int, int], ReceivedFile]:
        """An object, opened where it is not the one that is known, with its inode and time of change."""
        path = self.folder / name
        stat = path.stat()
        at = (stat.st_ino, stat.st_mtime_ns)
        before = known.get(name)
        return before if before is not None and before[0] == at else (at, _opened(path, self._vault))

    def held(self, sop_instance_uids: Collection[str]) -> set[str]:
        """Those of some SOP Instance UIDs that are safe here."""
        with os.scandir(self.folder) as entries:
            there = {
                entry.name.partition("-")[0] for entry in entries if not entry.name.endswith(_NO_OBJECTS)
            }
        return {uid for uid in sop_instance_uids if self._prefix(uid) in there}

    def _prefix(self, sop_instance_uid: str) -> str:
        return instance_digest(self._vault, sop_instance_uid).hex()[:32]


class Receiving:
    """An object that is coming in: written piece by piece, then kept or discarded."""

    def __init__(self, spool: Spool, origin: Origin, prefix: str, vault: Vault) -> None:
        salt = os.urandom(_SALT)
        self._spool, self._folder = spool, spool.folder
        self._prefix, self._origin, self._vault = prefix, origin, vault
        self._key, self._place = _key_of(vault, salt)
        self._size = self._number = self._gathered = 0
        self._waiting: list[bytes] = []
        self._sha256 = hashlib.sha256()
        self._part = self._folder / f"{os.getpid()}-{salt.hex()}{_PART}"
        handle = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file: IO[bytes] = os.fdopen(handle, "wb", buffering=0)
        self._file.write(_MAGIC + salt)

    def write(self, content: bytes) -> None:
        """Take what came next; `NoRoom` where it is more than an object, or the disk, may have."""
        self._size += len(content)
        if self._size > self._spool.longest_object:
            raise NoRoom("An object is longer than object_bytes allows; raise it, or send smaller ones.")
        if self._gathered >= _GATHERED:
            self._spool.check_room()  # many long ones that began together would go below the reserve
            self._put(last=False)
        self._waiting.append(content)
        self._gathered += len(content)

    def keep(self) -> str:
        """Bring the object to the disk under its name, which is given back; `ValueError` for an empty one."""
        if not self._size:
            raise ValueError("empty")
        self._put(last=True)
        sealed = self._key.seal(json.dumps(asdict(self._origin)).encode(), f"{self._place}:origin")
        self._file.write(sealed + _LENGTH.pack(len(sealed)))
        content = self._vault.digest("object", self._sha256.hexdigest()).hex()[:32]
        target = self._folder / f"{self._prefix}-{content}"
        # The same again takes the place of what is there, which may have been refused meanwhile.
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(target)
        sync(self._folder)
        return target.name

    def discard(self) -> None:
        """Leave nothing of it; once it is kept, nothing happens."""
        if not self._file.closed:
            self._file.close()
            self._part.unlink(missing_ok=True)

    def _put(self, *, last: bool) -> None:
        piece = b"".join(self._waiting)
        self._sha256.update(piece)
        self._key.write_piece(self._file, self._place, self._number, piece, last=last)
        self._number += 1
        self._waiting.clear()
        self._gathered = 0


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """An object that waits to be imported."""

    path: Path
    origin: Origin
    _vault: Vault

    @property
    def peer(self) -> str:
        return self.origin.peer

    @property
    def calling_ae(self) -> str:
        return self.origin.calling_ae

    @property
    def sop_class(self) -> str:
        return self.origin.sop_class

    @property
    def sop_instance_uid(self) -> str:
        return self.origin.sop_instance_uid

    @property
    def transfer_syntax(self) -> str:
        return self.origin.transfer_syntax

    @property
    def received_at(self) -> datetime:
        return datetime.fromisoformat(self.origin.received_at)

    def open(self) -> bytes:
        """The whole DICOM file (PS3.10): preamble, file meta information, and the data set as it came.

        `RecordsError` where it was altered or is cut short.
        """
        pieces = [_head_of(self.origin)]
        with self.path.open("rb") as file:
            file.seek(len(_MAGIC))
            key, place = _key_of(self._vault, file.read(_SALT))
            last = False
            while not last:
                try:
                    piece, last = key.read_piece(file, place, len(pieces) - 1)
                except ValueError:
                    raise RecordsError("A received file is damaged; have the study sent again.") from None
                pieces.append(piece)
        return b"".join(pieces)

    def remove(self) -> None:
        """Forget it, once what it says is in the database."""
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class SpoolFigures:
    """What waits on the disk to be imported."""

    files: int
    size: int
    oldest_seconds: float
    refused: int
    free: int


def measure_spool(folder: Path) -> SpoolFigures | None:
    """For monitoring; None where nothing was ever received."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # it was imported at this moment
                    found += [entry.stat()] if not entry.name.endswith(_NO_OBJECTS) else []
        free = _free_bytes(folder)
    except FileNotFoundError:
        return None
    count = folder.parent / REFUSALS
    refused = count.stat().st_size if count.exists() else 0
    oldest = max(0.0, time.time() - min(stat.st_mtime for stat in found)) if found else 0.0
    return SpoolFigures(len(found), sum(stat.st_size for stat in found), oldest, refused, free)


def _free_bytes(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def remove_unfinished(folder: Path, pid: int | None = None) -> int:
    """Remove what a process that is no more left unfinished, or what all of them left. Gives how many."""
    parts = list(folder.glob(f"{pid or '*'}-*{_PART}"))
    for part in parts:
        part.unlink(missing_ok=True)
    return len(parts)


def instance_digest(vault: Vault, sop_instance_uid: str) -> bytes:
    """The keyed digest by which an object is known here and in the database (`received_files`)."""
    return vault.digest("sop instance", sop_instance_uid)


def now() -> str:
    return datetime.now(UTC).isoformat()


def _key_of(vault: Vault, salt: bytes) -> tuple[Key, str]:
    return vault.spool_key(salt), f"spool:{salt.hex()}"


def _opened(path: Path, vault: Vault) -> ReceivedFile:
    with path.open("rb") as file:
        head = file.read(len(_MAGIC) + _SALT)
        if head[: len(_MAGIC)] != _MAGIC:
            raise ValueError("another format")
        file.seek(-_LENGTH.size, os.SEEK_END)
        (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
        if length > _LONGEST_ORIGIN:
            raise ValueError("another format")
        file.seek(-_LENGTH.size - length, os.SEEK_END)
        key, place = _key_of(vault, head[len(_MAGIC) :])
        origin = Origin(**json.loads(key.open(file.read(length), f"{place}:origin")))
    return ReceivedFile(path, origin, vault)


def _head_of(origin: Origin) -> bytes:
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_file_meta_info
    from pydicom.uid import UID
    from pynetdicom.dsutils import create_file_meta

    head = DicomBytesIO()
    meta = create_file_meta(
        sop_class_uid=UID(origin.sop_class),
        sop_instance_uid=UID(origin.sop_instance_uid),
        transfer_syntax=UID(origin.transfer_syntax),
    )
    meta.SourceApplicationEntityTitle = origin.calling_ae
    write_file_meta_info(head, meta)
    return b"\0" * 128 + b"DICM" + head.getvalue()
