"""Archives that lie: what they pretend costs themselves, and nothing is read beyond bounds."""

from __future__ import annotations

import io
import struct
import zipfile

import pytest

from tests.records.pictured import film
from tests.service.zips import cd, directory, zipped
from tetkik.errors import InputError
from tetkik.imaging.kinds import Kind, kind_of
from tetkik.service.kit.http.incoming_files import MemoryBudget
from tetkik.service.studies import archive
from tetkik.service.studies.archive import Archive

MOST = 10**9
JPEG = b"\xff\xd8\xff"


def outcomes(content: bytes) -> dict[str, bytes | str]:
    """The content of each member, or the word that says why there is none."""
    archive = Archive(io.BytesIO(content), "cd.zip")
    found: dict[str, bytes | str] = {}
    for member in archive.survey(MOST).members:
        with MemoryBudget().reserve() as load:
            try:
                found[f"{member.number}:{member.name}"] = archive.content(member, load)
            except InputError as fault:
                found[f"{member.number}:{member.name}"] = fault.template.split(" ", 3)[2]
    return found


def central(content: bytes, index: int) -> int:
    """Where the entry with this index stands in the central directory."""
    at = -1
    for _ in range(index + 1):
        at = content.index(b"PK\x01\x02", at + 1)
    return at


def patched(content: bytes, index: int, offset: int, value: int, kind: str = "<I") -> bytes:
    """The archive with a field of a directory entry changed."""
    at = central(content, index) + offset
    return content[:at] + struct.pack(kind, value) + content[at + struct.calcsize(kind) :]


def test_a_sound_archive_gives_its_images_byte_for_byte():
    content = zipped([*cd(film(0)), ("EK/foto.jpg", JPEG + bytes(50)), ("ust.png", b"\x89PNG\r\n\x1a\nx")])
    found = outcomes(content)
    assert list(found.values()) == [film(0), JPEG + bytes(50), b"\x89PNG\r\n\x1a\nx"]


def test_pictures_of_a_viewer_stay_closed_and_those_beside_it_do_not():
    program = ("A/viewer.exe", b"MZ" + bytes(99))
    survey = Archive(
        io.BytesIO(
            zipped(
                [program, ("A/b/icon.jpg", JPEG), ("B/film.jpg", JPEG), ("top.exe", b"MZ"), ("c.jpg", JPEG)]
            )
        ),
        "cd.zip",
    ).survey(MOST)
    assert [member.name for member in survey.members] == ["film.jpg", "c.jpg"] and survey.others == 3


def test_the_same_name_twice_is_two_files():
    with pytest.warns(UserWarning, match="Duplicate"):
        content = zipped([("a", film(0)), ("a", film(5))])
    assert outcomes(content) == {"1:a": film(0), "2:a": film(5)}


def test_a_file_without_a_name_is_a_file():
    content = zipped([("?film", film(0)), ("b", JPEG + b"b")]).replace(b"?film", b"\0film")
    assert outcomes(content) == {"1:": film(0), "2:b": JPEG + b"b"}  # names are cut at a zero


@pytest.mark.parametrize(
    ("offset", "value", "kind"),
    [
        (24, 10, "<I"),
        (24, 4000, "<I"),
        (20, 5, "<I"),
        (16, 1, "<I"),
        (42, 7, "<I"),
        (10, 12, "<H"),
        (8, 1, "<H"),
    ],
    ids=["shorter", "longer", "less packed", "checksum", "elsewhere", "bzip2", "encrypted"],
)
def test_a_lie_in_the_directory_costs_its_entry_alone(offset, value, kind):
    picture = JPEG + bytes(range(256)) * 8
    content = zipped([("a", JPEG + b"a"), ("b", picture), ("c", JPEG + b"c")])
    found = outcomes(patched(content, 1, offset, value, kind))
    assert (found["1:a"], found["3:c"]) == (JPEG + b"a", JPEG + b"c")
    assert isinstance(found.get("2:b", ""), str)


def test_entries_that_share_their_bytes_are_not_read():
    content = zipped([("a", film(0)), ("b", JPEG + b"b"), ("c", JPEG + b"c")])
    first = struct.unpack_from("<I", content, central(content, 0) + 42)[0]
    quoted = patched(content, 1, 42, first)
    found = outcomes(quoted)
    assert found["3:c"] == JPEG + b"c" and film(0) not in found.values()
    huge = patched(content, 1, 20, 2**31)
    assert outcomes(huge)["1:a"] == film(0) and outcomes(huge)["3:c"] == JPEG + b"c"


def test_a_link_is_not_followed():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        link = zipfile.ZipInfo("film.dcm")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, film(0))
        archive.writestr("a.jpg", JPEG)
    survey = Archive(io.BytesIO(packed.getvalue()), "cd.zip").survey(MOST)
    assert [member.name for member in survey.members] == ["a.jpg"] and survey.others == 1


def test_more_entries_than_any_cd_has_are_refused(monkeypatch):
    monkeypatch.setattr(archive, "MOST_ENTRIES", 3)
    with pytest.raises(InputError, match="more than 3 files"):
        Archive(io.BytesIO(zipped([(str(number), b"") for number in range(4)])), "cd.zip")


def test_every_cut_of_an_archive_is_told_in_a_sentence():
    content = zipped(cd(film(0)))
    for end in range(0, len(content) - 1, len(content) // 40):
        with pytest.raises(InputError, match=r"^cd\.zip is "):
            Archive(io.BytesIO(content[:end]), "cd.zip").survey(MOST)


def test_what_a_file_is_its_beginning_says():
    assert kind_of(film(0)[:1024]) is Kind.DICOM and kind_of(film(0)[132:1156]) is Kind.DICOM
    assert kind_of(directory()) is Kind.OTHER and kind_of(b"") is Kind.OTHER
    assert kind_of(zipped([("a", b"x")])) is Kind.ARCHIVE and kind_of(b"\x7fELF\2") is Kind.PROGRAM
