"""A zip over HTTP: each image in it is an upload of its own, and whatever is wrong costs itself alone."""

from __future__ import annotations

import io
import json
import socket
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from tests.patience import PATIENCE
from tests.records.kit import made_records, made_user
from tests.records.pictured import film
from tests.service.kit import count, make_context, opened_session, served, sign_in
from tests.service.zips import cd, directory, two_films, zipped
from tetkik.errors import InputError
from tetkik.imaging.read import ImageKind, kind_of
from tetkik.records.images import images
from tetkik.records.schema.cases import Blob, Case, Image, Patient
from tetkik.records.schema.models import Job
from tetkik.records.schema.trail import AuditRow
from tetkik.service.kit.http.incoming_files import MemoryBudget, reserve
from tetkik.service.studies import archive
from tetkik.service.studies.archive import Archive
from tetkik.values.access import Role

ARCHIVE = "/api/v1/images/archive"


@pytest.fixture
def app_context(tmp_path):
    made = make_context(tmp_path, max_upload_bytes=4_000_000, max_archive_bytes=3_000_000)
    yield made
    made.records.close()


def sent(client, content, query="", **headers):
    answer = client.post(f"{ARCHIVE}{query}", content=content, headers={"Accept-Language": "en", **headers})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    head, *lines = [json.loads(line) for line in answer.text.splitlines()]
    return head, lines


def test_a_patients_cd_becomes_its_images_and_nothing_else_is_opened(client, app_context):
    head, lines = sent(client, two_films())
    assert head == {"images": 2, "others": 6, "archives": 1}
    assert [(line["name"], line["status"]) for line in lines] == [("IM000000", 201), ("IM000001", 201)]
    first, second = (line["answer"] for line in lines)
    assert first["case_opened"] and first["fresh"] and not second["case_opened"] and second["fresh"]
    assert first["image"]["case_id"] == second["image"]["case_id"]
    assert (count(app_context, Case), count(app_context, Image), count(app_context, Job)) == (1, 2, 2)
    with app_context.records.read() as tx:
        kept = images.list_images(tx, first["image"]["case_id"])
        assert [images.read_content(tx, image) for image in kept] == [film(0), film(0, side=128)]
        assert [images.load_metadata(tx, image).name for image in kept] == ["IM000000", "IM000001"]


def test_the_same_zip_again_doubles_nothing(client, app_context):
    ids = [line["answer"]["image"]["id"] for line in sent(client, two_films())[1]]
    again = sent(client, two_films())[1]
    assert [line["answer"]["image"]["id"] for line in again] == ids
    assert [line["answer"]["fresh"] for line in again] == [False, False]
    keyed = [sent(client, two_films(), "?only=8", **{"Idempotency-Key": "k"})[1] for _ in range(2)]
    assert keyed[0] == keyed[1] and len(keyed[0]) == 1 and keyed[0][0]["name"] == "IM000001"
    assert (count(app_context, Image), count(app_context, Job)) == (2, 2)


def test_images_of_another_patient_are_asked_about_one_by_one(client, app_context, case):
    content = zipped(cd(film(0), film(5)))
    _, lines = sent(client, content, f"?case_id={case}")
    assert [line["status"] for line in lines] == [409, 409] and count(app_context, Image) == 0
    assert {line["answer"]["title"] for line in lines} == {"OtherPatient"}
    assert {one["trait"] for one in lines[0]["answer"]["errors"]} == {"name", "number"}
    _, (sure,) = sent(client, content, f"?case_id={case}&sure=true&only={lines[1]['number']}")
    assert sure["status"] == 201 and {one["trait"] for one in sure["answer"]["differs"]} == {"name", "number"}
    with app_context.records.read() as tx:
        (image,) = images.list_images(tx, case)
        assert images.read_content(tx, image) == film(5)


def test_one_bad_file_costs_itself_alone(client, app_context):
    content = zipped(
        [("a.dcm", film(0)[:9000]), ("b.dcm", film(0)), ("c.png", b"\x89PNG\r\n\x1a\n" + bytes(99))]
    )
    _, lines = sent(client, content)
    assert [line["status"] for line in lines] == [422, 201, 422]
    for line in (lines[0], lines[2]):
        detail = line["answer"]["detail"]
        assert detail.startswith(f"{line['name']} ") and detail.count(". ") == 0
    assert count(app_context, Image) == 1


