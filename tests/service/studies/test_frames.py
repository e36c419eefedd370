"""Several frames in one file: which there are, each by itself, and which one a model read."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect
from pydicom.data import get_testdata_file

from tests.records.kit import made_case, made_user, take_job
from tests.records.pictured import film
from tests.service.browser import axe, chromium, opened, overflow, serving, signed_in
from tests.service.frames import frames, one_sound_frame
from tetkik.imaging.read import read_bytes
from tetkik.records.images import images, jobs, runs
from tetkik.records.images.images import ImageMetadata
from tetkik.records.people.access import load_visible_case
from tetkik.service.kit.background.image_decoder import ImageDecoder
from tetkik.values.access import Role
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


# An image of several frames in the reading view: leafed through by keyboard and slider, and read.


def read_image(app_context, case, frame):
    """The image with seven frames, of which a model has read one."""
    technician = made_user(app_context.records, Role.TECHNICIAN)
    with app_context.records.write(technician) as tx:
        file = images.store_file(tx, load_visible_case(tx, case).patient_id, BytesIO(frames(7)))
        image = images.add_image(tx, case, file, ImageMetadata.of(read_bytes(frames(7), "x"))).image
        runs.add_run(tx, image, runs.ModelAnswer("m 1.0", "", tx.now, None, frame))
    return image


@pytest.mark.program("chromium")
def test_frames_are_leafed_through_and_another_is_read(app_context):
    case = made_case(app_context.records, made_user(app_context.records, Role.RECEPTION))
    image = read_image(app_context, case, frame=4)
    with serving(app_context) as address, chromium() as browser, opened(browser, address) as window:
        signed_in(window, app_context, Role.RADIOLOGIST, Role.TECHNICIAN)
        page = window.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url.partition("frame=")[2]))
        page.goto(f"/read/{case}")
        bar = page.locator("[data-pane=current] [data-frames]")
        page.wait_for_selector("[data-viewer][data-ready]")
        expect(bar.locator("output")).to_have_text("4 / 7")
        expect(bar.locator(".as-read")).to_have_text("model okudu")
        page.locator("[data-pane=current] [data-stage]").focus()
        page.keyboard.press("PageDown")
        expect(bar).to_have_attribute("data-shown", "5")
        expect(page.locator("[data-live]")).to_have_text("7 kareden 5.")
        page.keyboard.press(",")
        expect(bar).to_have_attribute("data-shown", "4")
        bar.locator("input[type=range]").fill("7")
        expect(bar).to_have_attribute("data-shown", "7")
        assert [frame for frame in asked if frame] == ["4", "5", "7"]
        expect(bar.locator("[data-to-read]")).to_have_text("Model: 4. kare")
        assert axe(page) == [] and overflow(page) == 0
        bar.locator("[data-ask] button").click()
        expect(page.locator("[data-awaited]").first).to_contain_text("Model 7. kareyi okuyor")
    with app_context.records.read() as tx:
        work = jobs.newest_job(tx, image.id)
        assert work is not None and work.frame == 7


@pytest.mark.program("chromium")
def test_fingers_go_through_the_stack_zoom_and_change_the_window(app_context):
    case = made_case(app_context.records, made_user(app_context.records, Role.RECEPTION))
    read_image(app_context, case, frame=4)
    with (
        serving(app_context) as address,
        chromium() as browser,
        opened(browser, address, width=390, touch=True) as window,
    ):
        signed_in(window, app_context, Role.RADIOLOGIST)
        page = window.new_page()
        page.goto(f"/read/{case}")
        page.wait_for_selector("[data-viewer][data-ready]")
        pane = page.locator("[data-pane=current]")
        bar, stage = pane.locator("[data-frames]"), pane.locator("[data-stage]")
        hand = window.new_cdp_session(page)
        box = stage.bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

        def touch(kind: str, *places: tuple[float, float]) -> None:
            points = [{"x": x + right, "y": y + down, "id": i} for i, (right, down) in enumerate(places)]
            hand.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})

        expect(bar).to_have_attribute("data-shown", "4")
        touch("Start", (0, 0))
        touch("Move", (0, 14))
        touch("Move", (0, 29))
        touch("End")
        expect(bar).to_have_attribute("data-shown", "6")
        before = pane.locator("[data-edge=window]").text_content() or ""
        touch("Start", (0, 0))
        expect(stage).to_have_class(re.compile("held"))  # it lay still
        touch("Move", (60, 0))
        touch("End")
        expect(pane.locator("[data-edge=window]")).not_to_have_text(before)
        expect(bar).to_have_attribute("data-shown", "6")
        zoom = pane.locator("[data-edge=zoom]").text_content() or ""
        touch("Start", (-20, 0))
        touch("Start", (-20, 0), (20, 0))
        touch("Move", (-60, 0), (60, 0))
        touch("End")
        expect(pane.locator("[data-edge=zoom]")).not_to_have_text(zoom)
        # Where there is something to move, one finger moves it.
        touch("Start", (0, 0))
        touch("Move", (0, 60))
        touch("End")
        expect(bar).to_have_attribute("data-shown", "6")


# DICOM files that are no radiographs, through the service: readable answers, and values for a viewer.


def file(name: str) -> bytes:
    path = get_testdata_file(name, download=False)
    assert path is not None
    return Path(path).read_bytes()


def uploaded(client, case: str, name: str) -> str:
    answer = client.post(f"{UPLOAD}?case_id={case}&sure=true", content=file(name))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["image"]["id"])


def pixels_of_dicom_kinds(client, image_id: str, **query: int):
    """The values in their unit, or the colours, and the headers."""
    answer = client.get(f"{UPLOAD}/{image_id}/pixels", params=query)
    assert answer.status_code == 200, answer.text
    head = answer.headers
    shape = int(head["X-Rows"]), int(head["X-Columns"]), int(head["X-Samples"])
    values = np.frombuffer(answer.content, "<u2" if head["X-Bits"] == "16" else "u1").reshape(shape)
    if "X-Slope" in head:
        values = values * float(head["X-Slope"]) + float(head["X-Intercept"])
    return values.squeeze(), head


NO_IMAGES = {
    "rtplan.dcm": "(RT Plan Storage)",
    "test-SR.dcm": "(Comprehensive SR Storage)",
    "waveform_ecg.dcm": "(12-lead ECG Waveform Storage)",
    "MR_truncated.dcm": "ends before its image does",
    "priv_SQ.dcm": "holds no pixels",
}


def test_what_is_no_image_is_refused_with_the_reason(client, case):
    for name, said in NO_IMAGES.items():
        answer = client.post(
            f"{UPLOAD}?case_id={case}", content=file(name), headers={"Accept-Language": "en"}
        )
        assert answer.status_code == 422 and said in answer.json()["detail"]


def test_a_viewer_gets_hounsfield_units_doses_and_colours(client, case):
    ct, head = pixels_of_dicom_kinds(client, uploaded(client, case, "CT_small.dcm"))
    assert head["X-Unit"] == "HU" and (ct.min(), ct.max()) == (-896, 1167)
    centre, width = map(float, head["X-Window"].split(","))
    assert 0 < centre < float(head["X-White"]) and width > 1
    dose = uploaded(client, case, "rtdose.dcm")
    first, last = (pixels_of_dicom_kinds(client, dose, frame=number) for number in (1, 15))
    assert 0.79 < first[0].min() < last[0].max() < 1.26 and first[1]["X-Slope"] == last[1]["X-Slope"]
    colours, head = pixels_of_dicom_kinds(client, uploaded(client, case, "examples_rgb_color.dcm"))
    assert colours.shape == (240, 320, 3) and head["X-Samples"] == "3" and len(np.unique(colours)) > 10


def test_no_model_reads_them_and_the_answer_says_so(client, app_context, case):
    ids = [uploaded(client, case, name) for name in ("rtdose.dcm", "examples_rgb_color.dcm")]
    machine = ImageDecoder(app_context.records)
    for image_id, kind in zip(ids, ("RTDOSE", "US"), strict=True):
        with app_context.records.write(made_user(app_context.records, Role.TECHNICIAN)) as tx:
            work = take_job(tx, "w")
        assert work is not None
        read_case_image(app_context.records, app_context.settings, work, machine.pixels)
        result = client.get(f"{UPLOAD}/{image_id}/findings").json()["result"]
        assert not result["suitable"] and f"Dosya kendini {kind} türünde" in result["reasons"][0]
    machine.close()
