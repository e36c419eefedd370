from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetkik.errors import DataError, UsageError
from tetkik.lab.triage.transformer.data import TransformerOptions, stratified_split


@st.composite
def labelled_groups(draw: st.DrawFn) -> tuple[list[str], np.ndarray]:
    """Groups of one to four rows, three or more of each label, in any order."""
    rows = []
    group = 0
    for label in ("Göz", "Cilt", "Kemik")[: draw(st.integers(2, 3))]:
        for size in draw(st.lists(st.integers(1, 4), min_size=3, max_size=30)):
            rows += [(label, group)] * size
            group += 1
    rows = draw(st.permutations(rows))
    return [label for label, _ in rows], np.array([number for _, number in rows], dtype=np.int64)


@given(labelled_groups(), st.integers(0, 5))
def test_every_row_once_no_group_torn_every_label_everywhere(data, seed):
    labels, groups = data
    split = stratified_split(labels, groups, seed=seed)
    parts = (split.training, split.validation, split.test)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))
    held = [set(groups[part].tolist()) for part in parts]
    assert not held[0] & held[1] and not held[0] & held[2] and not held[1] & held[2]
    assert all({labels[row] for row in part} == set(labels) for part in parts)


def test_parts_have_the_fractions_asked_for_in_each_label():
    labels = ["Göz"] * 400 + ["Cilt"] * 100
    split = stratified_split(labels, np.arange(500))
    assert [len(part) for part in (split.training, split.validation, split.test)] == [400, 50, 50]
    assert sum(labels[row] == "Cilt" for row in split.test) == 10


def test_a_seed_gives_the_same_split_and_another_seed_another():
    labels, groups = ["Göz", "Cilt"] * 50, np.arange(100)
    one, same, other = (stratified_split(labels, groups, seed=seed).test.tolist() for seed in (1, 1, 2))
    assert one == same != other


@pytest.mark.parametrize(
    ("labels", "fault"),
    [
        (["Göz"] * 9, "All 9 rows have the label Göz"),
        (["Göz", "Cilt"], "has 1 distinct row"),
        (["Göz"] * 9 + ["Cilt"] * 2, "The label Cilt has 2 distinct rows"),
    ],
)
def test_too_little_to_split_is_one_clear_sentence(labels, fault):
    with pytest.raises(DataError, match=fault):
        stratified_split(labels, np.arange(len(labels)))


def test_copies_do_not_count_as_distinct_rows():
    with pytest.raises(DataError, match="The label Cilt has 1 distinct"):
        stratified_split(["Göz"] * 5 + ["Cilt"] * 5, np.array([0, 1, 2, 3, 4, 5, 5, 5, 5, 5]))


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"batch_size": 0}, {"tune": -1}, {"learning_rate": 0.0}, {"learning_rate": 2.0}]
)
def test_impossible_options_are_refused(wrong):
    with pytest.raises(UsageError):
        TransformerOptions(**wrong)
