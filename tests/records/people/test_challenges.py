"""What a browser was asked is answered once and in time; what is limited is counted over all processes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import select, text

from tests.records.clock import Clock
from tests.records.kit import made_records
from tetkik.records.people.passkeys import keep_challenge, redeem_challenge
from tetkik.records.people.refusals import delete_full, take_tokens
from tetkik.records.schema import Challenge, RateBucket
from tetkik.service.kit.access import rate_limits
from tetkik.service.kit.access.rate_limits import SharedLimiter
from tetkik.values import SYSTEM


def redeemed(records, secret):
    with records.write(SYSTEM) as tx:
        return redeem_challenge(tx, secret)


@pytest.mark.both_databases
def test_a_challenge_is_answered_once_and_in_time(both_records, clock: Clock):
    with both_records.write(SYSTEM) as tx:
        keep_challenge(tx, "a", "of İrem")
        keep_challenge(tx, "b", "of Ömer")
    with both_records.read() as tx:
        stored = "".join(str(vars(row)) for row in tx.session.scalars(select(Challenge)))
        assert "rem" not in stored and "mer" not in stored
    assert [redeemed(both_records, secret) for secret in "aac"] == ["of İrem", None, None]
    clock.go(minutes=5)
    assert redeemed(both_records, "b") is None
    with both_records.write(SYSTEM) as tx:
        keep_challenge(tx, "c", "")
        keep_challenge(tx, "d", "")
    clock.go(minutes=5)
    with both_records.write(SYSTEM) as tx:
        keep_challenge(tx, "e", "")
        assert tx.count(Challenge) == 1  # the others are gone


def test_of_many_at_once_one_has_the_challenge(postgres, tmp_path):
    records = made_records(tmp_path, postgres.fresh())
    with records.write(SYSTEM) as tx:
        keep_challenge(tx, "a", "x")
    with ThreadPoolExecutor(6) as pool:
        found = [one.result() for one in [pool.submit(redeemed, records, "a") for _ in range(12)]]
    assert sorted(map(str, found)) == ["None"] * 11 + ["x"]
    records.close()


# Limits


HOUR = timedelta(hours=1)


def test_processes_have_the_tokens_of_one_bucket(postgres, tmp_path):
    records = made_records(tmp_path, postgres.fresh())
    engine = records.engine
    with ThreadPoolExecutor(6) as pool:
        taken = [pool.submit(take_tokens, engine, "requests a", HOUR / 10, HOUR) for _ in range(30)]
        waits = [one.result() for one in taken]
    assert waits.count(0) == 10
    assert all(300 < wait <= 360 for wait in waits if wait)
    assert take_tokens(engine, "requests b", HOUR / 10, HOUR) == 0
    with engine.begin() as connection:  # an hour later
        connection.execute(text("UPDATE rate_buckets SET full_at = full_at - interval '1 hour'"))
    assert take_tokens(engine, "requests a", HOUR, HOUR) == 0
    assert take_tokens(engine, "requests a", HOUR / 10, HOUR) > 0
    delete_full(engine)
    with records.read() as tx:
        (left,) = tx.session.scalars(select(RateBucket))
        assert len(left.key) == 64 and left.full_at > tx.now
    records.close()


def test_tokens_of_a_second_cost_one_statement_and_a_refusal_none(monkeypatch):
    now, asked = [1000.0], []
    answers = iter([0, 2.5, 0])

    def take(_engine, whose, cost, filling):
        asked.append((whose, cost, filling))
        return next(answers)

    monkeypatch.setattr(rate_limits, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(rate_limits, "take_tokens", take)
    limiter = SharedLimiter(None, "requests", 240)  # type: ignore[arg-type]
    assert [limiter.take("a") for _ in range(4)] == [0] * 4
    assert asked == [("requests a", timedelta(seconds=1), timedelta(minutes=1))]
    assert [limiter.take("a"), limiter.take("a")] == [3, 3]
    assert len(asked) == 2
    now[0] += 2.5
    assert [limiter.take("a") for _ in range(4)] == [0] * 4
    assert len(asked) == 3


def test_rows_of_full_buckets_go_each_minute(monkeypatch):
    now = [1000.0]
    tidied: list[object] = []
    monkeypatch.setattr(rate_limits, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(rate_limits, "take_tokens", lambda *_: 0)
    monkeypatch.setattr(rate_limits, "delete_full", tidied.append)
    limiter = SharedLimiter("engine", "sign-ins", 30)  # type: ignore[arg-type]
    for seconds in (0, 59, 2, 3, 56, 2):
        now[0] += seconds
        limiter.take("a")
    assert tidied == ["engine", "engine"]
