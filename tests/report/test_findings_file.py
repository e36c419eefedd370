"""Findings read back from what `findings predict --json` prints; and hostile files."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.report.made import result_of
from tetkik.errors import DataError
from tetkik.report.facts import findings_from_json, read_findings
from tetkik.values import FINDING_LABELS, Finding, FindingsResult, Flaw, Route, ThresholdOn

SHARE = st.integers(0, 10**6).map(lambda millionths: millionths / 10**6)
WORDS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), max_size=3).map(tuple)


@st.composite
def findings(draw, label: str) -> Finding:
    if not draw(st.booleans()):
        return Finding(label, assessed=False)
    positive = draw(st.booleans())
    return Finding(
        label,
        True,
        draw(SHARE),
        draw(st.none() | SHARE),
        draw(SHARE),
        draw(st.sampled_from(list(ThresholdOn))),
        positive=positive,
        asserts=positive and draw(st.booleans()),
        rules_out=not positive and draw(st.booleans()),
        uncertain=draw(st.booleans()),
    )


@st.composite
def results(draw) -> FindingsResult:
    suitable = draw(st.booleans())
    labels = draw(st.lists(st.sampled_from((*FINDING_LABELS, "Lung Lesion", "Kırık (eski)")), unique=True))
    return FindingsResult(
        path=draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=30)),
        route=draw(st.sampled_from(list(Route)))
        if suitable
        else draw(st.none() | st.sampled_from(list(Route))),
        suitable=suitable,
        reasons=draw(WORDS),
        flaws=tuple(draw(st.lists(st.sampled_from(list(Flaw)), max_size=3))),
        screen=draw(st.none() | SHARE),
        findings=tuple(draw(findings(label)) for label in labels) if suitable else (),
        model="findings-test 1.0",
        sha256="0" * 64,
        degraded=draw(st.booleans()),
        notes=draw(WORDS),
        gated=draw(st.booleans()),
        graded=draw(st.booleans()),
    )


@settings(deadline=None)
@given(results())
def test_what_is_printed_is_read_back(result):
    assert findings_from_json(json.loads(json.dumps(result.as_json())), "x") == result


def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    file = tmp_path / "findings.json"
    file.write_text(json.dumps(result_of({"Mass": "certain"}).as_json()), "utf-8-sig")
    assert read_findings(file) == result_of({"Mass": "certain"})


def spoilt(**changes: object) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(json.dumps(result_of({"Mass": "certain"}).as_json()))
    content["findings"] = [item | changes for item in content["findings"] if item["assessed"]]
    return content


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (spoilt(score=1.5), "findings.0.score"),
        (spoilt(score="0.5"), "findings.0.score"),
        (spoilt(probability=float("nan")), "findings.0.probability"),
        (spoilt(threshold=float("inf")), "findings.0.threshold"),
        (spoilt(score=True), "findings.0.score"),
        (spoilt(positive="yes"), "findings.0.positive"),
        (spoilt(positive=1), "findings.0.positive"),
        (spoilt(rules_out=None), "findings.0.rules_out"),
        (spoilt(threshold_on="luck"), "findings.0.threshold_on"),
        (spoilt(label=""), "findings.0.label"),
        (spoilt(label="a" * 200), "findings.0.label"),
        (spoilt(label="{0.__class__}"), "findings.0.label"),
        (spoilt(label="Mass\n"), "findings.0.label"),
        (spoilt(label=7), "findings.0.label"),
        (spoilt(score=None), "findings"),
        (spoilt(assessed=False), "findings"),
        ({**spoilt(), "findings": spoilt()["findings"] * 2}, "findings"),
        ({**spoilt(), "findings": spoilt()["findings"] * 600}, "findings"),
        ({**spoilt(), "findings": {}}, "findings"),
        ({**spoilt(), "route": "knee"}, "route"),
        ({**spoilt(), "reasons": ["x" * 5000]}, "reasons.0"),
        ({**spoilt(), "suitable": "no"}, "suitable"),
        ({"path": "a.png", "error": "no such file"}, "route"),
    ],
)
def test_hostile_json_is_one_sentence_with_its_place(tmp_path, content, place):
    file = tmp_path / "f.json"
    file.write_text(json.dumps(content), "utf-8")
    with pytest.raises(DataError) as caught:
        read_findings(file)
    said = str(caught.value)
    assert str(caught.value.values["place"]).startswith(place) and said.count("\n") == 0 and len(said) < 400


@pytest.mark.parametrize("raw", [b"[]", b'"a"', b"null", b"5", b"9" * 5000, b"[" * 100_000])
def test_json_that_is_no_object_is_one_sentence(tmp_path, raw):
    file = tmp_path / "f.json"
    file.write_bytes(raw)
    with pytest.raises(DataError, match="JSON"):
        read_findings(file)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b'{"a": "\\ud800"}{', b"{}\n{}"])
def test_what_is_not_one_object_is_one_sentence(tmp_path, raw):
    file = tmp_path / "f.json"
    file.write_bytes(raw)
    with pytest.raises(DataError, match="JSON"):
        read_findings(file)


def test_a_file_of_megabytes_is_not_read(tmp_path):
    file = tmp_path / "f.json"
    file.write_bytes(b" " * 5_000_000)
    with pytest.raises(DataError, match="too large"):
        read_findings(file)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device")
def test_a_device_without_an_end_is_not_read_to_it():
    with pytest.raises(DataError, match="too large"):
        read_findings(Path("/dev/zero"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_findings_come_through_a_pipe(tmp_path):
    """As of `report draft --findings <(tetkik findings predict --json …)`."""
    pipe, found = tmp_path / "pipe", result_of({"Mass": "certain"})
    os.mkfifo(pipe)
    Thread(target=pipe.write_text, args=(json.dumps(found.as_json()),), daemon=True).start()
    assert read_findings(pipe) == found


def test_findings_of_an_unsuitable_image_are_not_taken():
    content = {**spoilt(), "suitable": False}
    assert findings_from_json(content, "x").findings == ()


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["findings", "route", "suitable", "label", "assessed", "score"]),
                inner,
                max_size=6,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_findings_or_a_fault(content):
    try:
        found = findings_from_json(content, "x")
    except DataError:
        return
    assert isinstance(replace(found), FindingsResult)
