"""Figures for Prometheus: right, without ids or names, and not for everybody."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import insert

from tests.records.kit import made_case, made_user
from tests.service.kit import make_context, served, sign_in
from tetkik.records.audit_chain import Action
from tetkik.records.people import tokens
from tetkik.records.schema.cases import Case, Image, Study
from tetkik.records.schema.models import Job, Run
from tetkik.records.schema.reports import Report, ReportVersion
from tetkik.service.app import create_app
from tetkik.service.system import browser_parts, python_parts, shown_settings
from tetkik.values.access import Permission, Role
from tetkik.values.document import ReportState
from tetkik.values.states import Capability, JobState, RunState


def read(client):
    """Every sample: (name, labels) and its value."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def work(app_context, case_id):
    """Two pieces of work, two runs, two signed reports of which one was corrected."""
    with app_context.records.write(made_user(app_context.records, Role.TECHNICIAN)) as tx:
        patient = tx.session.get_one(Case, case_id).patient_id
        whose = {"case_id": case_id, "patient_id": patient}
        tx.session.execute(insert(Study), [{"id": "s", "created_at": tx.now} | whose])
        for n in "12":
            image: dict[str, object] = {
                "id": f"i{n}",
                "study_id": "s",
                "file": n,
                "size": 1,
                "file_format": "png",
                "rows": 1,
            }
            tx.session.execute(insert(Image), [image | {"columns": 1, "created_at": tx.now} | whose])
            run: dict[str, object] = {
                "id": f"r{n}",
                "image_id": f"i{n}",
                "capability": Capability.FINDINGS,
                "bundle": "m 1",
            }
            run |= {"bundle_sha256": "0", "state": RunState.DONE, "flaws": "", "finished_at": tx.now}
            tx.session.execute(
                insert(Run), [run | {"started_at": tx.now - timedelta(seconds=int(n))} | whose]
            )
            report: dict[str, object] = {
                "id": f"p{n}",
                "image_id": f"i{n}",
                "state": ReportState.FINAL,
                "language": "tr",
            }
            report |= {"run_id": f"r{n}", "writer": "w", "revision": 1, "version": 1}
            report |= {"created_at": tx.now, "updated_at": tx.now}
            tx.session.execute(insert(Report), [report | whose])
            version: dict[str, object] = {
                "id": f"v{n}",
                "report_id": f"p{n}",
                "number": 1,
                "document": b"",
                "verification": "0",
            }
            tx.session.execute(
                insert(ReportVersion), [version | {"corrected": n == "1", "created_at": tx.now} | whose]
            )
        for place, state in enumerate((JobState.QUEUED, JobState.FAILED)):
            job: dict[str, object] = {
                "id": f"j{place}",
                "kind": "read_image",
                "case_id": case_id,
                "image_id": "i1",
                "state": state,
            }
            job |= {"priority": 1, "attempts": 0, "created_at": tx.now - timedelta(seconds=90)}
            tx.session.execute(insert(Job), [job])
        tx.audit(Action.SIGN_IN_FAILED)


def test_the_figures_of_the_hospital(app_context):
    case_id = made_case(app_context.records, made_user(app_context.records, Role.RECEPTION))
    work(app_context, case_id)
    with served(app_context, anew=True) as client:
        sign_in(client, app_context, Role.ADMINISTRATOR)
        found = read(client)
        text = client.get("/metrics").text
    assert found["tetkik_queue_length", ()] == 1
    assert 90 <= found["tetkik_queue_age_seconds", ()] < 600
    assert found["tetkik_jobs_failed", ()] == 1
    assert found["tetkik_cases", (("state", "waiting"),)] == 1
    took = [("capability", "findings"), ("quantile", "0.5")]
    assert 1 <= found["tetkik_inference_seconds", tuple(took)] <= 2.01
    assert found["tetkik_reports_signed_total", ()] == 2
    assert found["tetkik_drafts_corrected_share", ()] == 0.5
    assert found["tetkik_sign_ins_failed", ()] == 1
    assert found["tetkik_sessions", ()] == 1
    assert case_id not in text and "ŞAHİN" not in text


def test_pages_are_measured_by_their_template(app_context):
    case_id = made_case(app_context.records, made_user(app_context.records, Role.RECEPTION))
    with served(app_context, anew=True) as client:
        sign_in(client, app_context, Role.ADMINISTRATOR, Role.RADIOLOGIST)
        client.get(f"/api/v1/cases/{case_id}/claim")
        client.get("/worklist?department=Dahiliye")
        client.get(f"/nowhere/{case_id}")
        found = read(client)
        text = client.get("/metrics").text
    measured = {dict(labels)["route"] for name, labels in found if name == "tetkik_page_seconds_count"}
    assert {"/api/v1/cases/{case_id}/claim", "/worklist", "other"} <= measured
    refused = (("method", "GET"), ("route", "other"), ("status", "4xx"))
    assert found["tetkik_page_seconds_count", refused] == 1
    assert case_id not in text and "Dahiliye" not in text


