"""Two `tetkik serve` on one PostgreSQL: whichever answers, it is one hospital."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from tests.patience import PATIENCE
from tests.records.kit import made_case, made_records, made_user
from tests.records.pictured import film
from tests.service.authenticators import SoftPasskey
from tests.service.kit import make_context, opened_session
from tests.service.several import ORIGIN, browser_at, services
from tetkik.records.database import Records
from tetkik.records.lifecycle.key_rotation import rotate_master_key
from tetkik.records.migrate import NEWEST
from tetkik.records.people import passkeys, users
from tetkik.records.people.users import Profile
from tetkik.values import SYSTEM, Actor, Role

pytestmark = pytest.mark.program("postgresql")
API = "/api/v1"
GOOD = "dört küçük mavi kuş"


class Hospital:
    """Two addresses of one hospital, and its records."""

    def __init__(self, records: Records, first: str, second: str) -> None:
        self.records, self.first, self.second = records, first, second

    @contextmanager
    def browsers(self, actor: Actor, *, of: str = "192.0.2.1") -> Iterator[tuple[httpx.Client, httpx.Client]]:
        """One browser that the proxy sends to either."""
        session = opened_session(make_context(self.records.folder, self.records), actor)
        with (
            browser_at(self.first, *session, of=of) as one,
            browser_at(self.second, *session, of=of) as other,
        ):
            yield one, other


@pytest.fixture(scope="module")
def hospital(postgres, tmp_path_factory) -> Iterator[Hospital]:
    """The second process reads images."""
    folder: Path = tmp_path_factory.mktemp("hospital")
    url = postgres.fresh()
    records = made_records(folder, url)
    with services(folder, url, ("--no-work",), ()) as (first, second):
        yield Hospital(records, first, second)
    records.close()
    postgres.drop(url)


@contextmanager
def heard(browser: httpx.Client) -> Iterator[Iterator[str]]:
    """Lines of the event stream, from now on."""
    with browser.stream("GET", f"{API}/events", params={"after": 0}) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "retry: 2000"
        yield lines


@pytest.mark.parametrize("left_by", ["/lock", "/logout"])
def test_who_signs_in_at_one_is_signed_in_at_the_other_until_they_leave(hospital, left_by):
    login = f"irem{left_by[1:]}"
    with hospital.records.write(SYSTEM) as tx:
        users.create(tx, login, Profile("İrem Işık", frozenset({Role.RADIOLOGIST})), password=GOOD)
    with browser_at(hospital.first) as one:
        answer = one.post("/login", data={"login": login, "password": GOOD})
        cookie = answer.cookies["tetkik"]
        with browser_at(hospital.second, cookie) as other:
            assert other.get(f"{API}/account").json()["login"] == login
            csrf = other.get("/account").text.partition('name="csrf-token" content="')[2].partition('"')[0]
            with heard(other) as lines:
                assert one.post(left_by, data={"csrf": csrf}).status_code == 303
                assert "event: end" in lines
            assert other.get(f"{API}/account").status_code == 401


def test_a_challenge_of_one_is_answered_at_either_and_once(hospital):
    member = made_user(hospital.records, Role.RADIOLOGIST)
    mine = SoftPasskey("localhost", ORIGIN)
    with hospital.records.write(member) as tx:
        passkeys.add(tx, "Desk 3", mine.id, mine.public_key, 0)
    of = "192.0.2.2"
    with (
        browser_at(hospital.first, of=of) as one,
        browser_at(hospital.second, of=of) as other,
        ThreadPoolExecutor(2) as pool,
    ):
        for _ in range(3):
            asked = one.post(f"{API}/passkeys/sign-in/question").json()
            sent = {"credential": mine.answer(asked)}
            tries = [pool.submit(at.post, f"{API}/passkeys/sign-in", json=sent) for at in (one, other)]
            assert sorted(one.result().status_code for one in tries) == [200, 403]


def test_attempts_to_sign_in_are_counted_over_both(hospital):
    of = "192.0.2.3"
    with browser_at(hospital.first, of=of) as one, browser_at(hospital.second, of=of) as other:
        begun = time.monotonic()
        answers = [(one, other)[number % 2].get("/setup/none").status_code for number in range(60)]
        came_back = (time.monotonic() - begun) / 2  # 30 a minute
        assert 30 <= sum(status != 429 for status in answers) <= 31 + came_back
        refused = other.get("/setup/none")
        if refused.status_code == 429:
            assert 1 <= int(refused.headers["retry-after"]) <= 2


def test_what_happens_at_one_reaches_a_page_at_the_other(hospital):
    radiologist = made_user(hospital.records, Role.RADIOLOGIST)
    with (
        hospital.browsers(made_user(hospital.records, Role.RECEPTION)) as (desk, other_desk),
        hospital.browsers(radiologist) as (reader, other),
    ):
        with heard(other) as lines:
            sent = {"patient": {"name": "Zühre AKINCI"}}
            key = {"Idempotency-Key": "once"}
            made = desk.post(f"{API}/cases", json=sent, headers=key)
            case_id = made.json()["id"]
            assert any(case_id in line for line in lines)
        again = other_desk.post(f"{API}/cases", json=sent, headers=key)
        assert again.content == made.content and again.headers["idempotency-replayed"] == "true"
        assert reader.put(f"{API}/cases/{case_id}/claim").status_code == 200
        assert other.get(f"{API}/cases/{case_id}/claim").json()["reader"]["user_id"] == radiologist.user_id
        found = other_desk.post(f"{API}/search", json={"query": "zühre"}).text
        assert case_id in found


def test_what_is_uploaded_at_one_is_read_by_the_other(hospital):
    sender = made_user(hospital.records, Role.TECHNICIAN, Role.RADIOLOGIST)
    with hospital.browsers(sender) as (one, other):
        sent = one.post(f"{API}/images", content=film(3, side=512), headers={"Idempotency-Key": "film"})
        image_id = sent.raise_for_status().json()["image"]["id"]
        with one.stream("GET", f"{API}/images/{image_id}/stream") as stream:
            assert "event: done" in stream.iter_lines()
        assert other.get(f"{API}/images/{image_id}").json()["report_id"]
        assert other.get(f"{API}/images/{image_id}/file").content == film(3, side=512)


def test_the_master_key_is_replaced_while_both_write(hospital):
    desk = made_user(hospital.records, Role.RECEPTION)
    over = threading.Event()
    made: list[Any] = []
    faults: list[Any] = []

    def admit(browser: httpx.Client) -> None:
        while not over.is_set():
            answer = browser.post(f"{API}/cases", json={"patient": {"name": "Ömer Işık"}})
            (made if answer.status_code == 201 else faults).append(answer.json())

    with hospital.browsers(desk) as browsers, ThreadPoolExecutor(2) as pool:
        working = [pool.submit(admit, browser) for browser in browsers]
        try:
            for _ in range(3):
                before = len(made)
                rotate_master_key(hospital.records)
                _wait_until(lambda before=before: len(made) >= before + 4 or faults)
        finally:
            over.set()
        for one in working:
            one.result()
        assert faults == []
        for case in made:
            for browser in browsers:
                shown = browser.get(f"{API}/cases/{case['id']}").json()
                assert shown["patient"]["name"] == "Ömer Işık"


def test_services_go_on_while_a_newer_version_has_the_database_already(hospital):
    desk = made_user(hospital.records, Role.RECEPTION)
    with hospital.browsers(desk) as (one, other):
        before = one.post(f"{API}/cases", json={"patient": {"name": "Ömer Işık"}}).json()["id"]
        with hospital.records.engine.begin() as connection:  # a step that adds, as the next version has it
            connection.execute(text("ALTER TABLE patients ADD COLUMN later text"))
            connection.execute(text("ALTER TABLE cases ADD COLUMN later integer NOT NULL DEFAULT 0"))
            connection.execute(text("CREATE TABLE later (id text PRIMARY KEY)"))
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
            connection.execute(
                text("UPDATE notes SET value = :newest WHERE key = 'works_from'"), {"newest": NEWEST}
            )
        for browser in (one, other):
            made = browser.post(f"{API}/cases", json={"patient": {"name": "Gülçin ŞAHİN"}})
            assert made.status_code == 201
            for case_id in (before, made.json()["id"]):
                assert browser.get(f"{API}/cases/{case_id}").status_code == 200
        url = hospital.records.engine.url.render_as_string(hide_password=False)
        started_again = made_records(hospital.records.folder, url)
        made_case(started_again, made_user(started_again, Role.RECEPTION))
        started_again.close()


def _wait_until(holds: Any) -> None:
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)
