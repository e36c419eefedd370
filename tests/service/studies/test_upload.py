"""Images over HTTP: what comes in, whose it is, what is refused, and what a viewer gets back."""

from __future__ import annotations

import io
import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image as Picture
from sqlalchemy import select

from tests.ports import free_port
from tests.records.kit import made_case, made_user, take_job
from tests.records.pictured import film, put, radiograph
from tests.service.http.clamd import EICAR, clamd
from tests.service.kit import count, make_context, opened_session, served, sign_in
from tests.service.zips import zipped
from tetkik.records.cases import cases
from tetkik.records.cases.identity_comparison import person_from_identity
from tetkik.records.images import images, jobs
from tetkik.records.lifecycle.erasure import ErasureReason, erase
from tetkik.records.schema.cases import Case, Image, Patient
from tetkik.records.schema.models import Job
from tetkik.records.schema.trail import AuditRow
from tetkik.records.storage import s3
from tetkik.records.storage.s3 import Bucket
from tetkik.values.access import Role
from tetkik.values.states import JobState

UPLOAD = "/api/v1/images"


@pytest.fixture
def app_context(tmp_path):
    made = make_context(tmp_path, max_upload_bytes=2_000_000)
    yield made
    made.records.close()


def png(size=(40, 30)) -> bytes:
    packed = io.BytesIO()
    Picture.fromarray(np.random.default_rng(1).integers(0, 255, size, np.uint8)).save(packed, "PNG")
    return packed.getvalue()


