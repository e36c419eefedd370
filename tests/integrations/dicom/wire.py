"""Bytes of DICOM's upper layer (PS3.8 9.3), for callers that do not keep to it."""

from __future__ import annotations

import socket
import struct

from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, MaximumLengthNotification
from pynetdicom.presentation import build_context

from tests.integrations.dicom.listener import CR_IMAGE


def request() -> bytes:
    """The request for an association, as CT1."""
    asked = A_ASSOCIATE()
    asked.application_context_name = "1.2.840.10008.3.1.1.1"
    asked.calling_ae_title, asked.called_ae_title = "CT1", "TETKIK"
    wanted = build_context(CR_IMAGE, "1.2.840.10008.1.2.1")
    wanted.context_id = 1
    asked.presentation_context_definition_list = [wanted]
    length = MaximumLengthNotification()
    length.maximum_length_received = 16384
    asked.user_information = [length]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(asked)
    encoded: bytes = pdu.encode()
    return encoded


def data(content: bytes, control: int) -> bytes:
    """A P-DATA-TF PDU with one value."""
    item = struct.pack(">IBB", len(content) + 2, 1, control) + content
    return struct.pack(">BBI", 4, 0, len(item)) + item


RELEASE = struct.pack(">BBII", 5, 0, 4, 0)


def answered(caller: socket.socket) -> bool:
    """Whether the answer to a request, which is read whole, accepts it."""
    head = _read(caller, 6)
    _read(caller, struct.unpack(">I", head[2:])[0])
    return head[:1] == b"\x02"


def _read(caller: socket.socket, many: int) -> bytes:
    content = b""
    while len(content) < many:
        some = caller.recv(many - len(content))
        if not some:
            raise OSError("closed")
        content += some
    return content