def test_not_for_everybody(app_context):
    with served(app_context, anew=True) as client:
        assert client.get("/metrics").status_code in (303, 401)
        sign_in(client, app_context, Role.RADIOLOGIST)
        assert client.get("/metrics").status_code == 403


def test_for_a_program_on_this_machine_where_the_setting_says_so(tmp_path):
    app_context = make_context(tmp_path, metrics_public=True)
    app = create_app(app_context, work=False)
    with TestClient(app, client=("127.0.0.1", 1), follow_redirects=False) as client:
        assert client.get("/metrics").status_code == 200
        assert client.get("/metrics", headers={"X-Forwarded-For": "10.0.0.9"}).status_code != 200
    with TestClient(app, client=("10.0.0.9", 1), follow_redirects=False) as client:
        assert client.get("/metrics").status_code != 200


@pytest.mark.attack
def test_a_token_for_the_figures_opens_nothing_else(app_context):
    owner = made_user(app_context.records, Role.ADMINISTRATOR)
    with app_context.records.write(owner) as tx:
        lasting = timedelta(days=1)
        figures, _ = tokens.create(tx, "Prometheus", [Permission.METRICS], lasting)
        system, _ = tokens.create(tx, "other", [Permission.SYSTEM], lasting)
    with served(app_context, anew=True) as client:

        def status(path: str, secret: str) -> int:
            return client.get(path, headers={"authorization": f"Bearer {secret}"}).status_code

        assert status("/metrics", figures) == 200
        assert status("/metrics", system) == 403
        assert status("/metrics", figures + "x") in (303, 401)
        assert status("/api/v1/status", figures) == 403
        assert status("/admin", figures) == 303


def test_two_applications_measure_apart(tmp_path):
    for name in "ab":
        app_context = make_context(tmp_path / name)
        with served(app_context, anew=True) as client:
            sign_in(client, app_context, Role.ADMINISTRATOR)
            read(client)


def test_health_in_detail(app_context):
    work(app_context, made_case(app_context.records, made_user(app_context.records, Role.RECEPTION)))
    with served(app_context, anew=True) as client:
        sign_in(client, app_context, Role.RADIOLOGIST)
        assert client.get("/api/v1/status").status_code == 403
        sign_in(client, app_context, Role.ADMINISTRATOR)
        said = client.get("/api/v1/status").json()
    assert said["queue"]["waiting"] == said["queue"]["failed"] == 1
    assert said["cases"]["waiting"] == 1 and said["corrected_share"] == 0.5
    assert said["disk_free_bytes"] > 0 and said["inference"][0]["runs"] == 2


# The administrator's overview.


def test_the_overview_tells_how_the_hospital_fares(tmp_path):
    app_context = make_context(tmp_path)
    with served(app_context) as client:
        actor = sign_in(client, app_context, Role.ADMINISTRATOR)
        client.post("/account/preferences", data={"language": "en"})
        page = client.get("/admin").text
        assert "No backup was ever made" in page and "SQLite" in page and "administrator 1" in page
        with app_context.records.write(actor) as tx:
            tx.audit(Action.BACKUP_MADE)
        assert "No backup was ever made" not in client.get("/admin").text


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMINISTRATOR])
def test_it_is_closed_to_others(tmp_path, role):
    app_context = make_context(tmp_path)
    with served(app_context) as client:
        sign_in(client, app_context, role)
        assert client.get("/admin").status_code == 403


def test_no_secret_is_shown(tmp_path):
    app_context = make_context(
        tmp_path, llm_key=SecretStr("sk-very-secret"), oidc_client_secret=SecretStr("another-secret")
    )
    assert dict(shown_settings(app_context.settings))["llm_key"] == "•••"
    with served(app_context) as client:
        sign_in(client, app_context, Role.ADMINISTRATOR)
        page = client.get("/admin").text
        assert "•••" in page and "very-secret" not in page and "another-secret" not in page


def test_the_work_of_others_is_named_with_its_licence():
    assert ("htmx.org", "0BSD") in {(part.name, part.licence) for part in browser_parts()}
    parts = {part.name.lower(): part for part in python_parts()}
    assert {"numpy", "pydantic", "rich"} <= set(parts)
    assert "pytest" not in parts
    assert [part.name for part in parts.values() if part.licence == "–"] == []
