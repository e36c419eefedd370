"""What one person, one address or one line of the log takes of what is there for everybody."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import httpx
import pytest
import structlog
from fastapi import Request

from tests.patience import PATIENCE
from tests.records.kit import made_user
from tests.service.browser import serving
from tests.service.kit import make_context, opened_session
from tetkik.errors import TooManyRequests
from tetkik.records.people.users import network_of
from tetkik.service import reception
from tetkik.service.kit import logging as service_logging
from tetkik.service.kit.access import rate_limits
from tetkik.service.kit.access.authentication import limit_sign_ins
from tetkik.service.kit.access.rate_limits import RateLimits, Slots, Turns
from tetkik.values import Role

pytestmark = pytest.mark.attack


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
        (None, ""),
    ],
)
def test_an_address_of_ipv6_is_counted_by_its_network(address, counted):
    assert network_of(address) == counted


def test_whoever_has_a_network_of_ipv6_guesses_no_more_than_others(tmp_path):
    context = make_context(tmp_path, sign_ins_per_minute=3)
    limits = RateLimits(context)
    app = SimpleNamespace(state=SimpleNamespace(rate_limits=limits, context=context))

    def attempt(address: str) -> None:
        scope = {"type": "http", "app": app, "client": (address, 5), "headers": [], "state": {}}
        limit_sign_ins(Request(scope))

    for number in range(3):
        attempt(f"2001:db8:1:2::{number}")
    with pytest.raises(TooManyRequests):
        attempt("2001:db8:1:2:ffff::9")
    attempt("2001:db8:1:3::1")
    context.records.close()


def test_slots_are_so_many_for_each_and_for_all():
    slots = Slots(2, 3)
    assert [slots.take("a"), slots.take("a"), slots.take("a")] == [True, True, False]
    assert [slots.take("b"), slots.take("b")] == [True, False]
    slots.free("a")
    assert slots.take("b")


def test_turns_are_taken_in_order_and_a_queue_has_an_end():
    async def taken() -> list[str]:
        turns, order = Turns(at_once=1, waiting=1), []

        async def wait(name: str) -> None:
            await turns.take("a")
            order.append(name)

        await turns.take("a")
        waiting = asyncio.create_task(wait("second"))
        await asyncio.sleep(0)
        with pytest.raises(TooManyRequests):
            await turns.take("a")
        await turns.take("b")
        order.append("other")
        turns.free("a")
        await waiting
        turns.free("a")
        left = asyncio.create_task(turns.take("b"))
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
        turns.free("b")
        assert not turns._queues
        return order

    assert asyncio.run(taken()) == ["other", "second"]


def test_one_person_asks_triage_so_often_at_once_and_keeps_nobody_waiting(tmp_path, monkeypatch):
    """Before, one account's requests took every worker thread."""
    begun, gate = threading.Semaphore(0), threading.Event()

    def answer_to(*_: object) -> object:
        begun.release()
        gate.wait(PATIENCE)
        raise TooManyRequests("Too many requests; wait a moment.")

    monkeypatch.setattr(reception, "answer_to", answer_to)
    app_context = make_context(tmp_path)

    def client_of(role: Role) -> httpx.Client:
        cookie, csrf = opened_session(app_context, made_user(app_context.records, role))
        headers = {"X-CSRF-Token": csrf}
        limits = httpx.Limits(max_connections=30)
        return httpx.Client(
            base_url=base, cookies={"tetkik": cookie}, headers=headers, timeout=PATIENCE, limits=limits
        )

    with (
        serving(app_context) as base,
        client_of(Role.RECEPTION) as one,
        client_of(Role.ENGINEER) as other,
        ThreadPoolExecutor(20) as pool,
    ):
        asked = [pool.submit(one.post, "/api/v1/triage", json={"text": "baş ağrısı"}) for _ in range(20)]
        try:
            for _ in range(6):
                assert begun.acquire(timeout=PATIENCE)
            assert other.get("/api/v1/account").status_code == 200
            assert not begun.acquire(timeout=0.2)
        finally:
            gate.set()
        assert {one.result().status_code for one in asked} == {429}


def test_streams_of_one_person_have_an_end(tmp_path, monkeypatch):
    monkeypatch.setattr(rate_limits, "STREAMS", 1)
    app_context = make_context(tmp_path)
    cookie, _ = opened_session(app_context, made_user(app_context.records, Role.RADIOLOGIST))
    with (
        serving(app_context) as base,
        httpx.Client(base_url=base, cookies={"tetkik": cookie}, timeout=PATIENCE) as client,
    ):
        with client.stream("GET", "/api/v1/events") as first:
            lines = first.iter_lines()  # once it is gone, the connection is closed
            next(lines)
            assert client.get("/api/v1/events").status_code == 429
            del lines
        until = time.monotonic() + PATIENCE
        status = 429
        while status == 429:
            assert time.monotonic() < until, "the place of a stream that has ended is not free again"
            with client.stream("GET", "/api/v1/events") as again:
                status = again.status_code


# The log


def test_a_flood_of_lines_is_cut_and_told(monkeypatch):
    root = logging.getLogger()
    before, level = root.handlers, root.level
    stream, now = io.StringIO(), [0.0]
    monkeypatch.setattr(service_logging, "LIKE_LINES", 3)
    monkeypatch.setattr(service_logging, "LINES", 9)
    monkeypatch.setattr(service_logging, "time", SimpleNamespace(monotonic=lambda: now[0]))
    try:
        service_logging.configure(stream)
        for number in range(50):
            structlog.get_logger().info("request", route="/login", status=403, id=number)
            structlog.get_logger().info("request", route="/login", status=200, id=number)
            logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
            logging.getLogger("asyncio").error("made of values: %s", number)
        assert len(stream.getvalue().splitlines()) == 9
        now[0] = 61
        structlog.get_logger().info("request", route="/login", status=403)
    finally:
        structlog.reset_defaults()
        root.handlers, root.level = before, level
    assert json.loads(stream.getvalue().splitlines()[-1])["left_out"] == 191