def test_names_are_no_paths_and_go_nowhere(client, app_context, capfd, tmp_path):
    names = ["../../../GIZLI_1.dcm", "/etc/GIZLI_2.dcm", "C:\\GIZLI_3.dcm", "GIZLI\u202emcd.4"]
    before = set(tmp_path.rglob("*"))
    content = zipped((name, film(0, side=64 + seed)) for seed, name in enumerate(names))
    _, lines = sent(client, content)
    assert [line["name"] for line in lines] == [
        "GIZLI_1.dcm",
        "GIZLI_2.dcm",
        "GIZLI_3.dcm",
        "GIZLImcd.4",
    ]
    assert [line["status"] for line in lines] == [201] * 4
    out = capfd.readouterr()
    assert "GIZLI" not in out.out + out.err
    fresh = set(tmp_path.rglob("*")) - before
    assert not [path for path in fresh if "GIZLI" in path.name]
    assert all(b"GIZLI" not in path.read_bytes() for path in fresh if path.is_file())
    with app_context.records.read() as tx:
        assert not [row for row in tx.session.scalars(select(AuditRow.content)) if "GIZLI" in (row or "")]


def flagged(content: bytes, name: bytes) -> bytes:
    """The zip with an entry that says that it is encrypted."""
    at = content.index(b"PK\x01\x02")
    while content[at + 46 : at + 46 + len(name)] != name:
        at = content.index(b"PK\x01\x02", at + 4)
    return content[: at + 8] + struct.pack("<H", 1) + content[at + 10 :]


def test_what_cannot_be_opened_is_refused_by_itself(client, app_context):
    bomb = b"\xff\xd8\xff" + bytes(2_000_000)
    packed = zipfile.ZIP_DEFLATED
    content = zipped(
        [("a.dcm", film(0)), ("secret", film(5)), ("bomb.jpg", bomb), ("z.dcm", film(7))], packed
    )
    head, lines = sent(client, flagged(content, b"secret"))
    assert head["images"] == 4
    assert [(line["name"], line["status"]) for line in lines] == [
        ("a.dcm", 201),
        ("secret", 422),
        ("bomb.jpg", 422),
        ("z.dcm", 201),
    ]
    assert "encrypted" in lines[1]["answer"]["detail"] and "bomb" in lines[2]["answer"]["detail"]
    assert count(app_context, Image) == 2


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "no zip"),
        (film(0), "no zip"),
        (two_films()[:-400], "cut short"),
        (zipped([("README.TXT", b"x"), ("inside.zip", two_films())]), "holds no DICOM"),
        (zipped([]), "holds no DICOM"),
        (
            zipped([(f"{n}.jpg", b"\xff\xd8\xff" + bytes(900_000)) for n in range(4)], zipfile.ZIP_STORED),
            "3000000",
        ),
    ],
    ids=["empty", "no zip", "cut", "nested", "hollow", "too much"],
)
def test_a_zip_that_is_none_is_refused_as_a_whole(client, app_context, tmp_path, content, word):
    answer = client.post(ARCHIVE, content=content, headers={"X-File-Name": "cd.zip", "Accept-Language": "en"})
    assert answer.status_code == 422 and answer.headers["content-type"] == "application/problem+json"
    detail = answer.json()["detail"]
    assert detail.startswith("cd.zip ") and word in detail and detail.count(". ") == 0
    assert count(app_context, Image) == 0 and list((tmp_path / "tmp").iterdir()) == []


def test_a_form_is_told_to_send_the_zip_alone_and_too_large_is_too_large(client):
    assert client.post(ARCHIVE, files={"file": ("cd.zip", two_films())}).status_code == 422
    assert client.post(ARCHIVE, content=bytes(4_100_000)).status_code == 413


def test_nothing_of_a_zip_stays_in_memory_or_on_the_disk(client, tmp_path):
    sent(client, two_films())
    assert list((tmp_path / "tmp").iterdir()) == []
    with reserve() as load:
        load.add(2 * 2**30)  # nobody else holds anything


