"""Bytes of DICOM's upper layer (PS3.8 9.3), for callers that do not keep to it."""

from __future__ import annotations

import socket
import struct

from pydicom import Dataset
from pynetdicom.dsutils import encode
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, MaximumLengthNotification
from pynetdicom.presentation import build_context

from tests.integrations.dicom.listener import CR_IMAGE


def request(sop_class: str = CR_IMAGE) -> bytes:
    """The request for an association, as CT1."""
    asked = A_ASSOCIATE()
    asked.application_context_name = "1.2.840.10008.3.1.1.1"
    asked.calling_ae_title, asked.called_ae_title = "CT1", "TETKIK"
    wanted = build_context(sop_class, "1.2.840.10008.1.2.1")
    wanted.context_id = 1
    asked.presentation_context_definition_list = [wanted]
    length = MaximumLengthNotification()
    length.maximum_length_received = 16384
    asked.user_information = [length]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(asked)
    encoded: bytes = pdu.encode()
    return encoded


def command(**elements: object) -> bytes:
    """A command set with a data set to follow (PS3.7 6.3.1)."""
    made = Dataset()
    made.CommandGroupLength, made.Priority, made.CommandDataSetType = 0, 0, 1
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    made.CommandGroupLength = len(encode(made, True, True) or b"") - 12
    return encode(made, True, True) or b""


def store(sop_class: str, uid: str, number: int) -> bytes:
    """The command of a C-STORE."""
    return command(
        AffectedSOPClassUID=sop_class, AffectedSOPInstanceUID=uid, CommandField=1, MessageID=number
    )


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
