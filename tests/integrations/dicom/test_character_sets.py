"""Turkish text is repaired by the bytes and the setting of the peer, and right text is never changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetkik.integrations.dicom.spool import codec_of, decode_text, repair_text

NAMES = st.lists(
    st.text("ABCÇDEFGĞHIİJKLMNOÖPRSŞTUÜVYZabcçdefgğhıijklmnoöprsştuüvyz", min_size=1, max_size=12),
    min_size=1,
    max_size=4,
).map("^".join)


@pytest.mark.parametrize(
    ("written", "declared", "really", "text"),
    [
        ("iso8859_9", "ISO_IR 100", "ISO_IR 148", "ŞAHİN^GÖKÇE"),
        ("utf-8", "ISO_IR 100", None, "ŞAHİN^GÖKÇE"),
        ("cp1254", "", None, "ŞAHİN^GÖKÇE"),
        ("iso8859_9", "ISO_IR 100", None, "ÞAHÝN^GÖKÇE"),  # nobody has said that the declaration is wrong
        ("iso8859_9", "ISO_IR 192", None, "ŞAHİN^GÖKÇE"),
        ("iso8859_9", "8859/1", "8859/9", "ŞAHİN^GÖKÇE"),  # HL7 table 0211
        ("utf-8", "UNICODE UTF-8", "8859/9", "ŞAHİN^GÖKÇE"),
    ],
)
def test_a_name_is_read_in_the_set_that_it_is_in(written, declared, really, text):
    assert repair_text("ŞAHİN^GÖKÇE".encode(written), declared, really) == text


@given(
    NAMES,
    st.sampled_from(["ISO_IR 148", "cp1254", "8859/9"]),
    st.sampled_from(["ISO_IR 100", "", "ISO_IR 6"]),
)
def test_turkish_bytes_of_a_peer_with_a_setting_give_the_name(name, really, declared):
    found = decode_text(name.encode("cp1254"), declared, really)
    assert found.text == name
    wrong_as_declared = name.encode("cp1254").decode("latin_1") != name
    assert found.repaired == (not name.isascii() if declared != "ISO_IR 100" else wrong_as_declared)


@given(NAMES, st.sampled_from([None, "ISO_IR 148", "ISO_IR 192"]))
def test_what_is_written_as_declared_is_never_changed(name, really):
    for declared in ("ISO_IR 148", "ISO_IR 192"):
        codec = codec_of(declared)
        assert codec is not None
        found = decode_text(name.encode(codec), declared, really)
        assert (found.text, found.repaired, found.proposed) == (name, False, None)


@given(st.text("ÀÂÄÅÆÇÈÉÊËÎÏÑÒÓÔÖØÙÛÜßáâãäåæçèéêëîïñòóôöøùûüABCabc", max_size=20))
def test_western_names_of_latin_1_stand_and_nothing_is_proposed(name):
    assert decode_text(name.encode("latin_1"), "ISO_IR 100").text == name
    assert decode_text(name.encode("latin_1"), "ISO_IR 100").proposed is None


def test_a_declaration_that_looks_wrong_is_said_and_not_overridden():
    found = decode_text("Þór Ýr".encode("latin_1"), "ISO_IR 100")
    assert (found.text, found.repaired, found.proposed) == ("Þór Ýr", False, "ISO_IR 148")


@given(st.binary(max_size=60), st.text(max_size=12), st.none() | st.text(max_size=12))
def test_any_bytes_give_some_text(raw, declared, really):
    assert len(repair_text(raw, declared, really)) <= len(raw)
