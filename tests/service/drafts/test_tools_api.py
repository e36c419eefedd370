"""Regions, key images, presentation states and tags over HTTP, on a CT whose every value is known."""

from __future__ import annotations

import io

import pydicom
import pypdf
import pytest
from PIL import Image
from sqlalchemy import select

from tests.documents.sample import picture
from tests.documents.test_presentation_state import ct
from tests.records.kit import made_case, made_user
from tests.service.kit import served, sign_in
from tetkik.records.schema import AuditRow
from tetkik.values import Role

API = "/api/v1"
STUDY = {
    "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.1",
    "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.2",
}
CT = ct(**STUDY, ImageComments="<script>alert(1)</script>")


@pytest.fixture
def client(app_context):
    with served(app_context) as found:
        sign_in(found, app_context, Role.RADIOLOGIST, Role.TECHNICIAN, Role.RECEPTION)
        found.headers["Accept-Language"] = "en"
        yield found


@pytest.fixture
def image(client, app_context) -> str:
    case_id = made_case(app_context.records, made_user(app_context.records, Role.RECEPTION))
    sent = client.post(f"{API}/images?case_id={case_id}", content=CT)
    assert sent.status_code == 201, sent.text
    name: str = sent.json()["image"]["id"]
    return name


@pytest.fixture
def draft(client, image) -> str:
    begun = client.post(f"{API}/drafts", json={"image_id": image, "language": "en"})
    assert begun.status_code == 201, begun.text
    name: str = begun.json()["report_id"]
    return name


def audited(app_context, words: str) -> int:
    with app_context.records.read() as tx:
        return sum(words in (one or "") for one in tx.session.scalars(select(AuditRow.content)))


def test_the_server_counts_the_pixels_of_a_region(client, image, draft):
    sent = {"kind": "rectangle", "image_id": image, "points": [[10, 10], [13, 12]]}
    path = f"{API}/drafts/{draft}/measurements"
    # whatever a browser says beside it
    said = sent | {"statistics": {"mean": 99.0}, "value": 99.0}
    (item,) = client.post(path, json=said, headers={"If-Match": '"1"'}).json()["measurements"]
    assert (item["value"], item["unit"], item["text"]) == (-1013.0, "[hnsf'U]", "mean -1013.0 ± 0.8 HU")
    assert {one["kind"]: one["value"] for one in item["figures"]} == {
        "mean": -1013.0,
        "deviation": 0.8,
        "minimum": -1014.0,
        "maximum": -1012.0,
        "area": 6.0,
    }
    moved = {"points": [[20, 10], [23, 12]]}
    answer = client.patch(f"{path}/{item['id']}", json=moved, headers={"If-Match": '"2"'})
    (item,) = answer.json()["measurements"]
    assert item["value"] == -1003.0
    named = client.patch(f"{path}/{item['id']}", json={"label": "hava"}, headers={"If-Match": '"3"'})
    assert named.json()["measurements"][0]["value"] == -1003.0
    nothing = sent | {"points": [[10.1, 10.1], [10.4, 11.5]]}
    refused = client.post(path, json=nothing, headers={"If-Match": '"4"'})
    assert refused.status_code == 422 and "draw it larger" in refused.text
    wide = {"kind": "cardiothoracic", "image_id": image, "points": [[10, 50], [110, 50], [30, 50], [90, 50]]}
    refused = client.post(path, json=wide, headers={"If-Match": '"4"'})
    assert refused.status_code == 422 and "wider than the thorax" in refused.text


def test_a_key_image_is_shown_in_the_report_in_the_window_that_it_was_seen_in(client, image, draft):
    path = f"{API}/drafts/{draft}/key-images"
    sent = {"image_id": image, "centre": 0.25, "width": 0.1, "inverted": True, "note": "  Lob \n"}
    answer = client.post(path, json=sent, headers={"If-Match": '"1"'})
    (item,) = answer.json()["key_images"]
    assert (item["image_id"], item["frame"], item["note"]) == (image, None, "Lob")
    shown = client.get(f"{path}/{item['id']}/picture")
    seen = Image.open(io.BytesIO(shown.content))
    assert seen.size == (120, 100) and [seen.getpixel((x, 0)) for x in (0, 119)] == [255, 0]
    again = client.post(path, json={"image_id": image}, headers={"If-Match": '"2"'}).json()["key_images"]
    assert [(one["id"], one["note"]) for one in again] == [(item["id"], "Lob")]  # once, as it is seen now
    named = client.patch(f"{path}/{item['id']}", json={"note": "Üst lob"}, headers={"If-Match": '"3"'})
    assert named.json()["key_images"][0]["note"] == "Üst lob"
    pdf = pypdf.PdfReader(io.BytesIO(client.get(f"{API}/drafts/{draft}/preview.pdf").content))
    assert "Üst lob" in pdf.pages[-1].extract_text() and len(pdf.pages[-1].images) == 1
    gone = client.delete(f"{path}/{item['id']}", headers={"If-Match": '"4"'})
    assert gone.json()["key_images"] == []
    assert client.get(f"{path}/{item['id']}/picture").status_code == 404


