"""Killed, cut, full, hostile: nothing that was acknowledged is lost or doubled, and each says one line."""

from __future__ import annotations

import socket
from contextlib import suppress

from pynetdicom.transport import AssociationSocket

from tests.integrations.dicom.chaos import KINDS, chaos

ROUNDS = 10
"""`benchmarks/dicom_chaos.py` does as many as it is told."""


def _shut(self: AssociationSocket) -> None:
    with suppress(OSError):
        self.socket.shutdown(socket.SHUT_RDWR)
    self.socket.close()


def test_a_listener_in_trouble_keeps_its_word(tmp_path, monkeypatch):
    # As a sender pynetdicom leaves a socket open where nobody answered.
    monkeypatch.setattr(AssociationSocket, "_shutdown_socket", _shut)
    outcome = chaos(tmp_path, ROUNDS, seed=18)
    assert outcome.faults == []
    assert outcome.kinds.keys() == KINDS.keys() and outcome.acknowledged == 4 * ROUNDS and outcome.refused
