"""Several frames in one file: which there are, each by itself, and which one a model read."""

from __future__ import annotations

import numpy as np

from tests.records.kit import made_user, take_job
from tests.records.pictured import film
from tests.service.frames import frames, one_sound_frame
from tetkik.imaging.read import read_bytes
from tetkik.records.images import images, jobs
from tetkik.service.kit.background.image_decoder import ImageDecoder
from tetkik.values import Role
from tetkik.workflow.image_processing import read_case_image

UPLOAD = "/api/v1/images"


def pixels(answer):
    assert answer.status_code == 200, answer.text
    kind = "<u2" if answer.headers["X-Bits"] == "16" else "u1"
    return np.frombuffer(answer.content, kind).reshape(int(answer.headers["X-Rows"]), -1)


def test_an_upload_says_how_many_frames_there_are_and_each_can_be_looked_at(client):
    image = client.post(UPLOAD, content=frames(7)).json()["image"]
    assert (image["frames"], image["read_frame"]) == (7, 4)
    tags = set()
    for number in (1, 4, 7):
        answer = client.get(f"{UPLOAD}/{image['id']}/pixels", params={"frame": number})
        assert (answer.headers["X-Frame"], answer.headers["X-Frames"]) == (str(number), "7")
        assert (pixels(answer) == read_bytes(frames(7), "x", frame=number).pixels).all()
        tags.add(answer.headers["ETag"])
        known = {"If-None-Match": answer.headers["ETag"]}
        again = client.get(f"{UPLOAD}/{image['id']}/pixels", params={"frame": number}, headers=known)
        assert again.status_code == 304
    assert len(tags) == 3
    middle = client.get(f"{UPLOAD}/{image['id']}/pixels")
    assert middle.headers["X-Frame"] == "4" and middle.headers["ETag"] in tags


def test_a_frame_that_is_not_there_is_refused_in_a_sentence(client):
    image = client.post(UPLOAD, content=frames(7)).json()["image"]["id"]
    one = client.post(UPLOAD, content=film(0)).json()["image"]
    assert (one["frames"], one["read_frame"]) == (1, 1)
    for address in (f"{image}/pixels?frame=8", f"{one['id']}/pixels?frame=2", f"{image}/pixels?frame=0"):
        assert client.get(f"{UPLOAD}/{address}").status_code == 422
    detail = client.get(f"{UPLOAD}/{image}/pixels?frame=8", headers={"Accept-Language": "en"}).json()[
        "detail"
    ]
    assert detail == "The image has no frame 8; choose one from 1 to 7."
    assert client.post(f"{UPLOAD}/{image}/runs", json={"frame": 8}).status_code == 422


def test_of_ten_thousand_frames_the_one_asked_for_alone_is_decoded(client):
    """Every other one is damaged: had it been decoded, the file would have been refused."""
    count = 10_000
    content = one_sound_frame(count, (count + 1) // 2)
    image = client.post(UPLOAD, content=content).json()["image"]
    assert image["frames"] == count
    assert (pixels(client.get(f"{UPLOAD}/{image['id']}/pixels")) == read_bytes(frames(1), "x").pixels).all()
    other = client.get(f"{UPLOAD}/{image['id']}/pixels?frame=9999")
    assert other.status_code == 422 and other.json()["detail"].count(". ") == 0


def test_a_model_reads_the_middle_or_the_frame_that_was_asked_for_and_the_run_says_which(client, app_context):
    machine = ImageDecoder(app_context.records)
    image_id = client.post(UPLOAD, content=frames(7)).json()["image"]["id"]

    def read():
        with app_context.records.write(made_user(app_context.records, Role.TECHNICIAN)) as tx:
            work = take_job(tx, "w")
        assert work is not None
        read_case_image(app_context.records, app_context.settings, work, machine.pixels)

    read()
    assert client.get(f"{UPLOAD}/{image_id}").json()["run"]["frame"] == 4
    sent = client.post(f"{UPLOAD}/{image_id}/runs", json={"frame": 2})
    assert sent.status_code == 202 and sent.json()["frame"] == 2
    assert client.get(f"{UPLOAD}/{image_id}").json()["read_frame"] == 2
    read()
    newest, first = client.get(f"{UPLOAD}/{image_id}/runs").json()
    assert (newest["frame"], first["frame"]) == (2, 4)
    notes = client.get(f"{UPLOAD}/{image_id}/findings").json()["result"]["notes"]
    assert any("7" in note and "2" in note for note in notes)
    one = client.post(UPLOAD, content=film(5)).json()["image"]["id"]
    read()
    assert client.get(f"{UPLOAD}/{one}").json()["run"]["frame"] is None


def test_the_page_asks_for_another_frame(client, app_context):
    image_id = client.post(UPLOAD, content=frames(7)).json()["image"]["id"]
    answer = client.post(f"/upload/{image_id}/frame", data={"frame": 6})
    with app_context.records.read() as tx:
        case_id = images.load_image(tx, image_id).case_id
        work = jobs.newest_job(tx, image_id)
    assert answer.status_code == 303 and answer.headers["location"] == f"/read/{case_id}?image={image_id}"
    assert work is not None and work.frame == 6
