"""What a file says of itself is read with its text repaired, in a process of its own."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from tetkik.errors import InputError
from tetkik.imaging.examples.drawings import DrawnStudy, drawn_file
from tetkik.integrations.dicom.spool import HeaderReader, HeaderRequest, read_header

_NAME = "ŞAHİN^GÖKÇE"


def a_file(written: str = "utf-8", declared: str = "ISO_IR 192") -> bytes:
    """A small radiograph whose name is in one character set and whose declaration is another."""
    study = DrawnStudy("k", "N" * 24, "12345", "19800101", "F", datetime(2026, 11, 20, 8, 0, tzinfo=UTC))
    content = drawn_file(study, np.zeros((16, 16), np.uint16))
    content = content.replace(b"N" * 24, _NAME.encode(written).ljust(24))
    return content.replace(b"ISO_IR 192", declared.encode().ljust(10))


@pytest.mark.parametrize(
    ("written", "declared", "really", "repaired"),
    [
        ("utf-8", "ISO_IR 192", None, False),
        ("utf-8", "ISO_IR 100", None, True),
        ("iso8859_9", "ISO_IR 148", None, False),
        ("iso8859_9", "ISO_IR 100", "ISO_IR 148", True),
    ],
)
def test_the_name_is_repaired(written, declared, really, repaired):
    header = read_header(HeaderRequest(a_file(written, declared), "a", really))
    assert (header.identity.patient_name, header.repaired) == (_NAME, repaired)
    assert (header.declared, header.identity.patient_id, header.tags.modality) == (declared, "12345", "DX")


def test_a_wrong_declaration_without_a_setting_is_proposed():
    header = read_header(HeaderRequest(a_file("iso8859_9", "ISO_IR 100"), "a"))
    assert (header.identity.patient_name, header.proposed) == ("ÞAHÝN^GÖKÇE", "ISO_IR 148")


def test_a_file_of_no_study_is_refused_and_the_process_goes_on():
    reader = HeaderReader()
    try:
        with pytest.raises(InputError):
            reader.read(HeaderRequest(b"\0" * 500, "a"))
        with pytest.raises(InputError, match="Study Instance UID"):
            reader.read(HeaderRequest(a_file().replace(b"\x20\x00\x0d\x00UI", b"\x20\x00\x0e\x01UI"), "a"))
        for written, declared in (("utf-8", "ISO_IR 192"), ("iso8859_9", "ISO_IR 100"), ("cp1254", "")):
            request = HeaderRequest(a_file(written, declared), "a", "ISO_IR 148")
            assert reader.read(request).identity.patient_name == _NAME
    finally:
        reader.close()
