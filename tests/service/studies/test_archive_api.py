"""A zip over HTTP: each image in it is an upload of its own, and whatever is wrong costs itself alone."""

from __future__ import annotations

import json
import struct
import zipfile

import pytest
from sqlalchemy import select

from tests.records.pictured import film
from tests.service.kit import count, make_context, sign_in
from tests.service.zips import cd, two_films, zipped
from tetkik.records.images import images
from tetkik.records.schema import AuditRow, Case, Image, Job
from tetkik.service.kit.http.incoming_files import reserve
from tetkik.values import Role

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
