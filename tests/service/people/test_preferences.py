"""Language and theme are kept in the browser and with the person, and lead nowhere else."""

from __future__ import annotations

import pytest

from tests.service.kit import make_context, served, sign_in
from tetkik.records.people import sessions
from tetkik.values import Method, Role


def test_before_signing_in_the_browser_keeps_them(tmp_path):
    with served(make_context(tmp_path)) as client:
        answer = client.post("/preferences", data={"language": "en", "theme": "dark", "next": "/nowhere"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/nowhere")
        page = client.get("/nowhere").text
        assert '<html lang="en" data-theme="dark">' in page
        client.post("/preferences", data={"language": "tr", "theme": "system"})
        assert '<html lang="tr">' in client.get("/nowhere").text


def test_a_person_takes_them_to_another_browser(tmp_path):
    app_context = make_context(tmp_path)
    with served(app_context) as client:
        actor = sign_in(client, app_context, Role.ENGINEER)
        client.post("/account/preferences", data={"language": "en", "theme": "light"})
        client.cookies.clear()
        client.cookies.set("tetkik", opened_session_again(app_context, actor))
        assert '<html lang="en" data-theme="light">' in client.get("/engineer").text


def opened_session_again(app_context, actor):
    with app_context.records.write(actor) as tx:
        return sessions.begin_session(tx, actor.user_id, Method.PASSWORD)


@pytest.mark.parametrize(
    "target", ["https://elsewhere.example", "//elsewhere.example", "/\\elsewhere.example", ""]
)
def test_they_lead_to_no_other_hospital(tmp_path, target):
    with served(make_context(tmp_path)) as client:
        answer = client.post("/preferences", data={"theme": "dark", "next": target})
        assert answer.headers["location"] == "/"


def test_what_is_no_choice_is_refused(tmp_path):
    with served(make_context(tmp_path)) as client:
        assert client.post("/preferences", data={"theme": "pink"}).status_code == 422


def test_a_form_of_another_site_changes_nothing(tmp_path):
    app_context = make_context(tmp_path)
    with served(app_context) as client:
        sign_in(client, app_context, Role.ENGINEER)
        del client.headers["X-CSRF-Token"]
        assert client.post("/account/preferences", data={"theme": "dark"}).status_code == 403
