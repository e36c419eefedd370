"""Every way of a clinician to a patient: open while the patient is here, then with a reason alone."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from tests.records.reports_kit import signed_report
from tests.service.access.test_authorization import ENDLESS, GUARDED
from tests.service.kit import make_context, served, sign_in
from tetkik.records.ids import new_id
from tetkik.records.orders.orders import close_encounter, open_encounter
from tetkik.records.schema import Case
from tetkik.values import PERMISSIONS, SYSTEM, Role

PRIVATE = ("ŞAHİN", "10000000146", "H-204518")


@pytest.fixture
def app_context(tmp_path):
    made = make_context(tmp_path, requests_per_minute=100_000)
    yield made
    made.records.close()


def answers(client, report, case_number):
    """Each page, document and answer of the API that a clinician may ask for: its status, and its text."""
    ids = {"case_id": report.case_id, "image_id": report.image_id, "report_id": report.id}
    found = {}
    for method, path, permission in GUARDED:
        if method != "GET" or permission not in PERMISSIONS[Role.CLINICIAN] or ENDLESS.search(path):
            continue
        filled = re.sub(r"\{(n|number|version)(:int)?\}", "1", path)
        filled = re.sub(r"\{(\w+)[^}]*\}", lambda name: ids.get(name[1]) or new_id(), filled)
        answer = client.get(filled, params={"q": case_number})
        found[path] = (answer.status_code, answer.text)
    return found


def test_no_way_is_open_to_a_clinician_once_the_patient_has_left(app_context):
    records = app_context.records
    report = signed_report(records, department="Dahiliye")
    with records.write(SYSTEM) as tx:
        case = tx.session.get_one(Case, report.case_id)
        patient_id, number = case.patient_id, case.number
        open_encounter(tx, patient_id, "P-1", "Dahiliye", tx.now)
    records.encounter_access = True
    with served(app_context) as client:
        sign_in(client, app_context, Role.CLINICIAN, departments=("Dahiliye",))
        before = answers(client, report, number)
        with records.write(SYSTEM) as tx:
            close_encounter(tx, patient_id, "P-1", tx.now + timedelta(seconds=1))
        after = answers(client, report, number)
        asked = client.get(f"/cases/{report.case_id}", headers={"Accept-Language": "en"})
        assert asked.status_code == 403 and "no encounter of the patient is open" in asked.text
        reason = {"reason": "Taburcu hasta acil servise yeniden geldi"}
        assert client.post(f"/cases/{report.case_id}/break-glass", data=reason).status_code == 303
        again = answers(client, report, number)

    def telling(found):
        return {path for path, (_, text) in found.items() if any(one in text for one in (number, *PRIVATE))}

    assert {"/cases/{case_id}", "/search", "/reports"} & telling(before) and len(telling(before)) > 8
    assert telling(after) == set()
    opened = {path for path, (status, _) in before.items() if status == 200 and "_id}" in path}
    still = {path for path in opened if after[path][0] == 200}
    assert len(opened) > 10 and not still, still
    assert {path for path in opened if again[path][0] != 200} == set()
