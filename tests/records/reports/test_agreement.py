"""What radiologists said of the models, counted by week."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.records.kit import made_records
from tests.records.work import Work
from tetkik.records.reports.department_statistics import (
    Count,
    agreement,
    corrected_drafts,
    queue,
    weeks_until,
)
from tetkik.values import JobState, Judgement


@pytest.fixture
def work(tmp_path):
    return Work(made_records(tmp_path))


def test_each_label_is_counted_in_its_week(work):
    first = work.report(weeks_ago=1)
    second = work.report(weeks_ago=3)
    work.review(first, "Effusion", Judgement.ACCEPTED, positive=True)
    work.review(second, "Effusion", Judgement.REJECTED, positive=True)
    work.review(first, "Nodule", Judgement.ADDED, positive=False)
    work.review(second, "Nodule", Judgement.ACCEPTED, positive=False)
    with work.records.read() as tx:
        effusion, nodule = agreement(tx, weeks_until(tx.now, 4))
    assert effusion.label == "Effusion"
    assert (effusion.all, effusion.asserted, effusion.missed) == (Count(1, 2), Count(1, 2), 0)
    assert effusion.weeks == (Count(0, 1), Count(), Count(1, 1), Count())
    assert (nodule.all, nodule.asserted, nodule.missed) == (Count(1, 2), Count(), 1)


def test_the_figures_of_a_label_follow_from_its_four_counts(work):
    for judgement, positive, times in (
        (Judgement.ACCEPTED, True, 4),
        (Judgement.REJECTED, True, 1),
        (Judgement.ADDED, False, 2),
        (Judgement.ACCEPTED, False, 3),
    ):
        for _ in range(times):
            work.review(work.report(), "Effusion", judgement, positive=positive)
    with work.records.read() as tx:
        (found,) = agreement(tx, weeks_until(tx.now))
    assert (found.all, found.asserted, found.called) == (Count(7, 10), Count(4, 5), Count(4, 6))
    # Chance: (5 * 6 + 5 * 4) / 100 = 0.5, so (0.7 - 0.5) / 0.5.
    assert found.kappa == pytest.approx(0.4)
    assert found.all.interval is not None
    assert (found.all.interval.low, found.all.interval.high) == pytest.approx((0.3968, 0.8922), abs=1e-4)


def test_one_sided_judgements_have_no_kappa(work):
    work.review(work.report(), "Effusion", Judgement.ACCEPTED, positive=True)
    with work.records.read() as tx:
        (found,) = agreement(tx, weeks_until(tx.now))
    assert found.kappa is None and Count().interval is None


def test_what_is_older_counts_nowhere(work):
    work.review(work.report(weeks_ago=6), "Effusion", Judgement.ACCEPTED, positive=True)
    with work.records.read() as tx:
        assert agreement(tx, weeks_until(tx.now, 4)) == ()
        assert [one.all for one in agreement(tx, weeks_until(tx.now, 12))] == [Count(1, 1)]


def test_a_label_that_was_not_assessed_and_was_added_is_missed(work):
    work.review(work.report(), "Tuberculosis", Judgement.ADDED, positive=None)
    with work.records.read() as tx:
        (found,) = agreement(tx, weeks_until(tx.now))
    assert (found.all, found.missed) == (Count(0, 1), 1)


def test_corrected_drafts_count_the_first_signature_alone(work):
    report = work.report(corrected=True)
    work.sign(report, number=2, corrected=True)
    work.report(corrected=False)
    work.report()  # without a signature
    with work.records.read() as tx:
        counts = corrected_drafts(tx, weeks_until(tx.now))
    assert sum(counts, Count()) == Count(1, 2)
    assert counts[-1].share == 0.5


def test_no_reports_have_no_share():
    assert Count().share is None


def test_the_queue_is_as_old_as_its_oldest_work(work):
    with work.records.read() as tx:
        assert (queue(tx).waiting, queue(tx).oldest) == (0, None)
    work.job(JobState.QUEUED, minutes_ago=7)
    work.job(JobState.RUNNING, minutes_ago=30)
    work.job(JobState.DONE, minutes_ago=60)
    work.job(JobState.FAILED, minutes_ago=90)
    with work.records.read() as tx:
        found = queue(tx)
        assert (found.waiting, found.failed) == (2, 1)
        assert found.oldest is not None
        assert tx.now - found.oldest == pytest.approx(timedelta(minutes=30), abs=timedelta(minutes=1))