def test_what_is_shown_goes_out_and_comes_in_as_a_presentation_state(client, app_context, image, draft):
    arrow = {"kind": "arrow", "image_id": image, "points": [[10, 10], [60, 60]], "label": "Nodül"}
    client.post(f"{API}/drafts/{draft}/measurements", json=arrow, headers={"If-Match": '"1"'})
    sent = {"centre": 0.4, "width": 0.3, "turn": 90, "mirrored": True, "report_id": draft}
    made = client.post(f"{API}/images/{image}/presentation-state", json=sent)
    assert made.status_code == 200 and made.headers["content-type"] == "application/dicom"
    state = pydicom.dcmread(io.BytesIO(made.content))
    assert state.StudyInstanceUID == STUDY["StudyInstanceUID"]
    assert audited(app_context, '"gsps"') == 1
    path = f"{API}/images/{image}/presentation-states"
    assert client.get(path).json() == []
    # by its own address, or among uploads
    kept = client.post(path, content=made.content)
    assert (kept.status_code, kept.json()["fresh"], kept.json()["image"]["id"]) == (201, True, image)
    case_id = kept.json()["image"]["case_id"]
    twice = client.post(f"{API}/images?case_id={case_id}", content=made.content)
    assert (twice.status_code, twice.json()["fresh"]) == (201, False)
    (found,) = client.get(path).json()
    assert found["window"] == pytest.approx([0.4, 0.3], abs=1e-4)
    assert (found["turn"], found["mirrored"], found["inverted"], found["left_out"]) == (90, True, False, 0)
    assert found["lines"][0] == [[10, 10], [60, 60]] and found["words"][0]["text"] == "Nodül"
    # of another patient, or about another image
    state.PatientName, state.PatientID = "BAŞKA^Biri", "999"
    other = io.BytesIO()
    state.save_as(other)
    assert client.post(path, content=other.getvalue()).status_code == 409
    state.ReferencedSeriesSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID = "1.2.3"
    other = io.BytesIO()
    state.save_as(other)
    assert client.post(path, content=other.getvalue()).status_code == 422
    assert client.post(path, content=CT).status_code == 422
    plain = client.post(f"{API}/images?case_id={case_id}", content=picture(size=(300, 300))).json()["image"][
        "id"
    ]
    refused = client.post(f"{API}/images/{plain}/presentation-state", json={})
    assert refused.status_code == 422 and "grey DICOM image" in refused.text


@pytest.mark.attack
@pytest.mark.parametrize("role", [Role.CLINICIAN, Role.TECHNICIAN])
def test_who_may_read_no_draft_gets_nothing_of_it_in_a_presentation_state(
    client, app_context, image, draft, role
):
    arrow = {"kind": "arrow", "image_id": image, "points": [[10, 10], [60, 60]], "label": "Nodül"}
    client.post(f"{API}/drafts/{draft}/measurements", json=arrow, headers={"If-Match": '"1"'})
    sign_in(client, app_context, role, departments=("*",))
    made = client.post(f"{API}/images/{image}/presentation-state", json={"report_id": draft})
    assert made.status_code == 403 and "Nod" not in made.text
    assert client.post(f"{API}/images/{image}/presentation-state", json={}).status_code == 200


def test_the_tags_of_a_file_are_listed_escaped_and_audited(client, app_context, image):
    page = client.get(f"/images/{image}/tags")
    assert page.status_code == 200
    assert "(0028,0010)" in page.text and "Photometric Interpretation" in page.text
    assert "&lt;script&gt;" in page.text and "<script>alert" not in page.text
    assert audited(app_context, '"what":"tags"') == 1
    sign_in(client, app_context, Role.ENGINEER)
    assert client.get(f"/images/{image}/tags").status_code == 403
