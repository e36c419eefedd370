"""What is kept comes back as it was: every kind of value, whatever text stands in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.documents import sample
from tetkik.errors import RecordsError
from tetkik.language import Language, Sentence
from tetkik.records import serialization
from tetkik.rules.draft_state import Working
from tetkik.values import (
    Basis,
    BasisKind,
    Certainty,
    Decision,
    Draft,
    DraftSentence,
    Fault,
    Finding,
    FindingsResult,
    Flaw,
    Mark,
    Passage,
    PassageKind,
    ReportDocument,
    ReportState,
    Route,
    Section,
    Side,
    ThresholdOn,
)
from tetkik.values.common import ADDED

text = st.text(max_size=40)
share = st.floats(0, 1)
said = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.one_of(st.text(max_size=8), st.integers(), st.floats(allow_nan=False), st.booleans(), st.none()),
    max_size=3,
)
plain_sentences = st.builds(Sentence, text, said)
nested = st.builds(Sentence, text, st.dictionaries(st.just("reason"), plain_sentences, max_size=1))
sentences = st.one_of(plain_sentences, nested)
marks = st.builds(
    Mark,
    st.sampled_from(Fault),
    sentences,
    st.integers(0, 50),
    st.integers(0, 50),
    st.none() | st.sampled_from(Decision),
)
draft_sentences = st.builds(
    DraftSentence,
    text.filter(str.strip),
    st.just(Section.FINDINGS),
    st.lists(text, max_size=3).map(tuple),
    st.none() | st.sampled_from(Certainty),
    st.lists(marks, max_size=2).map(tuple),
)
drafts = st.builds(
    Draft,
    st.sampled_from(Language),
    st.lists(draft_sentences, max_size=3).map(tuple),
    st.lists(
        st.builds(
            Basis, st.sampled_from(BasisKind), text, st.none() | share, st.none() | st.sampled_from(Side)
        ),
        max_size=3,
    ).map(tuple),
    st.lists(
        st.builds(
            Passage,
            text,
            st.sampled_from(Language),
            st.sampled_from(PassageKind),
            st.none() | text,
            text,
            text,
            text,
        ),
        max_size=2,
    ).map(tuple),
    text,
    st.none() | text,
    st.lists(sentences, max_size=2).map(tuple),
    st.booleans(),
)
findings = st.one_of(
    st.builds(Finding, text, st.just(False)),
    st.builds(
        Finding,
        text,
        st.just(True),
        share,
        st.none() | share,
        share,
        st.sampled_from(ThresholdOn),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    ),
)
results = st.builds(
    FindingsResult,
    text,
    st.none() | st.sampled_from(Route),
    st.booleans(),
    st.lists(text, max_size=2).map(tuple),
    st.lists(st.sampled_from(Flaw), max_size=2).map(tuple),
    st.none() | share,
    st.lists(findings, max_size=3).map(tuple),
    text,
    text,
    st.booleans(),
    st.lists(text, max_size=2).map(tuple),
    st.booleans(),
)


@given(drafts)
def test_drafts_come_back(value):
    packed = serialization.to_bytes(value)
    assert serialization.from_bytes(Draft, packed) == value
    assert serialization.to_bytes(serialization.from_bytes(Draft, packed)) == packed


@given(results)
def test_findings_come_back(value):
    assert serialization.from_bytes(FindingsResult, serialization.to_bytes(value)) == value


@given(st.binary(max_size=64), st.datetimes(timezones=st.just(timezone(timedelta(hours=3)))))
def test_documents_come_back_with_their_pictures_and_their_zone(picture, moment):
    value = sample.document(ReportState.FINAL, image=picture, created=moment)
    back = serialization.from_bytes(ReportDocument, serialization.to_bytes(value))
    assert back == value
    assert back.verification == value.verification
    assert back.created.utcoffset() == value.created.utcoffset()


def test_a_sentence_is_said_in_both_languages_when_it_comes_back():
    reason = Sentence(
        "{finding} was not found.", {"finding": Section.FINDINGS, "inner": Sentence("Nobody measured this.")}
    )
    mark = Mark(Fault.NOT_FOUND, reason, 0, 3)
    back = serialization.unpack(Mark, serialization.pack(mark))
    for language in Language:
        assert back.reason.in_language(language) == reason.in_language(language)


def test_what_another_kind_holds_is_refused():
    packed = serialization.to_bytes(sample.RESULT)
    with pytest.raises(RecordsError, match="not what this version can read"):
        serialization.from_bytes(Draft, packed)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b'{"form": 1}',
        b'{"form": 1, "value": 3}',
        b'{"form": 1, "value": null}',
    ],
)
def test_what_is_no_value_is_refused(content):
    with pytest.raises(RecordsError):
        serialization.from_bytes(FindingsResult, content)


def test_a_newer_form_says_so():
    with pytest.raises(RecordsError, match="newer version"):
        serialization.from_bytes(FindingsResult, b'{"form": 99, "value": {}}')


@dataclass(frozen=True)
class _Before:
    name: str


@dataclass(frozen=True)
class _After:
    name: str
    since: datetime | None = None
    weight: float = 1.0


def test_a_field_that_came_later_takes_its_default_and_nothing_is_dropped():
    old = serialization.pack(_Before("a"))
    assert serialization.unpack(_After, old) == _After("a")
    new = serialization.pack(_After("a", datetime(2026, 1, 1, tzinfo=UTC), 2.0))
    with pytest.raises(ValueError, match="fields"):
        serialization.unpack(_Before, new)


@dataclass(frozen=True)
class _Later:
    name: str
    added: str = field(default="", metadata=ADDED)


def test_a_field_that_was_added_leaves_the_bytes_of_what_was_stored_before():
    assert serialization.pack(_Later("a")) == serialization.pack(_Before("a"))
    assert serialization.unpack(_Later, serialization.pack(_Later("a", "b"))) == _Later("a", "b")


def test_the_content_of_a_report_stands_among_the_fields_of_what_holds_it():
    working = Working(sample.document().content)
    assert serialization.pack(working).keys() == {"draft", "measurements", "decisions"}
    assert serialization.unpack(Working, serialization.pack(working)) == working


def test_what_is_no_value_of_ours_is_not_packed():
    with pytest.raises(TypeError):
        serialization.pack(object())
