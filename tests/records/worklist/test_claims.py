"""Claims: one reader at a time, for twenty minutes, on both databases."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import select, update

from tests.records.kit import made_case, made_user
from tetkik.errors import Conflict, Forbidden, NotFound
from tetkik.records.cases import cases
from tetkik.records.people import access
from tetkik.records.people.access import decide_access, load_visible_case
from tetkik.records.schema import AuditRow, Case, Claim, Event
from tetkik.records.worklist import claims
from tetkik.records.worklist.claims import LASTS
from tetkik.values import CaseState, Role

pytestmark = pytest.mark.both_databases


@pytest.fixture
def hospital(both_records):
    case_id = made_case(both_records, made_user(both_records, Role.RECEPTION))
    return both_records, case_id, made_user(both_records, Role.RADIOLOGIST, name="Dr. Deniz")


def claim(records, actor, case_id, **given):
    with records.write(actor) as tx:
        return claims.claim_case(tx, case_id, **given)


def expire(records, case_id):
    with records.write(made_user(records, Role.ADMINISTRATOR)) as tx:
        tx.session.execute(update(Claim).where(Claim.case_id == case_id).values(expires_at=tx.now - LASTS))


def kinds(records):
    with records.read() as tx:
        return list(tx.session.scalars(select(Event.kind).order_by(Event.seq)))


def test_a_claim_is_seen_by_others_and_keeps_them_away(hospital):
    records, case_id, reader = hospital
    claim(records, reader, case_id)
    with records.read() as tx:
        seen = claims.reader_of_case(tx, case_id)
        assert seen is not None and (seen.user_id, seen.name) == (reader.user_id, "Dr. Deniz")
        assert seen.expires_at - seen.since == LASTS
    other = made_user(records, Role.RADIOLOGIST)
    with pytest.raises(Conflict, match=r"Dr\. Deniz is reading"):
        claim(records, other, case_id)


def test_once_more_it_lasts_longer_and_says_nothing(hospital):
    records, case_id, reader = hospital
    first = claim(records, reader, case_id)
    before = kinds(records)
    again = claim(records, reader, case_id)
    assert again.since == first.since and again.expires_at > first.expires_at
    assert kinds(records) == before


def test_a_claim_that_is_over_is_free(hospital):
    records, case_id, reader = hospital
    claim(records, reader, case_id)
    expire(records, case_id)
    with records.read(reader) as tx:
        assert claims.reader_of_case(tx, case_id) is None and claims.claimed_case_ids(tx, mine=True) == ()
    other = made_user(records, Role.RADIOLOGIST)
    assert claim(records, other, case_id).user_id == other.user_id
    assert kinds(records)[-1] == "claim"


def test_taking_over_tells_the_former_reader(hospital):
    records, case_id, reader = hospital
    claim(records, reader, case_id)
    other = made_user(records, Role.RADIOLOGIST)
    assert claim(records, other, case_id, take_over=True).user_id == other.user_id
    assert kinds(records)[-1] == "claim.taken"
    with records.read() as tx:
        content = tx.session.scalars(select(AuditRow.content).order_by(AuditRow.seq.desc())).first()
        assert content is not None and f'"taken_from":"{reader.user_id}"' in content


def test_only_the_reader_releases(hospital):
    records, case_id, reader = hospital
    claim(records, reader, case_id)
    with records.write(made_user(records, Role.RADIOLOGIST)) as tx:
        claims.release_case(tx, case_id)
    with records.write(reader) as tx:
        assert claims.reader_of_case(tx, case_id) is not None
        claims.release_case(tx, case_id)
        tx.session.flush()
        assert claims.reader_of_case(tx, case_id) is None


def test_of_many_at_once_one_gets_it(hospital):
    records, case_id, reader = hospital
    claim(records, reader, case_id)
    expire(records, case_id)
    readers = [made_user(records, Role.RADIOLOGIST) for _ in range(6)]
    got, begin = [], threading.Barrier(len(readers))

    def one(actor):
        begin.wait()
        try:
            got.append(claim(records, actor, case_id).user_id)
        except Conflict:
            got.append(None)

    threads = [threading.Thread(target=one, args=(actor,)) for actor in readers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 6 and got.count(None) == 5
    with records.read() as tx:
        kept = claims.reader_of_case(tx, case_id)
        assert kept is not None and kept.user_id in got


@pytest.mark.attack
def test_a_claim_opens_no_restricted_case_and_a_reason_does_while_it_is_read(hospital, clock):
    records, case_id, reader = hospital
    other = made_user(records, Role.RADIOLOGIST)
    with records.write(made_user(records, Role.RECEPTION)) as tx:
        cases.restrict(tx, case_id)
    with pytest.raises(Forbidden, match="restricted"):
        claim(records, reader, case_id)
    with records.read(reader) as tx, pytest.raises(Forbidden, match="restricted"):
        load_visible_case(tx, case_id)
    with records.write(reader) as tx:
        access.break_glass(tx, case_id, "Nöbetçi radyoloğum, raporu bekleniyor")
    claim(records, reader, case_id)
    with pytest.raises(Forbidden, match="restricted"):
        claim(records, other, case_id, take_over=True)
    for _ in range(5):  # beyond the hour of the reason, for as long as it is read
        clock.go(minutes=15)
        claim(records, reader, case_id)
    with records.read(reader) as tx:
        assert decide_access(tx, load_visible_case(tx, case_id)).by_glass
    clock.go(minutes=21)
    with records.read(reader) as tx, pytest.raises(Forbidden, match="restricted"):
        load_visible_case(tx, case_id)


def test_what_cannot_be_claimed(hospital):
    records, case_id, reader = hospital
    with records.write(made_user(records, Role.RECEPTION)) as tx:
        tx.session.get_one(Case, case_id).state = CaseState.CLOSED
    with pytest.raises(Conflict, match="closed"):
        claim(records, reader, case_id)
    for wrong in ("0" * 26, "", "x'"):
        with pytest.raises(NotFound):
            claim(records, reader, wrong)
    with records.read(reader) as tx, pytest.raises(NotFound):
        claims.load_reader(tx, "0" * 26)


def test_old_claims_are_forgotten_and_told(hospital):
    records, case_id, reader = hospital
    claim(records, reader, case_id)
    with records.write(reader) as tx:
        assert claims.delete_expired(tx) == 0
    expire(records, case_id)
    with records.write(reader) as tx:
        assert claims.delete_expired(tx) == 1
        assert tx.session.get(Claim, case_id) is None
    with records.read() as tx:
        last = tx.session.scalars(select(Event).order_by(Event.seq.desc())).first()
        assert last is not None and (last.kind, last.case_id) == ("claim", case_id)