def bomb() -> bytes:
    """A PNG of a few bytes that says that it has four thousand million pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 65_500, 65_500, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


def audited(app_context, action: str) -> list[str]:
    with app_context.records.read() as tx:
        rows = select(AuditRow.content).where(AuditRow.action == action).order_by(AuditRow.seq)
        return [content or "" for content in tx.session.scalars(rows)]


def test_an_image_is_kept_and_waits_for_a_model(client, app_context, case):
    answer = client.post(f"{UPLOAD}?case_id={case}", content=png(), headers={"X-File-Name": "g%C3%B6r.png"})
    assert answer.status_code == 201
    body = answer.json()
    assert body["fresh"] and not body["case_opened"] and body["differs"] == []
    image = body["image"]
    assert (image["rows"], image["columns"], image["file_format"]) == (40, 30, "png")
    assert image["work"]["state"] == "queued" and image["run"] is None and image["spacing_mm"] is None
    assert client.get(f"{UPLOAD}/{image['id']}").json() == image
    assert client.get(UPLOAD, params={"case_id": case}).json() == {"items": [image], "next": None}
    with app_context.records.read() as tx:
        assert tx.session.get_one(Case, case).state == "processing"


@pytest.mark.parametrize("key", [None, "k-1"])
def test_a_file_that_comes_twice_is_one_image_and_one_piece_of_work(client, app_context, case, key):
    headers = {"Idempotency-Key": key} if key else {}
    first, again = (client.post(f"{UPLOAD}?case_id={case}", content=png(), headers=headers) for _ in range(2))
    assert first.status_code == again.status_code == 201
    assert first.json()["image"]["id"] == again.json()["image"]["id"]
    if key:
        assert again.json() == first.json() and again.headers["Idempotency-Replayed"] == "true"
        other = client.post(f"{UPLOAD}?case_id={case}", content=png((9, 9)), headers=headers)
        assert other.status_code == 409 and count(app_context, Image) == 1
    else:
        assert not again.json()["fresh"]
    assert (
        count(app_context, Image),
        count(app_context, Job),
        len(audited(app_context, "image.uploaded")),
    ) == (
        1,
        1,
        1,
    )


def test_a_form_with_a_file_is_as_good_as_the_file(client, case):
    raw = client.post(f"{UPLOAD}?case_id={case}", content=png()).json()
    form = client.post(f"{UPLOAD}?case_id={case}", files={"file": ("a.png", png())}).json()
    assert form["image"]["id"] == raw["image"]["id"] and not form["fresh"]
    assert client.post(f"{UPLOAD}?case_id={case}", data={"file": "no file"}).status_code == 422
    broken = {"Content-Type": "multipart/form-data"}
    assert client.post(f"{UPLOAD}?case_id={case}", content=b"x", headers=broken).status_code in (400, 422)


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", film()[:90_000], film()[:300], png()[:60], bomb(), bytes(128) + b"DICM" + b"\xff" * 400],
    ids=["empty", "text", "cut", "cut early", "cut png", "bomb", "nonsense"],
)
def test_a_bad_file_is_refused_in_one_sentence_and_leaves_nothing(
    client, app_context, case, content, tmp_path
):
    headers = {"X-File-Name": "kesik.dcm", "Accept-Language": "tr"}
    answer = client.post(f"{UPLOAD}?case_id={case}", content=content, headers=headers)
    assert answer.status_code == 422 and answer.headers["content-type"] == "application/problem+json"
    detail = answer.json()["detail"]
    assert "kesik.dcm" in detail and "Error" not in detail and detail.rstrip().endswith(".")
    assert detail.count(". ") == 0
    assert (count(app_context, Image), count(app_context, Job)) == (0, 0)
    assert list(app_context.records.files.storage.names()) == [] and list((tmp_path / "tmp").iterdir()) == []


def test_a_file_that_is_too_large_is_refused(client, case):
    answer = client.post(f"{UPLOAD}?case_id={case}", content=bytes(2_100_000))
    assert answer.status_code == 413


def test_the_name_of_a_file_goes_nowhere(client, case, capfd, tmp_path):
    name = "GIZLI_HASTA_ADI.dcm"
    good = client.post(f"{UPLOAD}?case_id={case}", content=png(), headers={"X-File-Name": name})
    client.post(f"{UPLOAD}?case_id={case}", content=b"x", headers={"X-File-Name": f"../../{name}"})
    assert name not in good.text
    out = capfd.readouterr()
    assert "GIZLI" not in out.out + out.err
    assert not [path for path in tmp_path.rglob("*") if "GIZLI" in path.name]
    assert all(b"GIZLI" not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("..%2F..%2Fetc%2Fpasswd", "passwd"),
        ("C%3A%5CUsers%5Ca.dcm", "a.dcm"),
        ("gnp%E2%80%AEmcd.%0Aexe", "gnpmcd.exe"),
        ("%7Bfile%7D%3Cb%3E", "{file}<b>"),
        ("%FF%FE", "\ufffd\ufffd"),
        ("x" * 900, "x" * 200),
    ],
)
def test_whatever_a_file_is_called_a_fault_says_it_plainly(client, case, sent, shown):
    answer = client.post(f"{UPLOAD}?case_id={case}", content=b"x", headers={"X-File-Name": sent})
    assert answer.status_code == 422 and answer.json()["detail"].startswith(f"{shown} ")


def test_an_image_of_another_patient_is_kept_only_when_a_person_is_sure(client, app_context, case):
    answer = client.post(f"{UPLOAD}?case_id={case}", content=film())
    assert answer.status_code == 409 and answer.json()["title"] == "OtherPatient"
    shown = {one["trait"]: (one["file"], one["record"]) for one in answer.json()["errors"]}
    assert shown["name"] == ("FANTOM SENTETIK", "Gülçin ŞAHİN")
    assert len(audited(app_context, "case.opened")) == 1  # whose case it is was told
    assert count(app_context, Image) == 0 and audited(app_context, "image.uploaded") == []
    assert list(app_context.records.files.storage.names()) == []
    sure = client.post(f"{UPLOAD}?case_id={case}&sure=true", content=film())
    assert sure.status_code == 201 and {one["trait"] for one in sure.json()["differs"]} == {"name", "number"}
    (entry,) = audited(app_context, "image.uploaded")
    assert '"confirmed":"name,number"' in entry and "SENTETIK" not in entry


def test_dicom_without_a_case_opens_one_and_its_study_follows_it(client, app_context):
    first = client.post(UPLOAD, content=film(0)).json()
    assert first["case_opened"] and first["differs"] == []
    again = client.post(UPLOAD, content=film(0)).json()
    assert again["image"]["id"] == first["image"]["id"] and not again["case_opened"]
    same_study = client.post(UPLOAD, content=film(0, side=128)).json()
    assert same_study["image"]["case_id"] == first["image"]["case_id"] and same_study["fresh"]
    other = client.post(UPLOAD, content=film(5)).json()
    assert other["image"]["case_id"] != first["image"]["case_id"]
    assert (count(app_context, Case), count(app_context, Patient), count(app_context, Image)) == (2, 2, 3)


def test_dicom_without_a_case_goes_where_its_patient_waits(client, app_context):
    desk = made_user(app_context.records, Role.RECEPTION)
    case = made_case(app_context.records, desk, person_from_identity(radiograph(0).identity))
    body = client.post(UPLOAD, content=film(0)).json()
    assert body["image"]["case_id"] == case and not body["case_opened"]


def test_a_file_is_sealed_before_the_write_transaction_begins(client, app_context, monkeypatch):
    whole, writing = images.store_file, []

    def store_file(tx, *args, **named):
        writing.append("tetkik_writes" in tx.session.get_bind().get_execution_options())
        return whole(tx, *args, **named)

    monkeypatch.setattr(images, "store_file", store_file)
    new = client.post(UPLOAD, content=film(0)).json()  # of a patient whom nobody knew before
    known = client.post(UPLOAD, content=film(0, side=128)).json()
    assert writing == [False] * 4
    for uploaded, content in ((new, film(0)), (known, film(0, side=128))):
        image = uploaded["image"]["id"]
        assert client.get(f"{UPLOAD}/{image}/file").content == content
        assert client.get(f"{UPLOAD}/{image}/preview").headers["content-type"] == "image/png"


def test_an_upload_is_refused_while_the_object_storage_is_away_and_taken_after(
    client, app_context, case, tmp_path, monkeypatch
):
    monkeypatch.setattr(s3, "_RETRIES", 0)
    files = app_context.records.files
    there = files.storage
    nowhere = Bucket(f"http://127.0.0.1:{free_port()}", "tetkik", "", "a", "b", "c")
    files.storage = s3.S3Storage(nowhere, tmp_path / "tmp")
    answer = client.post(f"{UPLOAD}?case_id={case}", content=png(), headers={"Accept-Language": "tr"})
    assert answer.status_code == 503 and "nesne deposu" in answer.json()["detail"]
    assert (count(app_context, Image), count(app_context, Job)) == (0, 0)
    assert list((tmp_path / "tmp").iterdir()) == []
    files.storage = there
    image = client.post(f"{UPLOAD}?case_id={case}", content=png()).json()["image"]["id"]
    files.storage = s3.S3Storage(nowhere, tmp_path / "tmp")
    assert client.get(f"{UPLOAD}/{image}/file").status_code == 503


def test_what_does_not_say_whose_it_is_needs_a_case(client, app_context):
    answer = client.post(UPLOAD, content=png())
    assert answer.status_code == 422 and count(app_context, Case) == 0


def test_only_who_may_open_a_case_opens_one_by_an_upload(client, app_context):
    sign_in(client, app_context, Role.RADIOLOGIST)
    assert client.post(UPLOAD, content=film(0)).status_code == 403
    assert count(app_context, Case) == 0


def test_a_closed_case_takes_no_image(client, app_context, case):
    desk = made_user(app_context.records, Role.RECEPTION)
    with app_context.records.write(desk) as tx:
        cases.close(tx, case)
    answer = client.post(f"{UPLOAD}?case_id={case}", content=png())
    assert answer.status_code == 409 and (count(app_context, Image), count(app_context, Job)) == (0, 0)


def test_a_viewer_gets_the_very_pixels_of_the_library(client, app_context):
    image_id = client.post(UPLOAD, content=film(3)).json()["image"]["id"]
    known = radiograph(3)
    answer = client.get(f"{UPLOAD}/{image_id}/pixels")
    head = answer.headers
    assert (head["X-Rows"], head["X-Columns"], head["X-Bits"]) == ("256", "256", "16")
    assert head["X-White"] == str(known.white) and "private" in head["Cache-Control"]
    assert tuple(map(float, head["X-Spacing"].split(","))) == pytest.approx(known.spacing)
    centre, width = map(float, head["X-Window"].split(","))
    assert (centre, width) == (known.white / 2, known.white)
    values = np.frombuffer(answer.content, "<u2").reshape(256, 256)
    assert (values == known.pixels).all()
    unchanged = client.get(f"{UPLOAD}/{image_id}/pixels", headers={"If-None-Match": head["ETag"]})
    assert unchanged.status_code == 304 and not unchanged.content


def test_an_eight_bit_image_has_a_byte_a_pixel_and_no_millimetres(client, case):
    image_id = client.post(f"{UPLOAD}?case_id={case}", content=png()).json()["image"]["id"]
    answer = client.get(f"{UPLOAD}/{image_id}/pixels")
    assert answer.headers["X-Bits"] == "8" and len(answer.content) == 40 * 30
    assert "X-Spacing" not in answer.headers


def test_preview_and_file(client, app_context):
    image_id = client.post(UPLOAD, content=film(3)).json()["image"]["id"]
    preview = client.get(f"{UPLOAD}/{image_id}/preview")
    with Picture.open(io.BytesIO(preview.content)) as picture:
        assert (picture.mode, picture.size) == ("L", (256, 256))
    seen = client.get(f"{UPLOAD}/{image_id}/preview", headers={"If-None-Match": preview.headers["ETag"]})
    assert seen.status_code == 304
    file = client.get(f"{UPLOAD}/{image_id}/file")
    assert file.content == film(3) and file.headers["content-type"] == "application/dicom"
    assert file.headers["Content-Disposition"] == f'attachment; filename="{image_id}.dcm"'
    for missing in ("findings", "heatmaps/Effusion", "heatmaps/..%2F..", "nothing"):
        assert client.get(f"{UPLOAD}/{image_id}/{missing}").status_code == 404


def test_every_kind_of_look_is_told_once_and_every_download_each_time(client, app_context):
    image_id = client.post(UPLOAD, content=film(3)).json()["image"]["id"]
    for what in ("pixels", "pixels", "preview", "preview", "file", "file"):
        assert client.get(f"{UPLOAD}/{image_id}/{what}").status_code == 200
    entries = audited(app_context, "image.opened")
    assert [entry.split('"what":"')[1].split('"')[0] for entry in entries] == [
        "pixels",
        "preview",
        "file",
        "file",
    ]
    sign_in(client, app_context, Role.TECHNICIAN)
    client.get(f"{UPLOAD}/{image_id}/pixels")
    assert len(audited(app_context, "image.opened")) == 5, "another person looks"


def test_an_image_is_for_those_who_may_open_its_case(client, app_context, case):
    image_id = client.post(f"{UPLOAD}?case_id={case}", content=png()).json()["image"]["id"]
    for departments, status in ((("Dahiliye",), 200), (("Üroloji",), 403)):
        sign_in(client, app_context, Role.CLINICIAN, departments=departments)
        for what in ("", "/pixels", "/preview", "/file", "/runs"):
            assert client.get(f"{UPLOAD}/{image_id}{what}").status_code == status
    for role in (Role.RECEPTION, Role.ENGINEER, Role.AUDITOR, Role.ADMINISTRATOR):
        sign_in(client, app_context, role)
        assert client.get(f"{UPLOAD}/{image_id}/pixels").status_code == 403
        assert client.post(f"{UPLOAD}?case_id={case}", content=png()).status_code == 403


def test_an_erased_patients_pixels_are_gone_from_memory_too(client, app_context):
    image_id = client.post(UPLOAD, content=film(3)).json()["image"]["id"]
    assert client.get(f"{UPLOAD}/{image_id}/pixels").status_code == 200
    with app_context.records.read() as tx:
        patient_id = tx.session.scalars(select(Patient.id)).one()
    erase(app_context.records, patient_id, ErasureReason.REQUEST, years=20)
    for what in ("pixels", "preview", "file"):
        assert client.get(f"{UPLOAD}/{image_id}/{what}").status_code in (403, 404)


def test_an_image_is_read_once_more_on_wish(client, app_context, case):
    image_id = client.post(f"{UPLOAD}?case_id={case}", content=png()).json()["image"]["id"]
    with app_context.records.write(made_user(app_context.records, Role.TECHNICIAN)) as tx:
        work = take_job(tx, "w")
        assert work is not None
        jobs.finish_job(tx, work)
    for model, status in (
        ("findings-mobilenet-cxr", 202),
        (None, 202),
        ("/etc", 422),
        ("triage-linear-tr", 422),
    ):
        answer = client.post(f"{UPLOAD}/{image_id}/runs", json={"model": model})
        assert answer.status_code == status
    assert client.get(f"{UPLOAD}/{image_id}").json()["work"]["state"] == JobState.QUEUED
    assert client.get(f"{UPLOAD}/{image_id}/runs").json() == [] and count(app_context, Job) == 2


def test_what_a_person_may_upload_in_a_day_holds_over_restarts(tmp_path):
    app_context = make_context(tmp_path, upload_files_per_day=2)
    cookie, csrf = opened_session(app_context, made_user(app_context.records, Role.TECHNICIAN))
    for seed in (0, 1):
        with served(app_context) as client:
            client.cookies.set("tetkik", cookie)
            client.headers["X-CSRF-Token"] = csrf
            assert client.post(UPLOAD, content=film(seed)).status_code == 201
        app_context.records.close()
        app_context = make_context(tmp_path, upload_files_per_day=2)
    with served(app_context) as client:
        client.cookies.set("tetkik", cookie)
        client.headers["X-CSRF-Token"] = csrf
        kept = list(app_context.records.files.storage.names())
        refused = client.post(UPLOAD, content=film(5), headers={"Accept-Language": "en"})
        assert refused.status_code == 429 and "2 files in 24 hours" in refused.json()["detail"]
        assert client.post(UPLOAD, content=film(0)).status_code == 201, "it is there already"
        assert count(app_context, Image) == 2 and list(app_context.records.files.storage.names()) == kept
        sign_in(client, app_context, Role.TECHNICIAN)
        assert client.post(UPLOAD, content=film(5)).status_code == 201, "another person"
    app_context.records.close()


def test_nothing_is_kept_that_the_scanner_has_not_passed(tmp_path):
    with clamd(tmp_path / "clamd.sock") as (scanner, scanned):
        app_context = make_context(tmp_path, upload_scanner=scanner)
        with served(app_context) as client:
            sign_in(client, app_context, Role.TECHNICIAN)
            first = client.post(UPLOAD, content=film(0))
            assert first.status_code == 201
            bad = film(1) + EICAR
            refused = client.post(
                UPLOAD, content=bad, headers={"X-File-Name": "b.dcm", "Accept-Language": "en"}
            )
            assert refused.status_code == 422 and "Eicar-Signature in b.dcm" in refused.json()["detail"]
            own = f"{UPLOAD}/{first.json()['image']['id']}"
            state = client.post(f"{own}/presentation-state", json={}).content + EICAR
            for place in (UPLOAD, f"{own}/presentation-states"):
                refused = client.post(place, content=state, headers={"Accept-Language": "en"})
                assert refused.status_code == 422 and "Eicar-Signature" in refused.json()["detail"]
            assert scanned.count(state) == 2
            archive = zipped([("a", film(1)), ("b", bad)])
            lines = client.post(f"{UPLOAD}/archive", content=archive).text.splitlines()[1:]
            assert [json.loads(line)["status"] for line in lines] == [201, 422]
            assert scanned == [film(0), bad, state, state, film(1), bad]
    with served(app_context) as client:  # the scanner is gone
        sign_in(client, app_context, Role.TECHNICIAN)
        assert client.post(UPLOAD, content=film(5)).status_code == 503
        assert count(app_context, Image) == 2
    app_context.records.close()


# Images removed, put back and moved over HTTP and on the page of a case's images.


def listed(app_context, case_id, *, removed=False):
    with app_context.records.read() as tx:
        return [image.id for image in images.list_images(tx, case_id, removed=removed)]


def test_an_image_is_removed_and_put_back_by_the_api(app_context):
    with served(app_context) as client:
        technician = sign_in(client, app_context, Role.TECHNICIAN)
        case_id = made_case(app_context.records, technician)
        image_id = put(app_context.records, technician, case_id, 1).image.id
        address = f"/api/v1/images/{image_id}/removal"
        assert client.post(address, json={"reason": "because"}).status_code == 422
        assert client.post(address, json={"reason": "duplicate"}).status_code == 200
        assert (listed(app_context, case_id), listed(app_context, case_id, removed=True)) == ([], [image_id])
        assert client.post(address, json={"reason": "duplicate"}).status_code == 409
        assert client.delete(address).status_code == 200 and listed(app_context, case_id) == [image_id]
        sign_in(client, app_context, Role.CLINICIAN)
        assert client.post(address, json={"reason": "duplicate"}).status_code == 403


def test_the_page_moves_an_image_by_the_number_of_the_case(app_context):
    with served(app_context) as client:
        technician = sign_in(client, app_context, Role.TECHNICIAN)
        case_id = made_case(app_context.records, technician)
        image_id = put(app_context.records, technician, case_id, 1).image.id
        desk = made_user(app_context.records, Role.RECEPTION)
        with app_context.records.write(desk) as tx:
            case = cases.load_case(tx, case_id)
            other = cases.open_case(tx, case.patient_id)
            number = cases.load_case(tx, other).number
        page = f"/cases/{case_id}/images"
        sent = {"reason": "wrong_case", "csrf": client.headers["X-CSRF-Token"]}
        unknown = client.post(f"{page}/{image_id}/remove", data=sent | {"number": "1999-000001"})
        assert "1999-000001" in unknown.text and listed(app_context, case_id) == [image_id]
        answer = client.post(f"{page}/{image_id}/remove", data=sent | {"number": f" {number} "})
        assert answer.status_code == 409  # the file names another patient than the record
        assert listed(app_context, other) == [] and 'name="sure"' in answer.text
        answer = client.post(f"{page}/{image_id}/remove", data=sent | {"number": number, "sure": "1"})
        assert answer.status_code == 303 and len(listed(app_context, other)) == 1
        assert image_id in client.get(page).text
        assert client.post(f"{page}/{image_id}/restore", data=sent).status_code == 303
        assert (listed(app_context, other), listed(app_context, case_id)) == ([], [image_id])
