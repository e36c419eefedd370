"""A complaint in pieces: all of it, in order, marked where it must be, and nothing hidden in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetkik.service.kit.rendering.words import Piece, pieces, plain
from tetkik.values import Evidence, RedFlag, Span, TriageResult, Urgency, UrgencyLevel


def answer(text, flags=(), evidence=()):
    return TriageResult(
        text,
        (),
        Urgency(
            UrgencyLevel.KIRMIZI,
            tuple(RedFlag("r", level, level.value, Span(*place), "s") for level, place in flags),
        ),
        True,
        None,
        None,
        tuple(Evidence(Span(*place), text[slice(*place)], 0.1) for place in evidence),
        "m 1",
    )


def test_the_worst_flag_marks_and_evidence_shows_within_it():
    result = answer(
        "göğsüm çok ağrıyor", [(UrgencyLevel.SARI, (0, 18)), (UrgencyLevel.KIRMIZI, (7, 10))], [(0, 6)]
    )
    assert pieces(result) == (
        Piece("göğsüm", "sari", True, "sari"),
        Piece(" ", "sari", False, "sari"),
        Piece("çok", "kirmizi", False, "kirmizi"),
        Piece(" ağrıyor", "sari", False, "sari"),
    )
    assert [piece.classes for piece in pieces(result)][:2] == ["sari evidence", "sari"]


def test_no_mark_is_one_piece():
    assert pieces(answer("hiç")) == (Piece("hiç"),)
    assert pieces(answer("")) == ()


places = st.tuples(st.integers(0, 30), st.integers(1, 31)).filter(lambda place: place[0] < place[1])


@given(
    st.text(min_size=31, max_size=31),
    st.lists(st.tuples(st.sampled_from(UrgencyLevel), places), max_size=5),
    st.lists(places, max_size=5),
)
def test_the_pieces_are_the_text(text, flags, evidence):
    cut = pieces(answer(text, flags, evidence))
    assert "".join(piece.text for piece in cut) == text
    assert all(piece.text for piece in cut)


@pytest.mark.parametrize(
    "hidden", ["\u202e", "\u2066", "\u200b", "\u200f", "\x00", "\x1b", "\u2028", "\ufeff"]
)
def test_what_hides_shows(hidden):
    assert plain(f"a{hidden}ş\n\tİ") == "a\ufffdş\n\tİ"
