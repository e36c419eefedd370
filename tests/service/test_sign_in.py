"""The first start, signing in and out, the locked screen, over real requests."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from tests.records.clock import Clock
from tests.service.kit import make_context, served, sign_in
from tests.service.moving import moved
from tetkik.records.metrics import collect_metrics
from tetkik.records.people import invites, users
from tetkik.records.people.refusals import count_unwritten
from tetkik.records.people.users import Profile
from tetkik.records.schema.people import BrowserSession, User
from tetkik.records.schema.trail import AuditRow
from tetkik.service.kit.access import rate_limits
from tetkik.service.kit.context import AppContext
from tetkik.service.kit.http.responses import safe_path
from tetkik.values.access import SYSTEM, Role

GOOD = "dört küçük mavi kuş"
SAFE = {"sec-fetch-site": "same-origin"}


@pytest.fixture
def app_context(tmp_path):
    made = make_context(tmp_path, language="en")
    with made.records.write(SYSTEM) as tx:
        users.create(tx, "admin", Profile("Ayşe", frozenset({Role.ADMINISTRATOR})), password=GOOD)
        users.create(tx, "irem", Profile("İrem Işık", frozenset({Role.RADIOLOGIST})), password=GOOD)
    yield made
    made.records.close()


@pytest.fixture
def client(application, app_context):
    return moved(application, app_context)


def log_in(client, login: str = "irem", password: str = GOOD, **more: str):
    return client.post("/login", data={"login": login, "password": password, **more})


def csrf_of(app_context: AppContext) -> str:
    latest = select(BrowserSession.csrf).order_by(BrowserSession.created_at.desc()).limit(1)
    with app_context.records.read() as tx:
        return tx.session.scalars(latest).one()


def actions(app_context: AppContext) -> list[str]:
    with app_context.records.read() as tx:
        return list(tx.session.scalars(select(AuditRow.action).order_by(AuditRow.seq)))


def test_the_first_start_from_the_link_to_the_administration(application, tmp_path):
    app_context = make_context(tmp_path)
    with app_context.records.write(SYSTEM) as tx:
        link = invites.invite_first_administrator(tx)
    given = {"name": "Ayşe Yılmaz", "login": "AYŞE", "password": GOOD, "repeated": GOOD}
    client = moved(application, app_context)
    assert client.get(f"/setup/{link}").status_code == 200
    assert client.post(f"/setup/{link}", data=given | {"repeated": "x"}).status_code == 422
    assert client.post(f"/setup/{link}", data=given | {"password": "x", "repeated": "x"}).status_code == 422
    answer = client.post(f"/setup/{link}", data=given)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert client.get("/api/v1/account").json()["login"] == "ayse"
    assert client.get("/admin/users").status_code == 200
    assert client.get(f"/setup/{link}").status_code == 404


def test_nobody_is_there_before_the_first_start(tmp_path):
    app_context = make_context(tmp_path)
    with served(app_context) as client:
        for login in ("admin", "administrator", "root", "tetkik"):
            assert log_in(client, login, login).status_code == 401


def test_signing_in_leads_to_where_one_wanted_to_go(client):
    answer = client.get("/account")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/account")
    answer = log_in(client, next="/account")
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    assert client.get("/account").status_code == 200


def test_the_cookie_is_kept_from_scripts_and_other_sites(client, app_context):
    cookie, browser = log_in(client).headers.get_list("set-cookie")
    for one in (cookie, browser):
        assert "HttpOnly" in one and "SameSite=lax" in one and "Path=/" in one and "Domain" not in one
    assert "Max-Age" not in cookie
    assert browser.startswith("tetkik-browser=")  # tells browsers apart, and opens nothing


def test_over_tls_the_cookie_belongs_to_this_host_alone(app_context):
    with served(AppContext(app_context.records, app_context.settings, secure=True)) as client:
        client.base_url = "https://testserver"
        cookie = log_in(client).headers["set-cookie"]
        assert cookie.startswith("__Host-tetkik=") and "Secure" in cookie
        assert client.get("/account").headers["strict-transport-security"] == "max-age=31536000"


def test_the_session_id_changes_at_sign_in(client, app_context):
    log_in(client)
    first = client.cookies["tetkik"]
    log_in(client)
    assert client.cookies["tetkik"] != first
    client.cookies.clear()
    client.cookies.set("tetkik", first)
    assert client.get("/api/v1/account").status_code == 401


def test_a_wrong_password_says_no_more_than_an_unknown_login(client):
    wrong, unknown = log_in(client, password="yanlış"), log_in(client, "nobody", "yanlış")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.text.replace("irem", "") == unknown.text.replace("nobody", "")
    assert "set-cookie" not in wrong.headers


def test_a_language_stays_a_language_after_a_failure(client):
    client.cookies.set("tetkik-language", "tr")
    assert "Kullanıcı adı ya da parola doğru değil" in log_in(client, password="yanlış").text


def test_sign_in_is_recorded(client, app_context):
    log_in(client, password="yanlış")
    log_in(client)
    client.post("/logout", headers={"X-CSRF-Token": csrf_of(app_context)})
    assert actions(app_context)[-3:] == ["sign_in.failed", "sign_in", "sign_out"]


def test_many_attempts_from_one_address_are_stopped(tmp_path):
    app_context = make_context(tmp_path, sign_ins_per_minute=3)
    with served(app_context) as client:
        answers = [log_in(client, f"user{number}", "x") for number in range(4)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
    assert int(answers[-1].headers["retry-after"]) >= 1
    with app_context.records.read() as tx:  # what was counted is written at the end
        assert collect_metrics(tx).sign_ins_failed == 3 and count_unwritten(tx.vault) == 0


def test_a_program_with_an_old_token_keeps_no_browser_beside_it_from_signing_in(tmp_path):
    app_context = make_context(tmp_path, sign_ins_per_minute=3)
    with served(app_context) as client:
        old = {"Authorization": "Bearer gone"}
        codes = [client.get("/api/v1/cases", headers=old).status_code for _ in range(5)]
        assert codes == [401, 401, 401, 429, 429]
        assert log_in(client, "user", "x").status_code == 401


@pytest.mark.attack
def test_cookies_of_known_browsers_have_one_wide_limit_together(tmp_path, monkeypatch):
    monkeypatch.setattr(rate_limits, "_BROWSERS", 2)
    app_context = make_context(tmp_path, sign_ins_per_minute=3)
    with app_context.records.write(SYSTEM) as tx:
        users.create(tx, "irem", Profile("İ", frozenset({Role.RADIOLOGIST})), password=GOOD)
    with served(app_context) as client:
        cookies = []
        for _ in range(3):  # each sign-in without a cookie gets another one
            client.cookies.clear()
            assert log_in(client).status_code == 303
            cookies.append(client.cookies["tetkik-browser"])
        codes = []
        for cookie in cookies * 3:
            client.cookies.clear()
            client.cookies.set("tetkik-browser", cookie)
            codes.append(log_in(client, "nobody", "x").status_code)
    assert codes == [401] * 6 + [429] * 3


@pytest.mark.attack
def test_anonymous_guesses_keep_nobody_from_the_locked_screen_or_their_browser(client, app_context):
    log_in(client)
    token, mine = csrf_of(app_context), dict(client.cookies)
    client.cookies.clear()
    assert {log_in(client, password="yanlış").status_code for _ in range(6)} == {401}
    assert log_in(client).status_code == 401  # an unknown browser at that address waits
    forged = f"{'a' * 64}.{'b' * 64}"
    for cookie in (forged, mine["tetkik-browser"][:-1] + "x", mine["tetkik-browser"].partition(".")[0]):
        client.cookies.set("tetkik-browser", cookie)
        assert log_in(client).status_code == 401
        client.cookies.clear()
    client.cookies.update(mine)
    client.post("/lock", data={"csrf": token})
    assert client.post("/lock/open", data={"csrf": token, "password": GOOD}).headers["location"] == "/"
    assert client.get("/account").status_code == 200
    assert log_in(client).status_code == 303


@pytest.mark.attack
def test_a_known_browser_is_not_stopped_by_the_attempts_of_its_neighbours(tmp_path):
    app_context = make_context(tmp_path, sign_ins_per_minute=3)
    with app_context.records.write(SYSTEM) as tx:
        users.create(tx, "irem", Profile("İrem Işık", frozenset({Role.RADIOLOGIST})), password=GOOD)
    with served(app_context) as client:
        browsers = []
        for _ in range(2):
            log_in(client)
            browsers.append(client.cookies["tetkik-browser"])
            client.cookies.clear()
        assert [log_in(client, "x", "x").status_code for _ in range(3)] == [401, 429, 429]
        client.cookies.set("tetkik-browser", browsers[0])
        assert [log_in(client, "x", "x").status_code for _ in range(31)] == [401] * 3 + [429] * 28
        client.cookies.clear()
        client.cookies.set("tetkik-browser", browsers[1])
        assert log_in(client).status_code == 303
    app_context.records.close()


def test_the_page_of_another_site_signs_nobody_in_or_out(client, app_context):
    for site in ("cross-site", "same-site"):
        refused = client.post(
            "/login", data={"login": "irem", "password": GOOD}, headers={"sec-fetch-site": site}
        )
        assert refused.status_code == 403 and "set-cookie" not in refused.headers
    log_in(client)
    assert client.post("/logout").status_code == 403
    assert client.post("/logout", headers={"X-CSRF-Token": "x"}).status_code == 403
    assert client.get("/account").status_code == 200


def test_signing_out_ends_the_session_itself(client, app_context):
    log_in(client)
    cookie = client.cookies["tetkik"]
    answer = client.post("/logout", data={"csrf": csrf_of(app_context)})
    assert answer.headers["location"] == "/login" and "cache" in answer.headers["clear-site-data"]
    client.cookies.set("tetkik", cookie)
    assert client.get("/api/v1/account").status_code == 401


def test_the_locked_screen_hides_everything_and_returns(client, app_context):
    log_in(client)
    token = csrf_of(app_context)
    answer = client.post("/lock", data={"csrf": token, "next": "/account"})
    assert answer.headers["location"] == "/lock?next=/account"
    assert client.get("/account").headers["location"] == "/lock?next=/account"
    assert client.get("/api/v1/account").status_code == 401
    assert client.post("/account/preferences", data={"csrf": token, "theme": "dark"}).status_code == 303
    assert client.get("/account", headers={"hx-request": "true"}).headers["hx-redirect"].startswith("/lock")
    page = client.get("/lock?next=/account")
    assert "İrem Işık" in page.text and "Users" not in page.text
    opened = {"csrf": token, "next": "/account"}
    assert client.post("/lock/open", data=opened | {"password": "yanlış"}).status_code == 403
    assert client.post("/lock/open", data={"password": GOOD}).status_code == 403
    answer = client.post("/lock/open", data=opened | {"password": GOOD})
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    assert client.get("/account").status_code == 200
    assert actions(app_context)[-3:] == ["screen.locked", "sign_in.failed", "screen.unlocked"]


def test_a_locked_screen_changes_no_preference(client, app_context):
    log_in(client)
    token = csrf_of(app_context)
    client.post("/lock", data={"csrf": token})
    client.post("/account/preferences", data={"csrf": token, "theme": "dark"})
    with app_context.records.read() as tx:
        assert tx.session.scalars(select(User.theme).where(User.login == "irem")).one() is None


def test_somebody_else_may_take_a_locked_screen_over(client, app_context):
    log_in(client)
    token = csrf_of(app_context)
    client.post("/lock", data={"csrf": token})
    assert client.post("/logout", data={"csrf": token}).headers["location"] == "/login"
    assert client.get("/lock").headers["location"] == "/login?next=/"


def test_an_idle_session_is_over(client, clock: Clock):
    log_in(client)
    clock.go(minutes=29)
    assert client.get("/account").status_code == 200
    clock.go(minutes=30)
    assert client.get("/account").headers["location"] == "/login?next=/account"


def test_a_closed_account_is_out_at_once(client, app_context):
    log_in(client)
    with app_context.records.write(SYSTEM) as tx:
        users.disable(tx, users.find_user(tx, "irem").id)
    assert client.get("/api/v1/account").status_code == 401
    assert log_in(client).status_code == 401


def test_new_roles_count_from_the_next_request_on(client, app_context):
    log_in(client)
    assert client.get("/admin/users").status_code == 403
    with app_context.records.write(SYSTEM) as tx:
        user_id = users.find_user(tx, "irem").id
        users.change(tx, user_id, Profile("İrem", frozenset({Role.ADMINISTRATOR})))
    assert client.get("/admin/users").status_code == 200


def test_a_password_that_has_to_be_changed_comes_before_everything(client, app_context):
    with app_context.records.write(SYSTEM) as tx:
        users.require_password_change(tx, users.find_user(tx, "irem").id)
    log_in(client)
    token = csrf_of(app_context)
    assert client.get("/worklist-or-anything").status_code == 404
    assert client.get("/account").headers["location"] == "/account/password?next=/account"
    assert client.get("/api/v1/account").status_code == 401
    assert client.get("/account/password").status_code == 200
    new = {"csrf": token, "current": GOOD, "password": "beş büyük sarı fil"}
    assert client.post("/account/password", data=new | {"repeated": "x"}).status_code == 422
    assert client.post("/account/password", data=new | {"repeated": new["password"]}).status_code == 303
    assert client.get("/account").status_code == 200


def test_the_present_password_is_asked_for(client, app_context, clock: Clock):
    log_in(client)
    clock.go(minutes=6)
    new = {"csrf": csrf_of(app_context), "password": "beş büyük sarı fil", "repeated": "beş büyük sarı fil"}
    assert client.post("/account/password", data=new).status_code == 403
    assert client.post("/account/password", data=new | {"current": "yanlış"}).status_code == 403
    assert client.post("/account/password", data=new | {"current": GOOD}).status_code == 303


def test_sessions_are_listed_and_ended(client, app_context):
    log_in(client)
    mine = client.cookies["tetkik"]
    client.cookies.clear()
    client.post(
        "/login", data={"login": "irem", "password": GOOD}, headers={"user-agent": "Firefox/1 Windows"}
    )
    other = client.cookies["tetkik"]
    client.cookies.clear()
    client.cookies.set("tetkik", mine)
    page = client.get("/account").text
    assert "Firefox · Windows" in page
    with app_context.records.read() as tx:
        rows = {row.agent: row for row in tx.session.scalars(select(BrowserSession))}
    mine_row, other_row = rows["testclient"], rows["Firefox/1 Windows"]
    data = {"csrf": mine_row.csrf}
    assert client.post(f"/account/sessions/{other_row.id}/end", data=data).status_code == 303
    assert client.post(f"/account/sessions/{other_row.id}/end", data=data).status_code == 404
    client.post("/account/sign-out-everywhere", data=data)
    for cookie in (mine, other):
        client.cookies.clear()
        client.cookies.set("tetkik", cookie)
        assert client.get("/api/v1/account").status_code == 401


def test_nobody_ends_the_sessions_of_others(client, app_context):
    sign_in(client, app_context, Role.CLINICIAN)
    with app_context.records.read() as tx:
        mine = tx.session.scalars(select(BrowserSession.id)).one()
    sign_in(client, app_context, Role.CLINICIAN)
    assert client.post(f"/account/sessions/{mine}/end").status_code == 404


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        ("/cases/1?a=b", True),
        ("//elsewhere.example", False),
        ("/\\elsewhere.example", False),
        ("/\t/elsewhere.example", False),
        ("/\n/elsewhere.example", False),
        ("https://elsewhere.example", False),
        ("javascript:alert(1)", False),
        ("", False),
    ],
)
def test_one_returns_to_this_hospital_alone(target, kept):
    assert safe_path(target) == (target if kept else "/")
