"""Killed, cut, full, hostile: nothing that was acknowledged is lost or doubled, and each says one line."""

from __future__ import annotations

from pynetdicom.transport import AssociationSocket

from tests.integrations.dicom.chaos import KINDS, chaos
from tests.integrations.dicom.listener import close_sockets

ROUNDS = 10
"""`benchmarks/dicom_chaos.py` does as many as it is told."""


def test_a_listener_in_trouble_keeps_its_word(tmp_path, monkeypatch):
    monkeypatch.setattr(AssociationSocket, "_shutdown_socket", close_sockets)
    outcome = chaos(tmp_path, ROUNDS, seed=18)
    assert outcome.faults == []
    assert outcome.kinds.keys() == KINDS.keys() and outcome.acknowledged == 4 * ROUNDS and outcome.refused
