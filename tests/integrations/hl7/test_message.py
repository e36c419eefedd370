"""Messages are read within limits, as another implementation reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import hl7
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.integrations.hl7.messages import ZONE, adt
from tetkik.documents.hl7 import escaped
from tetkik.integrations.hl7.intake import acknowledge
from tetkik.integrations.hl7.message import Place, Refused, Separators, moment_of, read_message, unescaped

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=30)


@given(TEXT)
def test_escaped_text_is_read_back(text: str):
    assert unescaped(escaped(text), Separators()) == text


@given(st.text(max_size=60))
def test_no_escape_is_too_strange(text: str):
    assert len(unescaped(text, Separators())) <= len(text)


@given(st.lists(TEXT.map(str.strip), min_size=1, max_size=5), st.lists(TEXT.map(str.strip), max_size=4))
def test_a_message_is_read_as_the_package_hl7_reads_it(parts: list[str], fields: list[str]):
    first = "^".join(map(escaped, parts))
    text = "|".join(["ZZZ", first, *map(escaped, fields)])
    data = f"MSH|^~\\&|A|B|||20261101||ADT^A08|1|P|2.5.1||||||UNICODE UTF-8\r{text}\r".encode()
    ours, theirs = read_message(data).first("ZZZ"), hl7.parse(data.decode()).segment("ZZZ")
    assert ours is not None
    for place, part in enumerate(parts, 1):
        assert ours.value(1, place) == part
    for place, field in enumerate(fields, 2):
        assert ours.value(place) == field
        if "\\" not in field:  # what that package makes of a lone escape character is its own
            assert theirs[0].separator and ours.raw(place) == str(theirs[place])


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes):
    for given_data in (data, b"MSH|^~\\&|" + data, adt() + data):
        try:
            acknowledge(read_message(given_data), datetime.now(UTC))
        except Refused as error:
            assert error.code == "AR"


def test_other_separators_and_line_feeds_are_read():
    message = read_message(b"MSH#$%?@#A##\nPID#1##47$x?S?y$$H@h2%48\n")
    segment = message.first("PID")
    assert segment is not None and segment.repetitions(3) == ("47$x?S?y$$H@h2", "48")
    assert segment.value(3, 2) == "x$y" and segment.value(3, 4, 2) == "h2"
    assert message.value(Place.parse("PID-3.4.2")) == "h2" and message.value(Place.parse("PV1-3")) == ""


@pytest.mark.parametrize("text", ["", "PID", "PID-", "pid-3", "PID-3.", "PID-3.1.1.1", "PID-3333"])
def test_what_is_no_place_is_refused(text: str):
    with pytest.raises(ValueError, match="no place"):
        Place.parse(text)


def test_times_are_read_with_and_without_their_zone():
    assert moment_of("20261101120000", ZONE) == datetime(2026, 11, 1, 9, tzinfo=UTC)
    assert moment_of("202611011200+0100", ZONE) == datetime(2026, 11, 1, 11, tzinfo=UTC)
    assert moment_of("20261101", ZONE) == datetime(2026, 10, 31, 21, tzinfo=UTC)
    ahead = moment_of("20261101120000.123", ZONE, timedelta(minutes=30))
    assert ahead == datetime(2026, 11, 1, 8, 30, tzinfo=UTC)
    for text in ("", "2026110", "20261301", "20261101250000", "20261101120000+9999", "00000000", "bugün"):
        assert moment_of(text, ZONE) is None


def test_a_message_shows_nothing_of_a_patient_in_a_log():
    assert repr(read_message(adt())) == "Message(ADT^A01)"
