"""Components of shared keys, and divisions of the rows that no machine and no order changes."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tetkik.lab.engine.splits import SHARES, Split, component_ids, connected, folds, key_hash, split

KEYS = st.lists(st.lists(st.integers(-1, 12), min_size=3, max_size=3), min_size=1, max_size=25)


def by_hand(rows: list[list[int]]) -> list[set[int]]:
    parts: list[tuple[set[int], set[int]]] = []
    for row, keys in enumerate(rows):
        members, have = {row}, {key for key in keys if key >= 0}
        rest = []
        for others, theirs in parts:
            if theirs & have:
                members |= others
                have |= theirs
            else:
                rest.append((others, theirs))
        parts = [*rest, (members, have)]
    return [members for members, _ in parts]


@settings(deadline=None)
@given(KEYS, st.randoms())
def test_components_are_those_that_keys_connect(rows, random):
    rows = [[*keys, 100 + row] for row, keys in enumerate(rows)]
    ids = component_ids(np.array(rows, np.int64)).tolist()
    parts = by_hand(rows)
    assert {frozenset(part) for part in parts} == {
        frozenset(row for row, value in enumerate(ids) if value == one) for one in set(ids)
    }
    order = list(range(len(rows)))
    random.shuffle(order)
    again = component_ids(np.array([rows[row] for row in order], np.int64)).tolist()
    assert again == [ids[row] for row in order], "the number of a component does not depend on the order"


@settings(deadline=None)
@given(st.integers(1, 20), st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30))
def test_connected_numbers(count, pairs):
    pairs = [(left % count, right % count) for left, right in pairs]
    left, right = (np.array(side, np.int64) for side in (zip(*pairs, strict=True) if pairs else ((), ())))
    ids = connected(count, left, right).tolist()
    assert all(ids[one] == ids[other] for one, other in pairs)
    assert all(ids[number] <= number and ids[ids[number]] == ids[number] for number in range(count))
    rows = [[100 + place for place, pair in enumerate(pairs) if number in pair] for number in range(count)]
    width = max(map(len, rows), default=0)
    padded = [[*keys, *[-1] * (width - len(keys)), number] for number, keys in enumerate(rows)]
    assert len(set(ids)) == len(set(component_ids(np.array(padded, np.int64)).tolist()))


# Folds and parts


GROUPS = np.array([key_hash(f"patient {number // 3}") for number in range(3000)], np.int64)


def test_folds_keep_components_whole_and_are_even():
    fold = folds(GROUPS, 5)
    assert all(len(set(fold[group == GROUPS].tolist())) == 1 for group in GROUPS[::300])
    assert np.bincount(fold, minlength=5).min() > 500
    assert not np.array_equal(fold, folds(GROUPS, 5, seed=1))
    order = np.random.default_rng(0).permutation(len(GROUPS))
    assert np.array_equal(folds(GROUPS[order], 5), fold[order])
    assert np.array_equal(folds(GROUPS[:10], 5), fold[:10]), "other rows do not matter"


def test_folds_are_the_same_on_every_machine():
    groups = np.array([key_hash("patient nih:1"), key_hash("row own:ğ.png"), 0], np.int64)
    assert groups.tolist() == [2169603229919978416, 1415836540464401996, 0]
    assert folds(groups, 5, seed=3).tolist() == [3, 2, 4]
    code = (
        "from tetkik.lab.engine.splits import folds; import numpy as np; "
        "print(folds(np.arange(40), 5).tolist())"
    )
    other = {**os.environ, "PYTHONHASHSEED": "7"}
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=other)
    assert seen.stdout.strip() == str(folds(np.arange(40), 5).tolist())


def test_a_split_covers_all_rows_by_shares():
    parts = split(GROUPS, {Split.TRAIN: 0.5, Split.CALIBRATION: 0.25, Split.TEST: 0.25})
    assert len(parts.validation) == 0
    assert abs(len(parts.train) / 3000 - 0.5) < 0.05 and abs(len(parts[Split.TEST]) / 3000 - 0.25) < 0.05
    rows = np.concatenate([parts[part] for part in Split])
    assert np.array_equal(np.sort(rows), np.arange(3000))
    sides = [set(GROUPS[parts[part]].tolist()) for part in Split]
    assert sum(map(len, sides)) == len(set().union(*sides))


@pytest.mark.parametrize(
    "shares", [{Split.TEST: 1.0}, {Split.TRAIN: 0.5}, {Split.TRAIN: 1.5, Split.TEST: -0.5}]
)
def test_shares_that_cannot_be(shares):
    with pytest.raises(ValueError, match="shares"):
        split(GROUPS, shares)


def test_the_official_split_is_kept():
    official = [Split.TEST if number % 6 < 3 else Split.TRAIN for number in range(3000)]
    parts = split(GROUPS, SHARES, official=official)
    assert parts.moved == 0
    assert set(parts.test.tolist()) == {row for row, part in enumerate(official) if part is Split.TEST}
    rest = 1500
    assert abs(len(parts.train) / rest - 0.7 / 0.9) < 0.06 and len(parts.calibration) > 0
    assert not set(parts.validation.tolist()) & set(parts.test.tolist())


def test_a_component_in_two_official_parts_is_not_learned_from():
    official: list[Split | None] = [None] * 3000
    official[0], official[1] = Split.TRAIN, Split.TEST
    official[3], official[4] = Split.TRAIN, Split.VALIDATION
    parts = split(GROUPS, SHARES, official=official)
    assert {0, 1, 2} <= set(parts.test.tolist()) and {3, 4, 5} <= set(parts.validation.tolist())
    assert parts.moved == 2


# The summary
