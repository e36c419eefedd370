"""The conformance statement says what is taken and sent, as messages on the wire show."""

from __future__ import annotations

from pathlib import Path

import hl7
import pytest

from tests.documents.sample import document
from tests.integrations.hl7.messages import adt, orm
from tetkik.integrations.hl7.content import EVENTS
from tetkik.integrations.hl7.intake import Source, oru_for, take_message
from tetkik.integrations.systems import HospitalSystem
from tetkik.records.database import Records
from tetkik.values import ReportState

PAGE = (Path(__file__).parents[3] / "docs" / "conformance-hl7.md").read_text("utf-8")


@pytest.mark.parametrize("kind", EVENTS)
def test_every_message_that_it_names_is_taken(records: Records, hbys: Source, kind: str):
    family, event = kind.split("^")
    more = "MRG|4712^^^HASTANE^PI" if event == "A40" else ""
    data = adt(event, more=more) if family == "ADT" else orm().replace(b"ORM^O01", kind.encode())
    assert f"| `{kind}` |" in PAGE
    assert take_message(records, hbys, data).code == "AA"


@pytest.mark.parametrize("version", ["2.3.1", "2.5.1"])
def test_a_result_has_the_segments_that_it_names(version: str):
    peer = HospitalSystem.model_validate({"name": "hbys", "hl7": "h:1", "hl7_version": version})
    sent = hl7.parse(oru_for(peer, document(ReportState.FINAL, department="Acil")).decode())
    named = PAGE.partition("## Sent")[2].partition("## Character")[0]
    stated = [line.split("|")[1].strip() for line in named.splitlines() if line.startswith("| ")][2:]
    found = list(dict.fromkeys(str(segment[0]) for segment in sent))
    assert found == stated
    kinds = {str(row[2]) for row in sent.segments("OBX")}
    assert all(f"`{kind}`" in named for kind in kinds)
