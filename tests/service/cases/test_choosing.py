"""Where a person picks a department or a priority: Turkish order, and a choice that holds."""

from __future__ import annotations

import re

import pytest

from tests.records.kit import id_of, made_case, made_user
from tests.service.kit import make_context, served, sign_in
from tetkik.language import Language
from tetkik.records.cases import cases
from tetkik.values import DEPARTMENTS, Priority, Role

IN_ORDER = [
    *("Beyin ve Sinir Cerrahisi", "Dahiliye", "Dermatoloji", "Fizik Tedavi ve Rehabilitasyon"),
    *("Genel Cerrahi", "Göğüs Hastalıkları", "Göz Hastalıkları", "Kadın Hastalıkları ve Doğum"),
    *("Kardiyoloji", "Kulak Burun Boğaz", "Nöroloji", "Ortopedi", "Pediatri", "Psikiyatri", "Üroloji"),
]


@pytest.fixture(scope="module")
def app_context(tmp_path_factory):
    made = make_context(tmp_path_factory.mktemp("hospital"), language=Language.TR)
    yield made
    made.records.close()


@pytest.fixture(scope="module")
def app(app_context):
    with served(app_context) as client:
        yield client


def listed(page):
    """The departments of a page in their order, from its lists and boxes."""
    names = re.findall(r">\s*([^<>]+?)\s*</(?:option|label|span)>", page)
    return [name for name in names if name in DEPARTMENTS]


def test_departments_stand_in_the_order_of_the_turkish_alphabet(app, app_context):
    desk = made_user(app_context.records, Role.RECEPTION)
    case_id = made_case(app_context.records, desk, department="Üroloji")
    for role, path in (
        (Role.RECEPTION, "/reception"),
        (Role.RECEPTION, f"/cases/{case_id}"),
        (Role.RADIOLOGIST, "/worklist"),
        (Role.ADMINISTRATOR, "/admin/users"),
        (Role.ADMINISTRATOR, f"/admin/users/{id_of(desk)}"),
    ):
        sign_in(app, app_context, role)
        assert listed(app.get(path).text)[:15] == IN_ORDER, path


def test_a_priority_is_chosen_on_the_page_and_over_the_api(app, app_context):
    desk = sign_in(app, app_context, Role.RECEPTION)
    case_id = made_case(app_context.records, desk)
    at = f"/cases/{case_id}"
    assert app.post(f"{at}/priority", data={"priority": "critical"}).status_code == 303
    assert "Bir kişi seçti" in app.get(at).text
    with app_context.records.read(desk) as tx:
        assert cases.load_case(tx, case_id, audit=False).priority is Priority.CRITICAL
    assert app.post(f"{at}/priority", data={"priority": "soon"}).status_code == 422
    seen = app.get(f"/api/v1{at}")
    assert (seen.json()["priority"], seen.json()["priority_chosen"]) == (0, True)
    headers = {"If-Match": seen.headers["etag"]}
    after = app.patch(f"/api/v1{at}", json={"priority": "as_found"}, headers=headers).json()
    assert (after["priority"], after["priority_chosen"]) == (2, False)
    assert "Triyaja ve geçerli bulgulara göre" in app.get(at).text
    sign_in(app, app_context, Role.RADIOLOGIST)
    assert app.post(f"{at}/priority", data={"priority": "urgent"}).status_code == 403
