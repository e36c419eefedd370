"""The administrator's overview."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from tests.service.kit import make_context, served, sign_in
from tetkik.records.audit_chain import Action
from tetkik.service.system import browser_parts, python_parts, shown_settings
from tetkik.values import Role


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
