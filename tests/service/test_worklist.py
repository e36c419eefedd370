"""The worklist over HTTP: its pages and its API, who may, and what stands in the trail."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from tests.records.kit import made_case, made_user
from tests.service.kit import served, sign_in
from tetkik.records.cases.patients import Person
from tetkik.records.schema.cases import Case
from tetkik.records.schema.trail import AuditRow
from tetkik.records.worklist import claims
from tetkik.values.access import Role
from tetkik.values.radiograph import Sex
from tetkik.values.states import CaseState, Priority

API = "/api/v1"


@pytest.fixture
def client(app_context):
    with served(app_context) as client:
        client.headers["Accept-Language"] = "en"
        yield client


def put(app_context, name="Gülçin ŞAHİN", *, state=CaseState.TO_READ, priority=Priority.ROUTINE, **columns):
    desk = made_user(app_context.records, Role.RECEPTION)
    case_id = made_case(app_context.records, desk, Person(name, "", "H-1", "19700101"))
    with app_context.records.write(desk) as tx:
        row = tx.session.get_one(Case, case_id)
        row.state, row.priority = state, priority
        for key, value in columns.items():
            setattr(row, key, value)
    return case_id


def test_a_row_calls_a_child_a_girl_and_a_man_a_man(app_context, client):
    desk = made_user(app_context.records, Role.RECEPTION)
    year = datetime.now(UTC).year - 6
    people = ((Sex.FEMALE, f"{year}0101"), (Sex.MALE, "19700101"), (Sex.OTHER, ""))
    for number, (sex, birth) in enumerate(people):
        made_case(app_context.records, desk, Person("Ada KAYA", "", f"H-{number}", birth, sex))
    sign_in(client, app_context, Role.RADIOLOGIST)
    page = client.get("/worklist").text
    assert [page.count(f"<span>{word}</span>") for word in ("girl", "female", "male", "other sex")] == [
        1,
        0,
        1,
        1,
    ]


def actions(app_context, actor):
    with app_context.records.read() as tx:
        rows = select(AuditRow.action).where(AuditRow.user_id == actor.user_id).order_by(AuditRow.seq)
        return list(tx.session.scalars(rows))


def test_the_page_lists_and_the_trail_knows(app_context, client):
    critical = put(app_context, "Ali KAYA", priority=Priority.CRITICAL)
    routine = put(app_context)
    waiting = put(app_context, "Ece TAN", state=CaseState.WAITING)
    put(app_context, "Can ULU", state=CaseState.SIGNED)
    actor = sign_in(client, app_context, Role.RADIOLOGIST)
    page = client.get("/worklist").text
    assert page.index("Ali KAYA") < page.index("Gülçin ŞAHİN") < page.index("Ece TAN")
    assert "Can ULU" not in page and "Critical" in page
    assert f'href="/read/{critical}"' in page and f'href="/read/{routine}"' in page
    assert f'href="/cases/{waiting}"' in page
    assert actions(app_context, actor) == ["cases.listed"]
    signed = client.get("/worklist?state=signed").text
    assert "Can ULU" in signed and "data-claim" not in signed and "data-waiting" not in signed


def test_a_technician_opens_the_case_and_claims_nothing(app_context, client):
    case_id = put(app_context)
    sign_in(client, app_context, Role.TECHNICIAN)
    page = client.get("/worklist").text
    assert f'href="/cases/{case_id}"' in page and "data-claim" not in page
    assert client.put(f"{API}/cases/{case_id}/claim").status_code == 403


def test_an_empty_list_says_so(app_context, client):
    sign_in(client, app_context, Role.RADIOLOGIST)
    assert "Nothing waits" in client.get("/worklist").text
    answer = client.get("/worklist", params={"department": "Dahiliye", "finding": "", "since": "2026-01-01"})
    assert "No case matches" in answer.text


def test_more_goes_on_where_the_page_ended(app_context, client, monkeypatch):
    monkeypatch.setattr("tetkik.service.worklist._SHOWN", 2)
    names = ["Ali BİR", "Ali İKİ", "Ali ÜÇ", "Ali DÖRT", "Ali BEŞ"]
    for name in names:
        put(app_context, name)
    sign_in(client, app_context, Role.RADIOLOGIST)
    page, seen = client.get("/worklist").text, []
    while True:
        seen += [name for name in names if name in page]
        if 'id="more-button"' not in page:
            break
        address = page.partition('hx-get="/worklist/more')[2].partition('"')[0].replace("&amp;", "&")
        page = client.get(f"/worklist/more{address}").text
    assert seen == names
    assert all(name in client.get("/worklist/rows?shown=5").text for name in names)


def test_filters_are_links_that_can_be_left_again(app_context, client):
    put(app_context)
    sign_in(client, app_context, Role.RADIOLOGIST)
    page = client.get("/worklist?priority=routine&state=to_read").text
    assert 'href="/worklist?state=to_read" aria-current="true"' in page
    assert 'href="/worklist?state=to_read&amp;priority=routine&amp;scope=mine"' in page


def test_a_restricted_case_hides_its_name(app_context, client):
    case_id = put(app_context, restricted=True)
    sign_in(client, app_context, Role.RADIOLOGIST)
    page = client.get("/worklist").text
    assert "Restricted" in page and "ŞAHİN" not in page
    assert client.put(f"{API}/cases/{case_id}/claim").status_code == 403
    reason = {"reason": "Nöbetçi radyoloğum, rapor bekleniyor"}
    assert client.post(f"{API}/cases/{case_id}/break-glass", json=reason).status_code == 201
    assert "ŞAHİN" in client.get("/worklist").text


def test_the_search_of_the_page(app_context, client):
    put(app_context, state=CaseState.SIGNED)
    actor = sign_in(client, app_context, Role.RADIOLOGIST)
    found = client.post("/search", data={"words": "şahin"}, headers={"HX-Request": "true"})
    assert "One case found" in found.text and "Gülçin ŞAHİN" in found.text and "<html" not in found.text
    assert "data-claim" not in found.text
    whole = client.post("/search", data={"words": "mehmet"})
    assert "Nothing found" in whole.text and "<html" in whole.text
    assert actions(app_context, actor) == ["patient.searched"] * 2


def test_a_clinician_searches_their_department(app_context, client):
    put(app_context, "Can ULU", department="Dahiliye")
    put(app_context, "Can TAN", department="Kardiyoloji")
    sign_in(client, app_context, Role.CLINICIAN, departments=("Dahiliye",))
    assert client.get("/worklist").status_code == 403
    assert 'name="words"' in client.get("/search").text
    page = client.post("/search", data={"words": "can"}).text
    assert "Can ULU" in page and "Can TAN" not in page


def test_the_api_lists_in_pages(app_context, client):
    every = [put(app_context, priority=priority) for priority in (*Priority, Priority.ROUTINE)]
    sign_in(client, app_context, Role.RADIOLOGIST)
    seen, cursor = [], None
    while True:
        given = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = client.get(f"{API}/worklist", params=given).json()
        seen += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert [item["case_id"] for item in seen] == every
    assert (seen[0]["priority"], seen[0]["name"], seen[0]["reader"]) == ("critical", "Gülçin ŞAHİN", None)


@pytest.mark.parametrize(
    "query",
    ["cursor=x", "cursor=WzEsICJ4IiwgInkiXQ", "state=nowhere", "priority=9", "since=soon", "limit=0"],
)
def test_what_the_api_refuses(app_context, client, query):
    sign_in(client, app_context, Role.RADIOLOGIST)
    answer = client.get(f"{API}/worklist?{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_claims_over_the_api(app_context, client):
    case_id = put(app_context)
    me = sign_in(client, app_context, Role.RADIOLOGIST)
    address = f"{API}/cases/{case_id}/claim"
    assert client.get(address).json() == {"reader": None}
    assert client.put(address).json()["user_id"] == me.user_id
    other = made_user(app_context.records, Role.RADIOLOGIST, name="Dr. Barış")
    with app_context.records.write(other) as tx:
        claims.claim_case(tx, case_id, take_over=True)
    answer = client.put(address)
    assert answer.status_code == 409 and "Dr. Barış is reading" in answer.json()["detail"]
    assert client.put(address, params={"take_over": True}).status_code == 200
    assert client.delete(address).status_code == 204
    assert client.delete(address).status_code == 204
    assert client.get(address).json() == {"reader": None}
    assert client.put(f"{API}/cases/{'0' * 26}/claim").status_code == 404


def test_the_search_of_the_api(app_context, client):
    case_id = put(app_context)
    sign_in(client, app_context, Role.CLINICIAN)
    answer = client.post(f"{API}/search", json={"query": "gülçin"}).json()
    assert [item["case_id"] for item in answer["items"]] == [case_id] and answer["more"] is False
    assert client.get(f"{API}/search").status_code == 405
    assert client.post(f"{API}/search", json={"query": "x" * 121}).status_code == 422


def test_a_form_of_another_site_claims_nothing(app_context, client):
    case_id = put(app_context)
    sign_in(client, app_context, Role.RADIOLOGIST)
    del client.headers["X-CSRF-Token"]
    assert client.put(f"{API}/cases/{case_id}/claim").status_code == 403
    assert client.post("/search", data={"words": "x"}).status_code == 403


def test_columns_order_and_density_are_remembered(app_context, client):
    put(app_context)
    actor = sign_in(client, app_context, Role.RADIOLOGIST)
    page = client.get("/worklist").text
    assert '<th scope="col" class="modality">' in page and 'class="referrer"' not in page
    assert 'class="table cases dense"' in page
    form = {"query": "state=to_read", "column": ["", "referrer"]}
    answer = client.post("/worklist/look", data=form, follow_redirects=False)
    assert answer.headers["location"] == "/worklist?state=to_read"
    client.post("/worklist/look", data={"dense": "false"})
    client.get("/worklist?sort=-waiting")
    page = client.get("/worklist").text
    assert 'class="referrer"' in page and 'class="modality"' not in page and "cases dense" not in page
    assert client.get("/worklist?sort=waiting").text.count('aria-sort="ascending"') == 0  # it is hidden
    client.post("/worklist/look", data={"column": ["waiting"]})
    assert 'aria-sort="ascending"' in client.get("/worklist").text
    assert actions(app_context, actor) == ["cases.listed"] * 5


def test_a_view_is_saved_opened_and_removed(app_context, client):
    put(app_context, priority=Priority.CRITICAL)
    sign_in(client, app_context, Role.RADIOLOGIST)
    query = "priority=critical&sort=-waiting&columns=modality%2Cwaiting"
    client.post("/worklist/views", data={"name": "Acil", "query": query})
    assert client.post("/worklist/views", data={"name": "x", "query": "state=nowhere"}).status_code == 422
    page = client.get(f"/worklist?{query}").text
    tab = page.partition('class="view" id="view-0')[2].partition("</a>")[0]
    assert 'aria-current="page"' in tab and "Acil" in tab and ">1<" in tab
    assert 'aria-sort="descending"' in page and 'class="findings"' not in page
    assert (
        'aria-current="page"' not in client.get("/worklist").text.partition('id="view-0')[2].partition(">")[0]
    )
    view_id = page.partition("/worklist/views/")[2].partition("/")[0]
    client.post(f"/worklist/views/{view_id}/remove")
    assert "Acil" not in client.get("/worklist").text


def test_the_row_says_why_and_whose(app_context, client):
    case_id = put(app_context, priority=Priority.CRITICAL, priority_chosen=Priority.CRITICAL)
    me = sign_in(client, app_context, Role.RADIOLOGIST)
    address = f"{API}/cases/{case_id}/assignment"
    assert client.put(address, json={"assignee_id": me.user_id}).json()["id"] == me.user_id
    page = client.get("/worklist").text
    assert '<span class="why" title="chosen by a person">' in page and f'data-assign="{me.user_id}"' in page
    found = client.get(f"{API}/worklist", params={"assigned": "mine", "sort": "patient"}).json()["items"]
    assert found[0]["reason"]["chosen"] and found[0]["assignee"]["pool"] is False
    assert '<span class="why"' in client.get(f"/read/{case_id}").text
    assert client.put(address, json={"assignee_id": None}).json() is None
    assert [one["id"] for one in client.get(f"{API}/assignees").json()] == [me.user_id]
    client.post(f"/read/{case_id}/claim")
    known = client.get(f"{API}/cases/{case_id}/claim").json()["reader"]["expires_at"]
    assert client.put(f"/read/{case_id}/claim").json()["expires_at"] >= known
    assert client.delete(f"{API}/cases/{case_id}/claim", params={"until": known}).status_code == 204
    assert client.get(f"{API}/cases/{case_id}/claim").json()["reader"] is not None


def test_an_administrator_makes_pools(app_context, client):
    reader = made_user(app_context.records, Role.RADIOLOGIST, name="Dr. Barış")
    sign_in(client, app_context, Role.ADMINISTRATOR)
    client.post("/admin/pools", data={"name": "Toraks", "member": [reader.user_id]})
    page = client.get("/admin/pools").text
    assert "Toraks" in page and "<p>Dr. Barış</p>" in page
    assert "already" in client.post("/admin/pools", data={"name": "Toraks"}).text
    pool_id = page.partition("/admin/pools/")[2].partition("/")[0]
    client.post(f"/admin/pools/{pool_id}", data={"name": "Nöro"})
    assert "Nobody is in it yet" in client.get("/admin/pools").text
    client.post(f"/admin/pools/{pool_id}/remove")
    assert "No pool yet" in client.get("/admin/pools").text
    sign_in(client, app_context, Role.RADIOLOGIST)
    assert client.get("/admin/pools").status_code == 403