def test_what_was_answered_is_kept_when_the_rest_is_never_heard(client, app_context):
    """Whoever stops listening after the first image has that image, and the whole zip may come again."""
    with client.stream("POST", ARCHIVE, content=two_films()) as answer:
        lines = answer.iter_lines()
        next(lines)
        kept = json.loads(next(lines))["answer"]["image"]["id"]
    _, again = sent(client, two_films())
    assert again[0]["answer"]["image"]["id"] == kept and not again[0]["answer"]["fresh"]
    assert count(app_context, Image) == 2


def test_only_who_may_upload_sends_a_zip(client, app_context):
    for role in (Role.RECEPTION, Role.ENGINEER, Role.AUDITOR):
        sign_in(client, app_context, role)
        assert client.post(ARCHIVE, content=two_films()).status_code == 403


# Archives that lie: what they pretend costs themselves, and nothing is read beyond bounds.


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
    assert kind_of(film(0)[:1024]) is ImageKind.DICOM and kind_of(film(0)[132:1156]) is ImageKind.DICOM
    assert kind_of(directory()) is ImageKind.OTHER and kind_of(b"") is ImageKind.OTHER
    assert kind_of(zipped([("a", b"x")])) is ImageKind.ARCHIVE and kind_of(b"\x7fELF\2") is ImageKind.PROGRAM


# `kill -9` in the middle of a zip: what was answered as kept is kept, and sent again nothing doubles.


COUNT = 8
_SERVED = """
import itertools, pathlib, sys, threading, uvicorn
from tests.service.kit import make_context
from tetkik.service.app import create_app
from tetkik.service.studies.upload import Upload
kept, keep = itertools.count(1), Upload.keep
def held(upload, language, tx):
    if next(kept) > 5:
        threading.Event().wait()  # until it is killed, in the middle of a transaction
    return keep(upload, language, tx)
Upload.keep = held
app = create_app(make_context(pathlib.Path(sys.argv[1])), work=False)
uvicorn.Server(uvicorn.Config(app, fd=int(sys.argv[2]), log_level="error")).run()
"""


@contextmanager
def hospital_apart(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A hospital in a process of its own, which can be killed; its socket listens from the start."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        free.listen()
        address, number = f"http://127.0.0.1:{free.getsockname()[1]}", free.fileno()
        command = [sys.executable, "-c", _SERVED, str(folder), str(number)]
        process = subprocess.Popen(command, pass_fds=[number], stdout=subprocess.DEVNULL)
    try:
        yield address, process
    finally:
        process.kill()
        process.wait()


def test_a_hospital_that_is_killed_over_a_zip_keeps_what_it_answered(tmp_path):
    films = [film(0, side=64 + 2 * number) for number in range(COUNT)]
    records = made_records(tmp_path)
    cookie, csrf = opened_session(make_context(tmp_path, records), made_user(records, Role.TECHNICIAN))
    records.close()
    disk, headers = zipped(cd(*films)), {"X-CSRF-Token": csrf, "Idempotency-Key": "cd"}
    address = "/api/v1/images/archive"
    kept: list[str] = []
    with (
        hospital_apart(tmp_path) as (base, process),
        httpx.Client(base_url=base, cookies={"tetkik": cookie}, timeout=PATIENCE) as client,
        pytest.raises(httpx.TransportError),
        client.stream("POST", address, content=disk, headers=headers) as answer,
    ):
        for number, line in enumerate(answer.iter_lines()):
            if number:
                kept.append(json.loads(line)["answer"]["image"]["id"])
            if number == 3:
                process.kill()
    assert 3 <= len(kept) < COUNT
    again = make_context(tmp_path)
    with served(again) as browser, again.records.read() as tx:
        for image_id, content in zip(kept, films, strict=False):
            assert images.read_content(tx, images.load_image(tx, image_id)) == content
        browser.cookies.set("tetkik", cookie)
        _, *lines = browser.post(address, content=disk, headers=headers).text.splitlines()
        ids = [json.loads(line)["answer"]["image"]["id"] for line in lines]
    assert ids[: len(kept)] == kept and len(set(ids)) == COUNT
    with again.records.read() as tx:
        counts = [tx.session.scalar(select(func.count()).select_from(table)) for table in (Image, Job, Blob)]
        assert counts == [COUNT, COUNT, COUNT]
        assert [tx.session.scalar(select(func.count()).select_from(table)) for table in (Case, Patient)] == [
            1,
            1,
        ]
    again.records.close()
