"""The page where images come in, in a real browser: several at once, each with its own word."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.records.kit import made_case, made_user
from tests.records.pictured import film
from tests.service.browser import axe, chromium, opened, overflow, serving, signed_in
from tests.service.kit import made_house
from tetkik.records.images import images
from tetkik.values import Role


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    made = made_house(tmp_path_factory.mktemp("house"))
    yield made
    made.records.close()


@pytest.fixture(scope="module")
def page(house):
    with serving(house, work=True) as address, chromium() as browser, opened(browser, address) as window:
        signed_in(window, house, Role.TECHNICIAN)
        yield window.new_page()


def row(page, name):
    return page.locator(".file", has=page.locator(".name", has_text=re.compile(f"^{re.escape(name)}$")))


def given(name, content):
    return {"name": name, "mimeType": "application/octet-stream", "buffer": content}


def test_each_file_of_several_stands_for_itself(page, house):
    case = made_case(house.records, made_user(house.records, Role.RECEPTION))
    page.goto(f"/upload?case={case}")
    expect(page.locator("h1 + p")).to_contain_text("Gülçin ŞAHİN")
    files = {"baska.dcm": film(7, side=512), "notlar.txt": b"x", "kesik.dcm": film()[:9000]}
    page.set_input_files("#files", [given(name, content) for name, content in files.items()])
    for name in ("notlar.txt", "kesik.dcm"):
        expect(row(page, name).locator(".state")).to_have_text("yüklenmedi")
        expect(row(page, name).locator(".said")).to_contain_text(name)
    other = row(page, "baska.dcm")
    expect(other.locator(".other")).to_contain_text("FANTOM SENTETIK")
    assert axe(page) == [] and overflow(page) == 0
    with house.records.read() as tx:
        assert images.of_case(tx, case) == ()
    other.locator(".sure").click()
    expect(other.locator(".state")).to_have_text("model okudu", timeout=60_000)
    expect(other.locator(".open")).to_have_attribute("href", f"/cases/{case}")
    expect(page.locator("#tally")).to_have_text("3 dosyadan 1 tanesi yüklendi")
    with house.records.read() as tx:
        (image,) = images.of_case(tx, case)
        assert images.described(tx, image).name == "baska.dcm"


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
    expect(row(page, "film.dcm").locator(".open")).to_be_visible(timeout=60_000)
    expect(row(page, "film.dcm").locator("img")).to_have_js_property("complete", True)


def test_the_file_dialog_opens_by_keyboard(page):
    # Listened for before the page is there: the browser takes a while to hand its dialogs over.
    page.on("filechooser", lambda chooser: None)
    page.goto("/upload")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("f")
    assert chooser.value.is_multiple()
