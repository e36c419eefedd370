"""The acknowledgment of a message (ACK, chapter 2.9 and 2.14): whether it was taken, and why not."""

from __future__ import annotations

from datetime import datetime
from types import MappingProxyType

from tetkik.documents.hl7 import escaped
from tetkik.integrations.hl7.content import VERSIONS
from tetkik.integrations.hl7.message import Message, Place

CONDITIONS = MappingProxyType(
    {
        0: "Message accepted",
        100: "Segment sequence error",
        101: "Required field missing",
        102: "Data type error",
        103: "Table value not found",
        104: "Value too long",
        200: "Unsupported message type",
        201: "Unsupported event code",
        203: "Unsupported version id",
        204: "Unknown key identifier",
        205: "Duplicate key identifier",
        207: "Application internal error",
    }
)
"""Table 0357."""


def acknowledge(
    message: Message | None,
    now: datetime,
    *,
    code: str = "AA",
    condition: int = 0,
    place: str = "",
    why: str = "",
) -> bytes:
    """An ACK in the version and the character set of the message that it answers.

    Args:
        message: None where it could not be read.
        code: `AA` taken, `AE` not for what it says, `AR` not for what it is (table 0008).
        place: of the fault, such as `PID-3`.
        why: one sentence for whoever reads the sender's log; nothing of a patient.
    """
    head = message.head if message is not None else None
    version = VERSIONS.get(message.version, "2.3.1") if message is not None else "2.3.1"
    event = escaped(head.value(9, 2)) if head is not None else ""
    control = escaped(message.control_id[:199]) if message is not None else ""
    made = now.strftime("%Y%m%d%H%M%S%z")
    to, facility = (escaped(head.value(number)[:180]) for number in (3, 4)) if head is not None else ("", "")
    kind = f"ACK^{event}" + ("^ACK" if version == "2.5.1" else "")
    processing = escaped(head.value(11)) or "P" if head is not None else "P"
    declared = head.raw(18) if head is not None else ""
    ours = ["MSH", "^~\\&", "TETKIK", "", to, facility, made, "", kind, f"A{control}"[:199], processing]
    segments = ["|".join([*ours, version, *([""] * 5 + [declared] if declared else [])])]
    segments.append("|".join(["MSA", code, control, escaped(why)]).rstrip("|"))
    if code != "AA":
        meaning = CONDITIONS[condition]
        where = Place.parse(place) if "-" in place else None
        if version == "2.5.1":  # chapter 2.15.5
            location = f"{where.segment}^1^{where.field}" if where else place
            segments.append(f"ERR||{location}|{condition}^{meaning}^HL70357|E||||{escaped(why)}")
        else:  # 2.3.1, chapter 2.16.5
            location = f"{where.segment}^1^{where.field}" if where else f"{place}^^"
            segments.append(f"ERR|{location}^{condition}&{meaning}&HL70357")
    text = "\r".join(segments) + "\r"
    return text.encode(message.character_set if message is not None else "utf-8", "replace")
