"""A complaint or a photo without a network, in a browser: sealed, sent once, nobody else's, gone in time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Page, Route, expect
from sqlalchemy import select

from tests.records.kit import made_user
from tests.service.browser import Watch, axe, opened, overflow, serving, signed_in
from tests.service.kit import make_context
from tetkik.records.cases import cases
from tetkik.records.schema import Case
from tetkik.records.schema import Image as ImageRow
from tetkik.service.kit.context import AppContext
from tetkik.values import SYSTEM, Role

pytestmark = pytest.mark.program("chromium")
COMPLAINT = "üç gündür öksürüyorum, ateşim var"
DESK = (Role.RECEPTION, Role.TECHNICIAN)


@pytest.fixture(scope="module")
def app_context(tmp_path_factory: pytest.TempPathFactory) -> AppContext:
    return make_context(tmp_path_factory.mktemp("hospital"), phone_queue_hours=2)


@pytest.fixture(scope="module")
def address(app_context: AppContext) -> Iterator[str]:
    with serving(app_context) as found:
        yield found


@pytest.fixture
def phone(browser, address) -> Iterator[BrowserContext]:
    with opened(browser, address, width=390, touch=True) as context:
        yield context


def ready(page: Page, path: str = "/phone") -> Page:
    """Open a page with its service worker at work."""
    page.goto(path)
    page.evaluate(
        """async () => { await navigator.serviceWorker.ready;
        if (!navigator.serviceWorker.controller)
            await new Promise((go) => navigator.serviceWorker.addEventListener('controllerchange', go)); }"""
    )
    page.locator("[data-take], [data-nobody], h1").first.wait_for()
    return page


def take(page: Page, name: str, complaint: str = COMPLAINT, photo: Path | None = None) -> None:
    page.fill("#take-name", name)
    page.fill("#take-complaint", complaint)
    if photo is not None:
        page.set_input_files("#take-photo", photo)
    page.click("[data-take] [type=submit]")


def shot(folder: Path) -> Path:
    """A photo as a phone takes it, with its place in it."""
    exif = Image.Exif()
    exif[0x010F] = "Fotoğrafçı"
    file = folder / "photo.jpg"
    Image.effect_noise((640, 480), 60).convert("RGB").save(file, "JPEG", exif=exif)
    return file


def named(app_context: AppContext, name: str) -> list[str]:
    """The cases of patients of this name."""
    with app_context.records.read(SYSTEM) as tx:
        ids = tx.session.scalars(select(Case.id)).all()
        return [one for one in ids if cases.load_case(tx, one, audit=False).person.name == name]


def entries(page: Page) -> int:
    return page.locator("[data-entries] > li").count()


def kept(page: Page) -> list[dict[str, object]]:
    """What lies in the phone's storage, as anybody with the phone in their hand could read it."""
    found: list[dict[str, object]] = page.evaluate(
        """() => new Promise((found) => {
            const request = indexedDB.open('tetkik-phone');
            request.onsuccess = () => {
                const all = request.result.transaction('entries').objectStore('entries').getAll();
                const text = (bytes) => String.fromCharCode(...new Uint8Array(bytes));
                all.onsuccess = () => {
                    request.result.close();
                    found(all.result.map((one) => ({ ...one, text: text(one.body.sealed) })));
                };
            };
        })"""
    )
    return found


def test_without_a_network_it_waits_and_then_goes_once(phone, app_context, tmp_path):
    signed_in(phone, app_context, *DESK)
    watch, page = Watch(), ready(phone.new_page())
    watch.over(page)
    phone.set_offline(True)
    page.goto("/worklist")  # from here on there is nothing but what the phone keeps
    expect(page.get_by_role("heading", level=1)).to_have_text("Ağ bağlantısı yok")
    assert (axe(page), overflow(page)) == ([], 0)
    take(page, "Ağsız HASTA", photo=shot(tmp_path))
    expect(page.locator("[data-count]")).to_have_text("1")
    expect(page.locator("[data-what]")).to_have_text("Şikâyet + Fotoğraf")
    when = page.locator("[data-when]").text_content() or ""
    assert re.fullmatch(r"alındı: \d\d\.\d\d \d\d:\d\d, silinecek: \d\d\.\d\d \d\d:\d\d", when)
    (entry,) = kept(page)
    assert "HASTA" not in str(entry["text"]) and COMPLAINT not in str(entry["text"])
    assert (entry["until"] - entry["at"]) == 2 * 3600 * 1000  # type: ignore[operator]
    page.reload()
    expect(page.locator("[data-count]")).to_have_text("1")
    assert named(app_context, "Ağsız HASTA") == []
    phone.set_offline(False)
    expect(page.get_by_role("heading", level=1)).not_to_have_text("Ağ bağlantısı yok")
    page.goto("/phone")
    expect(page.locator("[data-queue]")).to_be_hidden()
    (case_id,) = named(app_context, "Ağsız HASTA")
    with app_context.records.read(SYSTEM) as tx:
        case = cases.load_case(tx, case_id, audit=False)
        assert case.complaint is not None and case.complaint.result.text == COMPLAINT
        (image,) = tx.session.scalars(select(ImageRow).where(ImageRow.case_id == case_id)).all()
    assert image is not None


