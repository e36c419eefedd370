"""A zip as it comes from a patient's CD: which of its entries are images, and the content of one at a time.

Nothing of it is written to a disk by a name that it gives, links are not followed, and zips inside it stay
closed. What an entry is, its first bytes say: files on a CD (PS3.10, PS3.12) have no endings.
"""

from __future__ import annotations

import zipfile
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import PurePosixPath
from typing import IO

from tetkik.bundle.archive import UNREADABLE, ZIP, is_bomb, is_folder, is_link
from tetkik.errors import InputError, TetkikError
from tetkik.imaging.kinds import Kind, kind_of
from tetkik.imaging.limits import check_bytes
from tetkik.service.kit.http.incoming_files import Reservation, clean_file_name

MOST_ENTRIES = 20_000
_HEAD = 1024
_PIECE = 1 << 20
_ENCRYPTED = 0x1 | 0x40
_LOCAL_HEADER = 30
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True, slots=True)
class Member:
    """An entry that is an image, or that cannot be looked into.

    Names may come twice, so it has its place in the archive, counted from 1. The name is shown and sealed,
    and never a path.
    """

    number: int
    name: str = field(repr=False)
    entry: zipfile.ZipInfo = field(repr=False)
    fault: TetkikError | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """What an archive holds: images and what cannot be looked into, in its order; others stay closed."""

    members: tuple[Member, ...]
    others: int
    archives: int


class Archive:
    def __init__(self, content: IO[bytes], name: str) -> None:
        self._name = name
        self._content = content
        try:
            self._zip = zipfile.ZipFile(content)
        except UNREADABLE:
            raise _unreadable(content, name) from None
        if len(self._zip.filelist) > MOST_ENTRIES:
            raise InputError(
                "{file} holds more than {limit} files; send it in parts.", file=name, limit=MOST_ENTRIES
            )

    def survey(self, most: int) -> Survey:
        """Look at the beginning of each entry; altogether its images may unpack to `most` bytes."""
        clashing = self._clashing()
        members: list[Member] = []
        pictures: list[Member] = []
        others, archives, programs = 0, 0, set[PurePosixPath]()
        for number, entry in enumerate(self._zip.filelist, 1):
            if is_folder(entry):
                continue
            member = Member(number, clean_file_name(entry.filename), entry)
            fault = _fault_of(entry, member.name, overlaps=number in clashing)
            kind = Kind.OTHER
            if fault is None and entry.file_size and not is_link(entry):
                try:
                    with self._zip.open(entry) as packed:
                        kind = kind_of(packed.read(_HEAD))
                except UNREADABLE:
                    fault = _damaged(member.name)
            if fault is not None:
                members.append(Member(number, member.name, entry, fault))
            elif kind is Kind.DICOM:
                members.append(member)
            elif kind is Kind.PICTURE:
                pictures.append(member)
            else:
                others += 1
                archives += kind is Kind.ARCHIVE
                if kind is Kind.PROGRAM:
                    programs.add(PurePosixPath(entry.filename).parent)
        own = [picture for picture in pictures if not _belongs_to(picture.entry, programs)]
        members = sorted([*members, *own], key=lambda member: member.number)
        self._check(members, most)
        return Survey(tuple(members), others + len(pictures) - len(own), archives)

    def _check(self, members: Collection[Member], most: int) -> None:
        if not members:
            raise InputError(
                "{file} holds no DICOM, PNG, JPEG or TIFF file; look into it, and send the images.",
                file=self._name,
            )
        if sum(member.entry.file_size for member in members if member.fault is None) > most:
            raise InputError(
                "{file} unpacks to more than {limit} bytes of images; send it in parts, or have the setting "
                "max_archive_bytes raised.",
                file=self._name,
                limit=most,
            )

    def _clashing(self) -> set[int]:
        """The numbers of entries that reach into the next one: so a small zip pretends to be a large one."""
        entries = self._zip.filelist
        placed = sorted(
            (entry.header_offset, number)
            for number, entry in enumerate(entries, 1)
            if self._begins_at(entry.header_offset)
        )
        return {
            number
            for (start, number), (following, _) in pairwise(placed)
            if start + _LOCAL_HEADER + entries[number - 1].compress_size > following
        }

    def _begins_at(self, offset: int) -> bool:
        """Whether an entry begins there; one that lies about it fails when it is opened."""
        self._content.seek(max(0, offset))
        return self._content.read(len(ZIP)) == ZIP

    def content(self, member: Member, load: Reservation) -> bytes:
        if member.fault is not None:
            raise member.fault
        check_bytes(member.entry.file_size, member.name)
        pieces: list[bytes] = []
        try:
            # What unpacks to more than its directory says is cut off there, and its checksum fails.
            with self._zip.open(member.entry) as packed:
                while piece := packed.read(_PIECE):
                    load.add(len(piece))
                    pieces.append(piece)
        except UNREADABLE:
            raise _damaged(member.name) from None
        if sum(map(len, pieces)) != member.entry.file_size:
            raise _damaged(member.name)
        return b"".join(pieces)


def _unreadable(content: IO[bytes], name: str) -> InputError:
    content.seek(0)
    if content.read(len(ZIP)) == ZIP:
        return InputError("{file} is a zip that is damaged or cut short; make or copy it again.", file=name)
    return InputError("{file} is no zip; send one, or each image by itself.", file=name)


def _fault_of(entry: zipfile.ZipInfo, name: str, *, overlaps: bool) -> InputError | None:
    """What forbids to open an entry, as far as the directory tells."""
    if entry.flag_bits & _ENCRYPTED:
        return InputError(
            "{file} is encrypted in its zip; unpack it with its password and send it.", file=name
        )
    if overlaps or is_bomb(entry):
        return InputError(
            "{file} is packed as in a decompression bomb and was not opened; leave it out.", file=name
        )
    if entry.compress_type not in _PACKINGS:
        return InputError(
            "{file} is packed in a way that is not read here; pack it as an ordinary zip (deflate).",
            file=name,
        )
    return None


def _damaged(name: str) -> InputError:
    return InputError("{file} is damaged in its zip; make or copy the zip again.", file=name)


def _belongs_to(entry: zipfile.ZipInfo, programs: Collection[PurePosixPath]) -> bool:
    """Whether a picture lies in the folder of a program, such as the viewer on a CD; all below the top."""
    above = PurePosixPath(entry.filename).parents
    return any(folder in programs and folder.parts for folder in above)
