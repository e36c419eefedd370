"""A complaint or a photo without a network, in a browser: sealed, sent once, nobody else's, gone in time."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Route, expect
from sqlalchemy import select

from tests.service.browser import Watch, arrived, axe, overflow, signed_in, wait_for_notice
from tests.service.phone.kit import (
    CASES,
    COMPLAINT,
    DESK,
    at_the_phone,
    kept,
    named,
    nothing_kept,
    ready,
    take,
    taken,
)
from tetkik.records.cases import cases
from tetkik.records.schema import Image as ImageRow
from tetkik.values import SYSTEM, Role

pytestmark = pytest.mark.program("chromium")
HOUR = 3600
HEALTH = "**/api/v1/health"
SENT = "Bu telefonda bekleyenler gönderildi"


def shot(folder: Path) -> Path:
    """A photo as a phone takes it, with its place in it."""
    exif = Image.Exif()
    exif[0x010F] = "Fotoğrafçı"
    file = folder / "photo.jpg"
    Image.effect_noise((640, 480), 60).convert("RGB").save(file, "JPEG", exif=exif)
    return file


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
    assert (entry["until"] - entry["at"]) == 2 * HOUR * 1000  # type: ignore[operator]
    page.reload()
    expect(page.locator("[data-count]")).to_have_text("1")
    assert named(app_context, "Ağsız HASTA") == []
    phone.set_offline(False)
    wait_for_notice(page, SENT)  # the page that was wanted comes by itself
    expect(page.get_by_role("heading", level=1)).not_to_have_text("Ağ bağlantısı yok")
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

    page.route(CASES, lose)

    def until(times: int) -> None:
        while len(lost) < times:
            page.wait_for_timeout(20)

    take(page, "Yarım KALAN")
    until(1)
    page.evaluate("() => [1, 2].forEach(() => document.querySelector('[data-send]').click())")
    until(2)
    page.reload()
    until(len(lost) + 1)
    page.unroute_all(behavior="wait")
    assert set(lost) == {201}
    page.reload()
    nothing_kept(page)  # no message is waited for: the page before may have been the one that sent it
    expect(page.locator("[data-queue]")).to_be_hidden()
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
    wait_for_notice(page, SENT)
    expect(page.locator("[data-queue]")).to_be_hidden()
    assert len(named(app_context, "Çift BASAN")) == 1


@pytest.mark.parametrize("shift", [2 * HOUR + 1, -2 * HOUR], ids=["late", "the clock was set back"])
def test_in_time_it_is_deleted_and_said(phone, app_context, shift):
    actor = signed_in(phone, app_context, *DESK)
    page = ready(phone.new_page())
    phone.set_offline(True)
    take(page, "Geç KALAN")
    expect(page.locator("[data-count]")).to_have_text("1")
    page.clock.install()
    page.clock.set_system_time(page.evaluate("Date.now() / 1000") + shift)
    page.reload()
    page.locator("[data-nobody]").wait_for()  # by then the screen has locked, too
    (left,) = kept(page)
    assert (left["state"], left["text"]) == ("expired", None)
    phone.set_offline(False)
    arrived(page, "/lock")
    page.click("form[action='/logout'] button")
    arrived(page, "/login")
    signed_in(phone, app_context, actor=actor)
    page.goto("/phone")
    expect(page.locator("[data-state]")).to_contain_text("zamanında gönderilemediği için silindi")
    page.click("[data-entries] [type=submit]")
    page.click("#confirm [data-yes]")
    expect(page.locator("[data-queue]")).to_be_hidden()
    assert kept(page) == [] and named(app_context, "Geç KALAN") == []


def test_another_person_neither_sees_nor_sends_it(phone, app_context):
    signed_in(phone, app_context, *DESK)
    page = ready(phone.new_page())
    taken(page, "Başkasının HASTASI")
    phone.clear_cookies()
    signed_in(phone, app_context, *DESK)
    page.unroute(CASES)
    page.goto("/phone")
    take(page, "Kendi HASTASI")
    wait_for_notice(page, f"{SENT}: 1")
    expect(page.locator("[data-queue]")).to_be_hidden()
    expect(page.locator("[data-phone-waiting]")).to_be_hidden()
    assert named(app_context, "Başkasının HASTASI") == []
    assert [entry["state"] for entry in kept(page)] == ["waits"]


def test_signing_out_wipes_ones_own_after_a_question(phone, app_context):
    absent = signed_in(phone, app_context, *DESK)
    page = ready(phone.new_page())
    taken(page, "Bekleyen HASTA")
    page.click("form[action='/lock'] button")
    arrived(page, "/lock")
    page.click("form[action='/logout'] button")  # "sign in as somebody else"
    arrived(page, "/login")
    for path, leaves in (("/phone", "/logout"), ("/account", "/account/sign-out-everywhere")):
        signed_in(phone, app_context, *DESK)
        page.goto("/phone")
        taken(page, "Silinecek HASTA")
        page.goto(path)
        page.locator("[data-phone-waiting]").wait_for()
        if leaves == "/logout":
            page.click("details.menu summary")
        page.click(f"form[action='{leaves}'] button")
        expect(page.locator("#confirm")).to_contain_text("gönderilmeyenler silinecek")
        page.click("#confirm [data-yes]")
        arrived(page, "/login")
        assert [entry["person"] for entry in kept(page)] == [absent.user_id]
    assert named(app_context, "Silinecek HASTA") == []


def test_a_locked_phone_takes_nothing_and_keeps_what_waits(phone, app_context):
    signed_in(phone, app_context, *DESK)
    page = ready(phone.new_page())
    taken(page, "Kilitli HASTA")
    page.click("form[action='/lock'] button")
    arrived(page, "/lock")
    phone.set_offline(True)
    page.goto("/phone")  # nothing of the page /lock itself may have run
    page.locator("[data-nobody]").wait_for()
    expect(page.locator("[data-take]")).to_be_hidden()
    expect(page.locator("[data-queue]")).to_be_hidden()
    assert len(kept(page)) == 1


def test_nobody_is_at_a_phone_once_the_lock_is_pressed(phone, app_context):
    """Whether or not the hospital's page ever comes."""
    actor = signed_in(phone, app_context, *DESK)
    page = ready(phone.new_page())
    expect(page.locator("[data-take]")).to_be_visible()
    assert at_the_phone(page) == actor.user_id
    page.evaluate("() => (HTMLFormElement.prototype.submit = () => (window.submitted = true))")
    page.click("form[action='/lock'] button")
    page.wait_for_function("() => window.submitted")
    assert at_the_phone(page) is None


