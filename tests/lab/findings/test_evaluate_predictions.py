"""Reading what `predict --json` printed, and finding each image's answer again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lab.findings.judging import answer, predicted, written
from tetkik.errors import DataError
from tetkik.lab.findings.predictions import read_predictions
from tetkik.values import ThresholdOn


def test_what_is_written_is_read_back(tmp_path):
    lines = [
        answer(0, {"Mass": 0.25, "Own label": 0.5}, screen=0.125),
        answer(1, {"Effusion": 0.75}, threshold=0.5),
        answer(2, {}, suitable=False, flaws=["lateral"], route=None),
        {"path": "images/0003.png", "error": "It is broken."},
    ]
    found = predicted(tmp_path, lines)
    assert (found.model, found.labels) == ("made-up 1.0", ("Effusion", "Mass", "Own label"))
    np.testing.assert_array_equal(
        found.scores, [[np.nan, 0.25, 0.5], [0.75, np.nan, np.nan], [np.nan] * 3, [np.nan] * 3]
    )
    assert found.positive.tolist() == [[-1, 0, 1], [1, -1, -1], [-1] * 3, [-1] * 3]
    assert found.operated_at["Mass"].on is ThresholdOn.PROBABILITY
    assert found.refused.tolist() == [False, False, True, False]
    assert found.failed.tolist() == [False, False, False, True]
    assert found.flaws[2] == ("lateral",) and found.screen[0] == 0.125


def test_an_answer_is_found_by_its_path_or_by_its_name_where_that_is_clear(tmp_path, monkeypatch):
    lines = [
        answer(0, {"Mass": 0.1}, path="a/x.png"),
        answer(1, {"Mass": 0.2}, path=str(tmp_path / "b" / "x.png")),
        answer(2, {"Mass": 0.3}, path="elsewhere/y.png"),
    ]
    found = predicted(tmp_path, lines)
    monkeypatch.chdir(tmp_path)
    files = [tmp_path / "a" / "x.png", Path("b/x.png"), Path("here/y.png"), Path("c/x.png"), Path("z.png")]
    assert found.rows_of(files).tolist() == [0, 1, 2, -1, -1]
    assert found.rows_of([Path("one/y.png"), Path("two/y.png")]).tolist() == [-1, -1], "which of the two?"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([answer(0, {"Mass": 0.1}), answer(1, {"Mass": 0.1}, model="other 2.0")], "more than one model"),
        (
            [answer(0, {"Mass": 0.1}), answer(1, {"Mass": 0.1}, threshold=0.4)],
            "more than one model or threshold",
        ),
        ([answer(0, {"Mass": 0.1}), answer(1, {"Mass": 0.1}, gated=False)], "more than one model"),
        ([], "is not what `tetkik findings predict --json` prints"),
        ([{"text": "Başım ağrıyor", "departments": []}], "is not what"),
        ([answer(0, {"Mass": 1.5})], "is not what"),
    ],
)
def test_what_does_not_belong_together_is_refused(tmp_path, lines, message):
    with pytest.raises(DataError, match=message):
        predicted(tmp_path, lines)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=True) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["path", "model", "findings", "label", "assessed", "score", "threshold", "error"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=4), st.binary(max_size=20))
@settings(max_examples=150, deadline=None)
def test_any_file_is_read_or_refused_in_one_sentence(tmp_path_factory, lines, tail):
    path = tmp_path_factory.mktemp("any") / "answers.jsonl"
    path.write_bytes("\n".join(json.dumps(line) for line in lines).encode() + b"\n" + tail)
    try:
        read_predictions(path)
    except DataError as error:
        assert str(path) in str(error)


def test_names_beyond_ascii_are_found(tmp_path):
    path = written(tmp_path / "answers.jsonl", [answer(0, {"Mass": 0.5}, path="görüntü/ş.png")])
    assert read_predictions(path).rows_of([Path("görüntü/ş.png")]).tolist() == [0]
