"""The lists of the desk: what was opened today, and who waits for an image, the most urgent first."""

from __future__ import annotations

import re
from datetime import timedelta

from sqlalchemy import func, select, update

from tests.records.kit import made_case, made_user
from tests.records.reports_kit import made_image
from tests.service.kit import sign_in
from tetkik.records.cases.patients import Person
from tetkik.records.schema import AuditRow, Case
from tetkik.values import SYSTEM, Priority, Role

HTML = {"Accept-Language": "tr"}


def names(page):
    return re.findall(r'<a id="\w+-\w+" href="[^"]*">(?:<span[^>]*><b>)?([^<]*)<', page)


def made(app_context, name, priority, minutes=0):
    desk = made_user(app_context.records, Role.RECEPTION)
    person = Person(name, birth_date="20000101", phone="+905321234567")
    case_id = made_case(app_context.records, desk, person, priority=priority, department="Dahiliye")
    with app_context.records.write(SYSTEM) as tx:
        at = tx.now - timedelta(minutes=minutes)
        tx.session.execute(update(Case).where(Case.id == case_id).values(waiting_since=at))
    return case_id


def test_who_waits_stands_by_urgency_and_time(client, app_context):
    made(app_context, "Rutin Hasta", Priority.ROUTINE, 90)
    made(app_context, "Yeni Kritik", Priority.CRITICAL, 1)
    critical = made(app_context, "Eski Kritik", Priority.CRITICAL, 20)
    order = ["Eski Kritik", "Yeni Kritik", "Rutin Hasta"]
    page = client.get("/reception/waiting", headers=HTML).text
    assert names(page) == order
    assert f'href="/upload?case={critical}"' in page and "Kritik" in page and "Dahiliye" in page
    assert names(client.get("/reception/waiting/rows", headers=HTML).text) == order
    assert names(client.get("/upload", headers=HTML).text) == order
    assert names(client.get("/upload/waiting", headers=HTML).text) == order
    sign_in(client, app_context, Role.RECEPTION)
    assert f'href="/cases/{critical}"' in client.get("/reception/waiting").text
    with app_context.records.read() as tx:
        listed = select(func.count()).where(AuditRow.action == "cases.listed")
        assert tx.session.scalar(listed) == 3  # a page each; what follows an event is covered by it


def test_today_begins_at_midnight(client, app_context):
    old = made(app_context, "Dünkü Hasta", Priority.ROUTINE)
    today = made(app_context, "Bugünkü Hasta", Priority.ROUTINE)
    with app_context.records.write(SYSTEM) as tx:
        yesterday = tx.now - timedelta(days=1, minutes=1)
        tx.session.execute(update(Case).where(Case.id == old).values(created_at=yesterday))
    page = client.get("/reception/today", headers=HTML).text
    assert names(page) == ["Bugünkü Hasta"]
    assert f'href="/cases/{today}"' in page and "görüntü bekliyor" in page


def test_the_case_beside_the_upload_fills(client, app_context):
    case_id = made(app_context, "Gülçin ŞAHİN", Priority.ROUTINE)
    with app_context.records.write(SYSTEM) as tx:
        tx.session.execute(update(Case).where(Case.id == case_id).values(question=None))
    page = client.get(f"/upload?case={case_id}", headers=HTML).text
    assert f'data-live-list="/upload/{case_id}/panel"' in page and "Henüz görüntü yok" in page
    image_id = made_image(app_context.records, case_id)
    panel = client.get(f"/upload/{case_id}/panel", headers=HTML).text
    assert f"/api/v1/images/{image_id}/preview" in panel and "1 görüntü" in panel and "Gülçin ŞAHİN" in panel


def test_the_desk_sees_the_telephone_and_others_do_not(client, app_context):
    case_id = made(app_context, "Gülçin ŞAHİN", Priority.ROUTINE)
    assert 'href="tel:+905321234567">0532 123 45 67' in client.get(f"/cases/{case_id}").text
    sign_in(client, app_context, Role.RADIOLOGIST)
    assert "532" not in client.get(f"/cases/{case_id}").text


def test_a_search_while_typing_begins_at_the_third_letter(client, app_context):
    made(app_context, "Gülçin ŞAHİN", Priority.ROUTINE)
    typing = {"HX-Request": "true", "HX-Trigger": "words"}
    assert client.post("/search", data={"words": "gü"}, headers=typing).status_code == 204
    found = client.post("/search", data={"words": "gül"}, headers=typing)
    assert "Gülçin" in found.text and str(found.url).endswith("/search")