def test_cut_off_after_the_server_took_it_it_is_not_taken_twice(phone, app_context):
    """The answer is lost, the page is loaded again in the middle, and the button is pressed twice."""
    signed_in(phone, app_context, *DESK)
    page = ready(phone.new_page())
    lost: list[int] = []

    def lose(route: Route) -> None:
        lost.append(route.fetch().status)  # the server has it
        route.abort("connectionreset")

    page.route("**/api/v1/cases", lose)
    with page.expect_event("requestfailed"):
        take(page, "Yarım KALAN")
    with page.expect_event("requestfailed"):
        page.evaluate("() => [1, 2].forEach(() => document.querySelector('[data-send]').click())")
    with page.expect_event("requestfailed"):
        page.reload()
    page.unroute_all(behavior="wait")
    assert len(lost) >= 3 and set(lost) == {201}
    page.reload()
    expect(page.locator("[data-queue]")).to_be_hidden()
    assert kept(page) == []
    assert len(named(app_context, "Yarım KALAN")) == 1


def test_pressed_twice_it_is_one(phone, app_context):
    signed_in(phone, app_context, *DESK)
    page = ready(phone.new_page())
    phone.set_offline(True)
    page.fill("#take-name", "Çift BASAN")
    page.fill("#take-complaint", COMPLAINT)
    page.evaluate("() => [1, 2].forEach(() => document.querySelector('[data-take]').requestSubmit())")
    expect(page.locator("[data-count]")).to_have_text("1")
    phone.set_offline(False)
    page.goto("/phone")
    expect(page.locator("[data-queue]")).to_be_hidden()
    assert len(named(app_context, "Çift BASAN")) == 1


def test_in_time_it_is_deleted(phone, app_context):
    signed_in(phone, app_context, *DESK)
    page = ready(phone.new_page())
    phone.set_offline(True)
    take(page, "Geç KALAN")
    expect(page.locator("[data-count]")).to_have_text("1")
    page.clock.install()
    page.clock.fast_forward(2 * 3600 * 1000 + 1000)
    page.reload()
    page.locator("[data-nobody]").wait_for()  # by then the screen has locked, too
    assert kept(page) == []
    phone.set_offline(False)
    assert named(app_context, "Geç KALAN") == []


def test_another_person_neither_sees_nor_sends_it(phone, app_context):
    signed_in(phone, app_context, *DESK)
    page = ready(phone.new_page())
    page.route("**/api/v1/cases", lambda route: route.abort())
    take(page, "Başkasının HASTASI")
    expect(page.locator("[data-count]")).to_have_text("1")
    phone.clear_cookies()
    signed_in(phone, app_context, *DESK)
    page.unroute("**/api/v1/cases")
    page.goto("/phone")
    page.locator("[data-take]").wait_for()
    assert entries(page) == 0
    expect(page.locator("[data-phone-waiting]")).to_be_hidden()
    page.goto("/worklist")
    assert named(app_context, "Başkasının HASTASI") == []
    assert [entry["state"] for entry in kept(page)] == ["waits"]


def test_signing_out_wipes_it_after_a_question(phone, app_context):
    signed_in(phone, app_context, *DESK)
    page = ready(phone.new_page())
    page.route("**/api/v1/cases", lambda route: route.abort())
    take(page, "Silinecek HASTA")
    expect(page.locator("[data-count]")).to_have_text("1")
    page.unroute("**/api/v1/cases")
    page.click("details.menu summary")
    page.click("form[action='/logout'] button")
    expect(page.locator("#confirm")).to_contain_text("gönderilmeyenler silinecek")
    page.click("#confirm [data-yes]")
    page.wait_for_url("**/login**")
    stored = page.evaluate(
        "async () => [(await indexedDB.databases()).map((one) => one.name), await caches.keys()]"
    )
    page.goto("/offline")
    page.locator("[data-nobody]").wait_for()
    assert kept(page) == [] and stored[1] == []
    assert named(app_context, "Silinecek HASTA") == []


def test_a_locked_phone_takes_nothing_and_keeps_what_waits(phone, app_context):
    signed_in(phone, app_context, *DESK)
    page = ready(phone.new_page())
    page.route("**/api/v1/cases", lambda route: route.abort())
    take(page, "Kilitli HASTA")
    expect(page.locator("[data-count]")).to_have_text("1")
    page.click("form[action='/lock'] button")
    page.wait_for_url("**/lock?**")
    phone.set_offline(True)
    page.goto("/phone")
    page.locator("[data-nobody]").wait_for()
    expect(page.locator("[data-take]")).to_be_hidden()
    expect(page.locator("[data-queue]")).to_be_hidden()
    assert len(kept(page)) == 1


def test_a_known_patient_is_asked_about(phone, app_context):
    desk = made_user(app_context.records, *DESK)
    signed_in(phone, app_context, actor=desk)
    page = ready(phone.new_page())
    for _ in range(2):
        page.fill("#take-tckn", "10000000146")
        take(page, "Tanınan HASTA")
        page.locator("[data-queue][hidden], [data-is=known]").first.wait_for(state="attached")
    expect(page.locator("[data-state]")).to_contain_text("zaten kaydı var")
    assert len(named(app_context, "Tanınan HASTA")) == 1
    page.click("[data-renew]")
    expect(page.locator("[data-queue]")).to_be_hidden()
    assert len(named(app_context, "Tanınan HASTA")) == 2


def test_nothing_of_a_patient_is_cached(phone, app_context):
    signed_in(phone, app_context, Role.RADIOLOGIST, *DESK)
    page = ready(phone.new_page())
    for path in ("/worklist", "/reception", "/reports"):
        page.goto(path)
    held = page.evaluate(
        """async () => {
            const all = [];
            for (const name of await caches.keys()) all.push(...(await (await caches.open(name)).keys()));
            return all.map(({ url }) => new URL(url).pathname);
        }"""
    )
    assert held and all(path == "/offline" or path.startswith("/static/") for path in held)
