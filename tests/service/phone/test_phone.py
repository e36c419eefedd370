"""What a browser installs the reading room by; a phone keeps nothing, and signs only where it may."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image
from playwright.sync_api import expect
from sqlalchemy import select

from tests.records.kit import made_case, made_user
from tests.records.reports_kit import judged_all, made_report
from tests.service.browser import axe, opened, overflow, serving, signed_in
from tests.service.kit import make_context, served, sign_in
from tests.service.reading_room import PASSWORD, claim, made_room, reading, seen, served_room
from tests.service.rounds import film
from tetkik.drawing.icon import icon
from tetkik.records.people import passwords
from tetkik.records.schema import AuditRow, User
from tetkik.records.worklist import critical_results
from tetkik.values import CriticalLevel, Role

PHONE = {"User-Agent": "Mozilla/5.0 (Linux; Android 15) Chrome/140.0 Mobile Safari/537.36"}
FINGERPRINT = ":".join(["AB"] * 32)


@pytest.fixture
def client(tmp_path):
    with served(make_context(tmp_path, hospital_name="Örnek Hastanesi")) as found:
        yield found


def test_the_manifest_can_be_installed_in_both_languages(client):
    for language, word in (("tr", "şikâyetleri"), ("en", "Complaints")):
        answer = client.get("/manifest.webmanifest", headers={"Accept-Language": language})
        assert answer.headers["content-type"] == "application/manifest+json"
        said = answer.json()
        assert (said["lang"], said["display"], said["start_url"]) == (language, "standalone", "/")
        assert said["name"] == "Tetkik · Örnek Hastanesi" and word in said["description"]
        for one in said["icons"]:
            shown = client.get(one["src"])
            assert (shown.status_code, shown.headers["content-type"]) == (200, one["type"]), one
            if one["type"] == "image/png":
                side = int(one["sizes"].partition("x")[0])
                assert Image.open(BytesIO(shown.content)).size == (side, side)
    assert 'rel="manifest" href="/manifest.webmanifest"' in client.get("/login").text


def test_a_maskable_icon_has_its_drawing_within_what_launchers_leave():
    image = Image.open(BytesIO(icon(200, maskable=True))).convert("RGB")
    ground = image.getpixel((0, 0))
    drawn = [(x, y) for x in range(200) for y in range(200) if image.getpixel((x, y)) != ground]
    assert drawn and all((x - 100) ** 2 + (y - 100) ** 2 <= 80**2 for x, y in drawn)


def test_the_service_worker_keeps_the_page_without_a_patient_and_nothing_else(client):
    answer = client.get("/service-worker.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"] == "no-cache"
    (listed,) = re.findall(r"const FILES = (\[.*\]);", answer.text)
    files = json.loads(listed)
    assert any("/bundle/js/phone/start.js?v=" in file for file in files)
    for file in files:
        assert file.startswith("/static/") and "?v=" in file
        assert client.get(file).status_code == 200
    other = client.get("/service-worker.js", headers={"Accept-Language": "tr"}).text
    assert other.splitlines()[0] != answer.text.splitlines()[0]


def test_the_page_without_a_network_is_the_same_for_everybody(client):
    nobody = client.get("/offline").text
    actor = sign_in(client, _context(client), Role.RECEPTION)
    assert client.get("/offline").text == nobody
    assert actor.name not in nobody and 'name="csrf-token" content=""' in nobody


def _context(client):
    return client.app.state.context


def test_only_who_opens_cases_takes_complaints_and_photos(client):
    app_context = _context(client)
    for role, takes in (
        (Role.RECEPTION, "complaint"),
        (Role.TECHNICIAN, "photo"),
        (Role.RADIOLOGIST, None),
    ):
        sign_in(client, app_context, role)
        assert client.get("/phone").status_code == (403 if takes is None else 200)
        assert f'data-takes="{takes or ""}"' in client.get("/account").text


def test_the_android_package_is_named_where_the_setting_names_its_certificate(tmp_path, client):
    assert client.get("/.well-known/assetlinks.json").status_code == 404
    url = "https://tetkik.hastane.gov.tr"
    context = make_context(tmp_path / "other", public_url=url, phone_fingerprint=FINGERPRINT)
    with served(context) as other:
        (said,) = other.get("/.well-known/assetlinks.json", headers={"Host": "127.0.0.1"}).json()
    assert said["relation"] == ["delegate_permission/common.handle_all_urls"]
    assert said["target"] == {
        "namespace": "android_app",
        "package_name": "tr.gov.hastane.tetkik.phone",
        "sha256_cert_fingerprints": [FINGERPRINT],
    }


def test_a_phone_keeps_no_image(client):
    app_context = _context(client)
    sign_in(client, app_context, Role.TECHNICIAN)
    kept = client.post("/api/v1/images", content=film(3), headers={"Content-Type": "application/dicom"})
    path = f"/api/v1/images/{kept.json()['image']['id']}/preview"
    desk, phone = client.get(path), client.get(path, headers=PHONE)
    hinted = client.get(path, headers={"Sec-CH-UA-Mobile": "?1"})
    assert desk.headers["cache-control"] == "private, no-cache"
    assert phone.headers["cache-control"] == hinted.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("sent", "headers"),
    [({"small_display": True}, {}), ({}, PHONE), ({"small_display": False}, {"Sec-CH-UA-Mobile": "?1"})],
)
@pytest.mark.parametrize("allowed", [False, True])
def test_a_phone_signs_where_the_hospital_allows_it_and_the_trail_says_so(tmp_path, sent, headers, allowed):
    app_context = make_context(tmp_path, phone_signing=allowed)
    with served(app_context) as client:
        actor = sign_in(client, app_context, Role.RADIOLOGIST)
        made = made_report(app_context.records)
        with app_context.records.write(actor) as tx:
            tx.session.get_one(User, actor.user_id).password_hash = passwords.hashed(PASSWORD)
            revision = judged_all(tx, made.id).revision
        body = {"revision": revision, "password": PASSWORD, **sent}
        answer = client.post(f"/api/v1/reports/{made.id}/sign", json=body, headers=headers)
        assert answer.status_code == (201 if allowed else 403), answer.text
        with app_context.records.read() as tx:
            rows = tx.session.scalars(select(AuditRow).where(AuditRow.action == "report.signed")).all()
            said = [json.loads(row.content or "") for row in rows]
        assert ["small_display" in str(one) for one in said] == ([True] if allowed else [])


@pytest.mark.program("chromium")
def test_a_phone_is_told_that_it_is_no_diagnostic_display(browser, tmp_path):
    room = made_room(tmp_path, "Effusion")
    claim(room)
    for allowed in (False, True):
        settings = room.app_context.settings.model_copy(update={"phone_signing": allowed})
        chosen = replace(room, app_context=replace(room.app_context, settings=settings))
        with served_room(chosen) as there, reading(browser, there, width=390) as page:
            page.goto(f"/read/{room.case_id}")
            seen(page)
            page.locator("#tab-draft").click()
            # Said before a word is written, and again after each save.
            expect(page.locator("[data-sign]")).to_have_text(
                "İmzala" if allowed else "İş istasyonunda imzalanır"
            )
            page.locator("[data-sign]").click()
            told = page.locator("[data-small-display]")
            expect(told).to_contain_text("Bu ekran tanı ekranı değildir.")
            sign = page.locator("#sign [type=submit]")
            if not allowed:
                expect(sign).to_be_disabled()
                expect(page.locator("#sign-password")).to_be_hidden()
                page.keyboard.press("Escape")
                line = page.locator("[data-lines=findings] textarea").first
                words = line.input_value()
                for change in (f"{words} Ek.", words):
                    with page.expect_response(lambda answer: answer.request.method == "PUT"):
                        line.fill(change)
                expect(page.locator("[data-sign]")).to_have_text("İş istasyonunda imzalanır")
                continue
            expect(told).to_contain_text("denetim kaydına yazılır")
            page.locator("[data-accept-stated]").click()
            expect(page.locator("[data-judge-first]")).to_be_hidden()
            page.fill("#sign-password", PASSWORD)
            sign.click()
            expect(page.locator(".as-signed")).to_be_attached()


@pytest.mark.program("chromium")
def test_a_critical_result_is_acknowledged_by_touch(browser, tmp_path):
    app_context = make_context(tmp_path)
    reader = made_user(app_context.records, Role.RADIOLOGIST, Role.RECEPTION)
    case_id = made_case(app_context.records, reader, department="Dahiliye")
    with app_context.records.write(reader) as tx:
        critical_results.raise_result(
            tx, case_id, CriticalLevel.RED, "Sağda tansiyon pnömotoraks", notify=True
        )
    with serving(app_context) as address, opened(browser, address, width=390, touch=True) as phone:
        signed_in(phone, app_context, Role.CLINICIAN)
        page = phone.new_page()
        page.goto(f"/cases/{case_id}#critical")
        result = page.locator("#critical")
        expect(result).to_contain_text("henüz kimseye iletilmedi")
        knows = result.get_by_role("button", name="Bilgim var, gereğini yapıyorum")
        expect(knows).to_be_in_viewport(ratio=1)
        assert (axe(page), overflow(page)) == ([], 0)
        knows.tap()
        expect(result).to_contain_text("teyit edildi")
        expect(result).to_be_in_viewport()
    with app_context.records.read() as tx:
        (one,) = critical_results.results_of_case(tx, case_id)
        assert one.acknowledged_at is not None