def test_a_storage_that_hangs_keeps_no_screen_from_being_locked(phone, app_context):
    signed_in(phone, app_context, *DESK)
    page = ready(phone.new_page())
    expect(page.locator("[data-take]")).to_be_visible()
    page.evaluate(
        "() => (IDBDatabase.prototype.transaction = () => ({ objectStore: () => ({ delete: () => ({}) }) }))"
    )
    page.click("form[action='/lock'] button")
    arrived(page, "/lock")


def test_a_known_patient_is_asked_about(phone, app_context):
    signed_in(phone, app_context, *DESK)
    page = ready(phone.new_page())
    page.evaluate(
        """() => { const seal = crypto.subtle.encrypt.bind(crypto.subtle);
        const slow = () => new Promise((go) => setTimeout(go, 300));
        crypto.subtle.encrypt = (...all) => slow().then(() => seal(...all)); }"""
    )
    for _ in range(2):  # what is typed while the first is kept must not be wiped with it
        page.fill("#take-tckn", "10000000146")
        take(page, "Tanınan HASTA")
    expect(page.locator("[data-state]")).to_contain_text("zaten kaydı var")
    assert len(named(app_context, "Tanınan HASTA")) == 1
    page.click("[data-renew]")
    expect(page.locator("[data-queue]")).to_be_hidden()
    assert len(named(app_context, "Tanınan HASTA")) == 2


def problem(status: int, title: str) -> dict[str, Any]:
    """What the hospital answers as a fault, by its address; without a title a proxy before it."""
    said = {"type": f"urn:tetkik:problem:{title}", "title": title, "detail": "Olmadı."}
    return {"status": status, "content_type": "application/json", "body": json.dumps(said if title else {})}


