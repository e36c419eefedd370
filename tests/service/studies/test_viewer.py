"""What the viewer shows of a case: stacks, thumbnails, priors and the hanging protocol."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import expect
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from tests.records.kit import made_case, made_user
from tests.service.browser import axe, chromium, opened, overflow, serving, signed_in
from tests.service.kit import count, served, sign_in
from tetkik.imaging.read import read_bytes
from tetkik.language import Language
from tetkik.records.cases import cases
from tetkik.records.images import images
from tetkik.records.images.images import ImageMetadata
from tetkik.records.people.access import load_visible_case
from tetkik.records.schema import AuditRow
from tetkik.service.studies.viewer import Stack, ViewerStudy, hang, load_viewer
from tetkik.values import SYSTEM, Role, View


def ct(number: int, study: str = "2.25.10", day: str = "20261120") -> bytes:
    """A slice of 16 x 16 pixels whose grey is its number."""
    return made(
        SOPClassUID=CTImageStorage,
        SOPInstanceUID=f"{study}.{number + 1}",
        StudyInstanceUID=study,
        SeriesInstanceUID=f"{study}.99",
        StudyDate=day,
        Modality="CT",
        BodyPartExamined="CHEST",
        SeriesDescription="Thorax 1.0",
        InstanceNumber=number + 1,
        ImagePositionPatient=[0, 0, 5.0 * number],
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        PixelSpacing=[1, 1],
        RescaleIntercept=-1024,
        RescaleSlope=1,
        PixelData=(1024 + 10 * number).to_bytes(2, "little") * 256,
    )


def radiograph(view: str, study: str = "2.25.20", day: str = "20261120") -> bytes:
    """A radiograph of one grey."""
    return made(
        SOPClassUID=DigitalXRayImageStorageForPresentation,
        SOPInstanceUID=f"{study}.{'1' if view == 'PA' else '2'}",
        StudyInstanceUID=study,
        SeriesInstanceUID=f"{study}.99",
        StudyDate=day,
        Modality="DX",
        BodyPartExamined="CHEST",
        ViewPosition=view,
        PixelData=(1000).to_bytes(2, "little") * 256,
    )


def made(**tags: Any) -> bytes:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = tags["SOPClassUID"]
    dataset.file_meta.MediaStorageSOPInstanceUID = tags["SOPInstanceUID"]
    dataset.Rows = dataset.Columns = 16
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 15, 0, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    packed = io.BytesIO()
    dataset.save_as(packed, enforce_file_format=True)
    return packed.getvalue()


def filled(app_context, *files: bytes, beside: str | None = None) -> str:
    """A case with these images, of a fresh patient or of the one of another case."""
    reception = made_user(app_context.records, Role.RECEPTION)
    with app_context.records.write(SYSTEM) as tx:
        patient = load_visible_case(tx, beside).patient_id if beside else None
        case_id = cases.open_case(tx, patient) if patient else None
    case_id = case_id or made_case(app_context.records, reception)
    with app_context.records.write(SYSTEM) as tx:
        patient_id = load_visible_case(tx, case_id).patient_id
        for content in files:
            stored = images.store_file(tx, patient_id, io.BytesIO(content))
            images.add_image(tx, case_id, stored, ImageMetadata.of(read_bytes(content, "x")))
    return case_id


def viewer_of(app_context, case_id: str):
    with app_context.records.read() as tx:
        found = images.list_images(tx, case_id)
        return load_viewer(tx, found[0], found, Language.EN)


def test_a_series_is_one_stack_in_the_order_of_its_sections(app_context):
    case_id = filled(app_context, *(ct(number) for number in (2, 0, 1)))
    viewer = viewer_of(app_context, case_id)
    (stack,) = viewer.studies[0].stacks
    assert (stack.count, stack.title, stack.modality) == (3, "Thorax 1.0", "CT")
    assert stack.locations == (0.0, 5.0, 10.0)
    with app_context.records.read() as tx:
        came = [image.id for image in images.list_images(tx, case_id)]
    assert list(stack.images) == [came[1], came[2], came[0]]
    assert "soft" in stack.presets and viewer.hanging.layout == "1x1"
    json.dumps(viewer.as_json())


def test_a_pa_and_a_lateral_are_two_stacks_side_by_side(app_context):
    viewer = viewer_of(app_context, filled(app_context, radiograph("LL"), radiograph("PA")))
    assert [stack.title for stack in viewer.studies[0].stacks] == ["PA", "Lateral"]
    assert viewer.hanging.layout == "1x2"
    assert viewer.hanging.cells == tuple(stack.id for stack in viewer.studies[0].stacks)


def test_priors_are_earlier_studies_of_the_patient_and_the_newest_like_one_is_hung_beside(app_context):
    now = filled(app_context, ct(0), ct(1))
    for study, day in (("2.25.31", "20240101"), ("2.25.32", "20250101"), ("2.25.33", "20270101")):
        filled(app_context, ct(0, study, day), ct(1, study, day), beside=now)
    filled(app_context, radiograph("PA", day="20260101"), beside=now)
    viewer = viewer_of(app_context, now)
    assert [prior.date for prior in viewer.priors] == ["01.01.2026", "01.01.2025", "01.01.2024"]
    assert viewer.relevant is not None and viewer.relevant.date == "01.01.2025"
    assert viewer.hanging.layout == "1x2"
    assert viewer.hanging.cells[1] == viewer.relevant.stacks[0].id


@pytest.mark.parametrize(
    ("current", "prior", "layout", "cells"),
    [
        ((View.PA,), (), "1x1", "a"),
        ((View.PA,), (View.PA,), "1x2", "aA"),
        ((View.PA, View.LATERAL), (View.PA,), "1x2", "ab"),
        ((View.PA, View.LATERAL), (View.PA, View.LATERAL), "2x2", "abAB"),
        ((View.OTHER, View.OTHER), (), "1x1", "a"),
    ],
)
def test_the_hanging_protocol(current, prior, layout, cells):
    def study(views: tuple[View, ...], letters: str) -> ViewerStudy:
        plain = Stack((), "", "DX", None, 16, 16, 1, ())
        stacks = tuple(
            replace(plain, images=(letter,), view=view) for letter, view in zip(letters, views, strict=False)
        )
        return ViewerStudy("s", "c", "", "X-ray", "", len(stacks), stacks)

    hung = hang("a", [study(current, "ab")], study(prior, "AB") if prior else None)
    assert (hung.layout, "".join(hung.cells)) == (layout, cells)


def test_a_prior_is_given_to_whoever_may_see_it_alone(app_context):
    now = filled(app_context, ct(0))
    before = filled(app_context, ct(0, "2.25.31", "20240101"), beside=now)
    others = filled(app_context, ct(0, "2.25.32", "20240101"))
    study = viewer_of(app_context, before).studies[0].id
    with served(app_context) as client:
        sign_in(client, app_context, Role.RADIOLOGIST)
        given = client.get(f"/read/{now}/studies/{study}")
        assert given.status_code == 200 and given.json()["stacks"][0]["modality"] == "CT"
        assert client.get(f"/read/{others}/studies/{study}").status_code == 404
        assert "data-only" in client.get(f"/read/{now}?view=only").text
        with app_context.records.write(made_user(app_context.records, Role.RECEPTION)) as tx:
            load_visible_case(tx, before).restricted = True
        assert client.get(f"/read/{now}/studies/{study}").status_code == 403
    with app_context.records.read(made_user(app_context.records, Role.RADIOLOGIST)) as tx:
        found = images.list_images(tx, now)
        assert load_viewer(tx, found[0], found, Language.EN).priors == ()


def test_the_pixels_of_several_images_come_in_one_answer_with_one_entry_each_in_the_trail(app_context):
    case_id = filled(app_context, *(ct(number) for number in range(3)))
    ids = viewer_of(app_context, case_id).studies[0].stacks[0].images
    with served(app_context) as client:
        sign_in(client, app_context, Role.RADIOLOGIST)
        before = count(app_context, AuditRow)
        answer = client.get("/api/v1/images/pixels", params={"ids": ",".join(ids)})
        assert answer.status_code == 200
        assert count(app_context, AuditRow) == before + 3
        content = answer.content
        for image_id in ids:
            size = int.from_bytes(content[:4], "little")
            head = json.loads(content[4 : 4 + size])
            values = content[4 + size : 4 + size + 512]
            alone = client.get(f"/api/v1/images/{image_id}/pixels")
            assert values == alone.content
            assert all(alone.headers[name] == value for name, value in head.items())
            content = content[4 + size + 512 :]
        assert content == b""
        assert client.get("/api/v1/images/pixels", params={"ids": "0" * 26}).status_code == 404


@pytest.mark.program("chromium")
def test_stacks_layouts_priors_and_the_second_window_by_hand_and_keyboard(app_context):
    now = filled(app_context, *(ct(number) for number in range(12)))
    filled(app_context, ct(0, "2.25.31", "20240101"), ct(1, "2.25.31", "20240101"), beside=now)
    filled(app_context, radiograph("PA", day="20250101"), beside=now)
    with serving(app_context) as address, chromium() as browser, opened(browser, address) as window:
        signed_in(window, app_context, Role.RADIOLOGIST)
        page = window.new_page()
        page.goto(f"/read/{now}")
        page.wait_for_selector("[data-viewer][data-ready]")
        current, prior = (page.locator(f"[data-pane={name}]") for name in ("current", "prior"))
        expect(prior.locator(".edge.title")).to_have_text("Önceki · Thorax 1.0 · 01.01.2024")

        # The wheel scrolls, and the linked prior with it; Ctrl and the wheel zoom.
        current.locator("[data-stage]").hover()
        for _ in range(3):
            page.mouse.wheel(0, 100)
        expect(current.locator("[data-edge=count]")).to_have_text("4 / 12")
        expect(prior.locator("[data-edge=count]")).to_have_text("2 / 2")
        page.keyboard.press("2")
        expect(current.locator("[data-edge=window]")).to_have_text("P 1500 · M -600")

        # A thumbnail that a pane shows makes that pane the active one: the case's own film stays.
        expect(prior.locator(".edge.title")).to_have_class(re.compile("earlier"))
        page.locator(".study.earlier [data-stack]").first.click()
        expect(prior).to_have_class(re.compile("active"))
        expect(current.locator(".edge.title")).not_to_contain_text("Önceki")
        page.locator(".study:not(.earlier) [data-stack]").first.click()
        expect(current).to_have_class(re.compile("active"))

        # Another prior, and layouts; the address stays.
        page.locator("[data-prior]").click()
        expect(prior.locator(".edge.title")).to_have_text("Önceki · PA · 01.01.2025")
        for key in ("v", "4"):
            page.keyboard.press(key)
        expect(page.locator("[data-pane=fourth]")).to_be_visible()
        assert axe(page) == [] and overflow(page) == 0
        for key in ("v", "1", "v", "f", "v", "r"):
            page.keyboard.press(key)
        expect(prior).to_be_hidden()
        expect(page.locator("#side-findings")).to_be_hidden()
        box = current.bounding_box()
        assert box is not None and box["width"] > 1250
        page.keyboard.press("j")
        expect(current.locator("[data-cine]")).to_have_attribute("aria-pressed", "true")
        expect(current.locator("[data-edge=count]")).to_have_text("12 / 12")

        # The second window follows to another case.
        other = filled(app_context, radiograph("PA", "2.25.40"))
        with window.expect_page() as opening:
            page.locator("[data-do=second]").click()
        second = opening.value
        second.wait_for_selector("[data-viewer][data-ready]")
        assert second.locator("#side-draft").count() == 0
        page.goto(f"/read/{other}")
        second.wait_for_url(f"**/read/{other}?view=only")

        # What was put away stays away; a person may do without the hanging protocol.
        page.wait_for_selector("[data-viewer][data-ready]")
        expect(page.locator("#side-findings")).to_be_hidden()
        for key in ("v", "h"):
            page.keyboard.press(key)
        page.goto(f"/read/{now}")
        page.wait_for_selector("[data-viewer][data-ready]")
        expect(page.locator("[data-viewer]")).to_have_attribute("data-layout", "1x1")
