"""Complaints become counts that know no two figures of one of them; and those of another kind are told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tetkik.language import Sentence
from tetkik.statistics import SeenComplaint, Stability, Tally, compare_complaints, described
from tetkik.statistics.drift import EDGES, PROBABILITY, WORDS, shift

ONE = SeenComplaint(10, False, 0.1, {"Dahiliye": 0.7, "Nöroloji": 0.3}, "yesil", False, "Dahiliye")


def desk(count: int, seed: int) -> list[SeenComplaint]:
    """Complaints of one hospital."""
    draw = np.random.default_rng(seed)
    return [
        replace(
            ONE,
            words=int(draw.gamma(3, 15)) + 1,
            plain=bool(draw.random() < 0.05),
            unknown=float(draw.beta(2, 20)),
            probabilities={"Dahiliye": first, "Nöroloji": 1 - first},
            urgency=str(draw.choice(["yesil", "sari", "kirmizi"], p=[0.7, 0.25, 0.05])),
            abstained=max(first, 1 - first) < 0.6,
            known="Dahiliye" if place % 4 else "Nöroloji",
        )
        for place, first in enumerate(draw.beta(2, 1, count).tolist())
    ]


def tally(seen: list[SeenComplaint]) -> Tally:
    made = Tally()
    for one in seen:
        made.add(one)
    return made


def reference(seen: list[SeenComplaint]):
    return described(tally(seen), data="d", split=(Sentence("s"),), created="-")


def test_what_is_described_is_counted():
    refused = SeenComplaint(3, True, None, {}, None, False)
    unsure = replace(ONE, probabilities={"Dahiliye": 0.5, "Nöroloji": 0.5}, abstained=True)
    found = reference([*[ONE] * 6, *[replace(ONE, known="Nöroloji")] * 2, refused, unsure])
    assert (found.complaints, found.refused, found.plain, found.abstained) == (10, 1, 1, 1)
    assert found.urgency == {"yesil": 9, "none": 1}
    internal = found.labels["Dahiliye"]
    assert (internal.positive, internal.scores.total, internal.present, internal.absent) == (9, 9, 7, 2)
    assert found.words.total == 10 and found.words.mean == pytest.approx((9 * 10 + 3) / 10)
    assert found.probability is not None and found.unknown is not None
    assert found.probability.total == found.unknown.total == 9


def test_counts_come_back_from_what_is_kept_and_add_up():
    seen = desk(40, 1)
    first, second = tally(seen[:25]), tally(seen[25:])
    again = Tally.from_json(first.as_json())
    again.more(second)
    assert again.counts == tally(seen).counts and again.total == 40


def test_a_tally_tells_no_two_figures_of_one_complaint():
    """Who exchanges the figures of two complaints among each other gets the same counts."""
    one, other = desk(2, 5)
    mixed = [replace(one, words=other.words, urgency=other.urgency), replace(other, words=one.words)]
    mixed[1] = replace(mixed[1], urgency=one.urgency)
    assert tally(mixed).as_json() == tally([one, other]).as_json()


@pytest.mark.parametrize("kind", [WORDS, PROBABILITY])
def test_the_mean_of_the_bins_is_near_that_of_the_values(kind):
    seen = desk(500, 2)
    found = reference(seen)
    if kind == WORDS:
        assert found.words.mean == pytest.approx(np.mean([one.words for one in seen]), rel=0.02)
    else:
        truth = np.mean([max(one.probabilities.values()) for one in seen])
        assert found.probability is not None and found.probability.mean == pytest.approx(truth, abs=0.01)


def test_the_edges_rise_and_are_what_a_file_keeps():
    for edges in EDGES.values():
        assert list(edges) == sorted(set(edges))
    assert EDGES[WORDS][:13] == tuple(map(float, range(1, 14)))


def test_the_same_desk_is_stable():
    moved = compare_complaints(reference(desk(2000, 1)), reference(desk(300, 2)))
    assert moved.scores is moved.seen is Stability.STABLE
    assert [one.name for one in moved.inputs] == ["words", "plain", "unknown", "refused"]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("words", {"words": 5}),
        ("plain", {"plain": True}),
        ("unknown", {"unknown": 0.6}),
        ("refused", {"probabilities": {}, "unknown": None}),
        ("abstained", {"abstained": True}),
        ("urgency:kirmizi", {"urgency": "kirmizi"}),
        ("probability", {"probabilities": {"Dahiliye": 0.999, "Nöroloji": 0.001}}),
    ],
)
def test_a_figure_that_changed_is_named(name, change):
    now = [replace(one, **change) for one in desk(200, 2)]
    moved = compare_complaints(reference(desk(2000, 1)), reference(now))
    figures = (*moved.inputs, *moved.answers)
    said = {one.name for one in figures if one.shift and one.shift.stability is Stability.SHIFTED}
    assert name in said and said <= {name, "urgency:yesil", "urgency:sari"}


def test_departments_that_moved_come_first_with_how_often_they_were_named():
    now = [replace(one, probabilities={"Dahiliye": 0.05, "Nöroloji": 0.95}) for one in desk(100, 3)]
    moved = compare_complaints(reference(desk(2000, 1)), reference(now))
    assert moved.scores is Stability.SHIFTED
    one = next(one for one in moved.labels if one.label == "Nöroloji")
    assert one.positive_now == (100, 100) and one.prevalence == 0.25


def test_too_few_and_none_say_nothing():
    for now in (reference(desk(49, 2)), None):
        moved = compare_complaints(reference(desk(2000, 1)), now)
        assert moved.scores is moved.seen is None
        assert len(moved.labels) == 2


def test_a_reference_in_other_bins_is_compared_in_those_that_both_have():
    before, now = reference(desk(2000, 1)).words, reference(desk(300, 2)).words
    coarse = before.model_copy(update={"edges": before.edges[9:10], "counts": (900, 1100)})
    found = shift(coarse, now)
    assert found is not None and len(found.bins) == 2
    share = sum(now.counts[:10]) / now.total
    assert found.bins[0] == pytest.approx((0.45, share))