def test_one_that_is_refused_stops_no_other(phone, app_context):
    signed_in(phone, app_context, *DESK)
    page = ready(phone.new_page())
    faults = {"Yetkisiz": (403, "Forbidden"), "Bozuk": (500, "Unexpected"), "Yabancı": (413, "")}
    faults |= {"Taşınan": (409, "Conflict"), "Yanlış": (422, "Invalid")}

    tried: list[str] = []

    def answer(route: Route) -> None:
        name = json.loads(route.request.post_data or "")["patient"]["name"]
        tried.append(name)
        if name not in faults:
            route.continue_()
            return
        route.fulfill(**problem(*faults[name]))

    page.route(CASES, answer)
    phone.set_offline(True)
    for number, name in enumerate((*faults, "Sağlam"), 1):
        take(page, name)
        expect(page.locator("[data-count]")).to_have_text(str(number))
    phone.set_offline(False)
    wait_for_notice(page, f"{SENT}: 1")
    states = page.locator("[data-state]")
    refused, waits = "kabul edilmedi: Olmadı.", "ağı bekliyor"
    page.click("[data-send]")
    expect(states).to_have_text([waits, waits, waits, refused, refused])
    assert [entry["text"] is None for entry in kept(page)] == [False, False, False, True, True]
    assert (tried.count("Taşınan"), tried.count("Yanlış")) == (
        2,
        1,
    )  # somebody wrote at that moment, it seemed
    assert len(named(app_context, "Sağlam")) == 1


def test_a_photo_that_is_refused_leaves_its_case(phone, app_context, tmp_path):
    signed_in(phone, app_context, *DESK)
    page = ready(phone.new_page())
    page.route("**/api/v1/images?*", lambda route: route.fulfill(**problem(422, "InputError")))
    take(page, "Fotoğrafsız HASTA", photo=shot(tmp_path))
    expect(page.locator("[data-state]")).to_contain_text("açıldı ama fotoğrafı kabul edilmedi: Olmadı.")
    expect(page.locator("[data-what]")).to_have_text("Fotoğraf")
    (case_id,) = named(app_context, "Fotoğrafsız HASTA")
    with app_context.records.read(SYSTEM) as tx:
        number = cases.load_case(tx, case_id, audit=False).number
    expect(page.locator("[data-state]")).to_contain_text(number)
    assert kept(page)[0]["text"] is None


def test_while_a_page_stays_open_it_is_sent_again_but_not_after_a_day(phone, app_context):
    """By the server's clock: it knows a request again for 24 hours; the phone's may have been set back."""
    signed_in(phone, app_context, *DESK)
    page = phone.new_page()
    page.clock.install()
    ready(page)
    later = {"Date": "Tue, 01 Jan 2036 00:00:00 GMT"}
    page.route(CASES, lambda route: (route.fetch(), route.abort()))
    with page.expect_event("requestfailed"):
        take(page, "Bir Günlük HASTA")
    page.unroute(CASES)
    page.route(HEALTH, lambda route: route.fulfill(headers=later))
    page.clock.fast_forward(31_000)
    expect(page.locator("[data-state]")).to_contain_text("zamanında gönderilemediği")
    page.unroute(HEALTH)
    page.route(HEALTH, lambda route: route.fulfill(status=503))  # the interface is up, the hospital is not
    with page.expect_response(HEALTH):
        take(page, "Bekleyen HASTA")
    page.unroute(HEALTH)
    page.clock.fast_forward(31_000)
    wait_for_notice(page, f"{SENT}: 1")
    assert [len(named(app_context, name)) for name in ("Bir Günlük HASTA", "Bekleyen HASTA")] == [1, 1]


def test_a_proxy_that_takes_the_date_out_does_not_make_it_young_for_ever(phone, app_context):
    signed_in(phone, app_context, *DESK)
    page = ready(phone.new_page())
    page.route(HEALTH, lambda route: route.fulfill(headers={"Date": ""}))
    taken(page, "Tarihsiz HASTA")
    assert kept(page)[0]["tried"] > 0  # type: ignore[operator]


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
