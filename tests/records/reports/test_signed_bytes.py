"""Reports that were signed on 22 November 2026 are read today, and give the bytes that were signed.

The files of `signed/` hold what the database and the trail held of them: written by the composer, by a
language model and by hand; judged and measured; compared with an earlier image; amended, withdrawn and signed
anew. They are never made again: a report of today's code would say nothing of what hospitals have kept.
"""

from __future__ import annotations

import hmac
import json
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tetkik.records import serialization
from tetkik.records.audit_chain import EntryColumns, chain_of, digest_of
from tetkik.records.reports.versions import Sealed
from tetkik.records.reports.withdrawal_queries import WithdrawalStatement

STORED = {
    file.stem: SimpleNamespace(**json.loads(file.read_text("utf-8")))
    for file in sorted((Path(__file__).parent / "signed").glob("*.json"))
}
AUDITED = [name for name, stored in STORED.items() if stored.audit is not None]


@pytest.mark.parametrize("name", STORED)
def test_what_was_signed_gives_the_same_bytes(name):
    stored = STORED[name]
    content = stored.content.encode()
    assert serialization.digest_of(content) == stored.digest
    kind = WithdrawalStatement if stored.kind == "withdrawal" else Sealed
    value: Any = serialization.from_bytes(kind, content)
    assert serialization.to_bytes(value) == content
    said = value.verification if stored.kind == "withdrawal" else value.document.verification
    assert said == stored.verification


@pytest.mark.parametrize("name", AUDITED)
def test_its_entry_in_the_trail_holds(name):
    stored = STORED[name]
    entry = SimpleNamespace(**stored.audit)
    at, *columns = entry.columns
    vault: Any = SimpleNamespace(
        audit_code=lambda content: hmac.digest(bytes.fromhex(entry.key), content, "sha256")
    )
    digest = digest_of(bytes.fromhex(entry.salt), entry.content)
    assert digest.hex() == entry.digest
    before = bytes.fromhex(entry.before)
    chain = chain_of(vault, before, entry.seq, EntryColumns(datetime.fromisoformat(at), *columns), digest)
    assert chain.hex() == entry.chain
    assert json.loads(entry.content)["detail"]["verification"] == stored.verification


def test_every_shape_is_among_them():
    kept = [json.loads(stored.content)["value"] for stored in STORED.values()]
    versions = [item for item in kept if "document" in item]
    documents = [item["document"] for item in versions]
    assert {document["state"] for document in documents} == {"final", "amended"}
    assert {document["draft"]["language"] for document in documents} == {"tr", "en"}
    assert {document["draft"]["writer"] for document in documents} >= {"composer", "person", "yerel-model 7B"}
    assert any(document["result"] is None for document in documents)
    assert any(item["follows"] for item in versions) and len(versions) < len(kept)
    for name in ("judgements", "measurements", "heatmap_label"):
        assert {bool(document[name]) for document in documents} == {True, False}
    marks = [
        mark
        for document in documents
        for sentence in document["draft"]["sentences"]
        for mark in sentence["marks"]
    ]
    assert marks and all(mark["decision"] == "kept" for mark in marks)
