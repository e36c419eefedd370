"""The page where images come in, in a real browser: several at once, each with its own word."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image as Picture
from playwright.sync_api import expect

from tests.records.kit import made_case, made_user
from tests.records.pictured import film
from tests.service.browser import axe, chromium, opened, overflow, serving, signed_in
from tests.service.kit import make_context
from tests.service.zips import directory, zipped
from tetkik.records.images import images
from tetkik.values import Role

pytestmark = pytest.mark.program("chromium")


@pytest.fixture(scope="module")
def app_context(tmp_path_factory):
    made = make_context(tmp_path_factory.mktemp("hospital"))
    yield made
    made.records.close()


@pytest.fixture(scope="module")
def page(app_context):
    with (
        serving(app_context, work=True) as address,
        chromium() as browser,
        opened(browser, address) as window,
    ):
        signed_in(window, app_context, Role.TECHNICIAN)
        yield window.new_page()


def row(page, name):
    return page.locator(".file", has=page.locator(".name", has_text=re.compile(f"^{re.escape(name)}$")))


def picture(seed):
    packed = io.BytesIO()
    Picture.fromarray(np.random.default_rng(seed).integers(0, 255, (30, 40), np.uint8)).save(packed, "PNG")
    return packed.getvalue()


def given(name, content):
    return {"name": name, "mimeType": "application/octet-stream", "buffer": content}


def group(page, name):
    return page.locator(f'[data-group="{name}"]')


def test_each_file_of_several_stands_for_itself(page, app_context):
    case = made_case(app_context.records, made_user(app_context.records, Role.RECEPTION))
    page.goto(f"/upload?case={case}")
    expect(page.locator("h1 + p")).to_contain_text("Gülçin ŞAHİN")
    files = {"baska.dcm": film(7, side=512), "notlar.txt": b"x", "kesik.dcm": film()[:9000]}
    page.set_input_files("#files", [given(name, content) for name, content in files.items()])
    for name in ("notlar.txt", "kesik.dcm"):
        failed = group(page, "failed").locator(".file", has_text=name)
        expect(failed.locator(".state")).to_have_text("yüklenmedi")
        expect(failed.locator(".said")).to_contain_text(name)
    question = page.locator(".question")
    expect(question.locator("table")).to_contain_text("FANTOM SENTETIK")
    assert axe(page) == [] and overflow(page) == 0
    with app_context.records.read() as tx:
        assert images.list_images(tx, case) == ()
    question.locator(".sure").click()
    expect(row(page, "baska.dcm").locator(".state")).to_have_text("model okudu")
    expect(row(page, "baska.dcm").locator(".open")).to_have_attribute("href", f"/cases/{case}")
    expect(page.locator("#tally")).to_have_text("3 dosyadan 1 tanesi yüklendi")
    with app_context.records.read() as tx:
        (image,) = images.list_images(tx, case)
        assert images.load_metadata(tx, image).name == "baska.dcm"


def test_a_folder_and_a_zip_of_many_images_stay_readable(page, app_context, tmp_path):
    case = made_case(app_context.records, made_user(app_context.records, Role.RECEPTION))
    for number in range(13):
        (tmp_path / f"IM{number:04}").write_bytes(picture(number))
    (tmp_path / "kesik.dcm").write_bytes(film()[:9000])
    (tmp_path / "viewer.exe").write_bytes(b"MZ" + bytes(99))
    (tmp_path / "DICOMDIR").write_bytes(directory())
    page.goto(f"/upload?case={case}")
    page.set_input_files("#folder", tmp_path)
    expect(page.locator("#others")).to_have_text("2 başka dosya açılmadı.")
    expect(page.locator("#tally")).to_have_text("14 dosyadan 13 tanesi yüklendi")
    expect(group(page, "failed").locator(".count")).to_have_text("1")
    expect(group(page, "done")).not_to_have_attribute("open", "")
    expect(group(page, "done").locator(".count")).to_have_text("13")
    cd = zipped(
        [("DICOM/A", film(0)), ("DICOM/B", film(0, side=128)), ("C", film()[:9000]), ("D", picture(99))]
    )
    page.set_input_files("#files", [given("cd.zip", cd)])
    expect(page.locator("#tally")).to_have_text("18 dosyadan 14 tanesi yüklendi")
    expect(group(page, "failed").locator(".from")).to_have_text(["", "cd.zip içinden"])
    expect(page.locator(".question .count")).to_have_text("2 dosya:")  # both are of one other patient
    assert axe(page) == [] and overflow(page) == 0
    page.locator(".question .sure").click()
    expect(page.locator("#tally")).to_have_text("18 dosyadan 16 tanesi yüklendi")
    with app_context.records.read() as tx:
        assert len(images.list_images(tx, case)) == 16


def test_what_a_broken_line_left_out_goes_up_once_more(page, app_context):
    case = made_case(app_context.records, made_user(app_context.records, Role.RECEPTION))
    page.goto(f"/upload?case={case}")
    page.route("**/api/v1/images**", lambda route: route.abort())
    files = [given("a.png", picture(1)), given("cd.zip", zipped([("b.png", picture(2))]))]
    page.set_input_files("#files", files)
    expect(group(page, "failed").locator(".count")).to_have_text("2")
    page.unroute("**/api/v1/images**")
    page.locator("#retry").click()
    expect(page.locator("#tally")).to_have_text("2 dosyadan 2 tanesi yüklendi")
    expect(group(page, "failed")).to_be_hidden()
    with app_context.records.read() as tx:
        assert len(images.list_images(tx, case)) == 2


def test_a_file_is_dropped_and_finds_its_patient(page):
    page.goto("/upload")
    content = list(film(8, side=256))
    dropped = page.evaluate_handle(
        """(content) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(content)], "film.dcm"));
          return data;
        }""",
        content,
    )
    page.dispatch_event("#drop", "dragenter", {"dataTransfer": dropped})
    expect(page.locator("#drop")).to_have_class(re.compile("over"))
    page.dispatch_event("#drop", "drop", {"dataTransfer": dropped})
    expect(page.locator("#drop")).not_to_have_class(re.compile("over"))
    expect(row(page, "film.dcm").locator(".open")).to_be_visible()
    expect(row(page, "film.dcm").locator("img")).to_have_js_property("complete", True)


def test_the_file_dialog_opens_by_keyboard(page):
    # Listened for before the page is there: the browser takes a while to hand its dialogs over.
    page.on("filechooser", lambda chooser: None)
    page.goto("/upload")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("f")
    assert chooser.value.is_multiple()
