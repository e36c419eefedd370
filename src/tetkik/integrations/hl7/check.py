"""Says of a message what Tetkik takes of it, segment by segment, and what is missing or wrong."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from tetkik.integrations.hl7.content import EVENTS, Level, Reader, Remark
from tetkik.integrations.hl7.mapping import Mapping
from tetkik.integrations.hl7.message import Message, Refused, read_message
from tetkik.language import Sentence
from tetkik.privacy.numbers import is_tckn

_READ = frozenset({"MSH", "EVN", "PID", "MRG", "PV1", "ORC", "OBR", "IPC", "TQ1", "DG1"})
_RESULTS = frozenset({"ORU^R01"})


@dataclass(frozen=True, slots=True)
class Checked:
    """What is sentence of one message; `answer` is the code of its acknowledgment."""

    kind: str
    version: str
    answer: str
    remarks: tuple[Remark, ...]

    @property
    def sound(self) -> bool:
        """Whether all of it that Tetkik could use is taken."""
        return not any(remark.level in {Level.WRONG, Level.REFUSED} for remark in self.remarks)


def check_message(data: bytes, mapping: Mapping, zone: ZoneInfo, character_set: str | None = None) -> Checked:
    """What becomes of a message, without doing it; the remarks name places and no contents."""
    message: Message | None = None
    try:
        message = read_message(data, character_set)
        remarks = (
            *Reader(mapping, zone).read(message).remarks,
            *_unnamed(message, mapping),
            *_others(message),
        )
    except Refused as error:
        remark = Remark(Level.REFUSED, error.place, Sentence(error.template, error.values), error.condition)
        kind, version = (message.kind, message.version) if message is not None else ("", "")
        if kind in _RESULTS:
            known = {"known": ", ".join(EVENTS)}
            what = Sentence("This is a result; Tetkik sends such messages, and takes {known}.", known)
            remark = Remark(Level.REFUSED, "MSH-9", what, 200)
        return Checked(kind, version, error.code, (remark,))
    refused = any(remark.level is Level.REFUSED for remark in remarks)
    order = {segment.name: place for place, segment in reversed(list(enumerate(message.segments)))}
    ordered = sorted(remarks, key=lambda remark: order.get(remark.place[:3], len(order)))
    return Checked(message.kind, message.version, "AE" if refused else "AA", tuple(ordered))


def _unnamed(message: Message, mapping: Mapping) -> tuple[Remark, ...]:
    """Types of numbers in PID-3 that the mapping names nowhere: the numbers are not read."""
    wanted, segment = mapping.patient, message.first("PID")
    if segment is None:
        return ()
    numbers = [(segment.part(text, 1), segment.part(text, 5)) for text in segment.repetitions(3)]
    kinds = [kind for value, kind in numbers if value and (kind or not is_tckn(value))]
    if any(kind in wanted.number_types for kind in kinds):
        return ()  # the hospital's number is found; others beside it are usual
    sentence = "A number has the type {kind}, which number_types does not name; add it there."
    return tuple(
        Remark(Level.WRONG, "PID-3", Sentence(sentence, {"kind": f'"{kind[:20]}"'}))
        for kind in dict.fromkeys(kinds)
        if kind not in wanted.tckn_types
    )


def _others(message: Message) -> tuple[Remark, ...]:
    """Segments of which nothing is read."""
    names = dict.fromkeys(segment.name for segment in message.segments if segment.name not in _READ)
    return tuple(Remark(Level.UNREAD, name, Sentence("Nothing is read of this segment.")) for name in names)
