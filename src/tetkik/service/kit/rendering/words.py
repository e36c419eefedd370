"""Words of the pages: a complaint with what decided in it, and DICOM's codes."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

from tetkik.language import Language, Sentence
from tetkik.values.complaint import RedFlag, TriageResult, UrgencyLevel

_SHOWN_FORMATS = frozenset({"\u200c", "\u200d"})
"""Joiners, which some scripts need to be spelled right."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a complaint; the level, `kirmizi` or `sari`, is empty but for words of a red flag."""

    text: str = field(repr=False)
    level: str = ""
    decided: bool = False
    reason: str = ""

    @property
    def classes(self) -> str:
        """How it is marked; empty where it is not."""
        return " ".join(filter(None, (self.level, "evidence" if self.decided else "")))


def pieces(result: TriageResult) -> tuple[Piece, ...]:
    """The text of an answer in pieces, in order, without a gap; of several red flags the worst marks it."""
    flags = [flag for flag in result.urgency.flags if flag.level is not UrgencyLevel.YESIL]
    flags.sort(key=lambda flag: -flag.level.severity)
    spans = [flag.span for flag in flags] + [item.span for item in result.evidence]
    ends = sorted({0, len(result.text)} | {place for span in spans for place in (span.start, span.end)})
    return tuple(_joined(_cut(result, flags, ends)))


def _cut(result: TriageResult, flags: list[RedFlag], ends: list[int]) -> Iterator[Piece]:
    for start, end in pairwise(ends):
        flag = next((flag for flag in flags if flag.span.start <= start and end <= flag.span.end), None)
        decided = any(item.span.start <= start and end <= item.span.end for item in result.evidence)
        yield Piece(
            result.text[start:end], flag.level.value if flag else "", decided, flag.reason if flag else ""
        )


def _joined(cut: Iterator[Piece]) -> Iterator[Piece]:
    before: Piece | None = None
    for piece in cut:
        if before is None:
            before = piece
        elif replace(piece, text="") == replace(before, text=""):
            before = replace(before, text=before.text + piece.text)
        else:
            yield before
            before = piece
    if before is not None:
        yield before


def plain(text: str) -> str:
    """A text of a patient for a page: what hides in it or turns the direction of writing shows as \ufffd.

    Every character stays one, so that places in the text stay as they are.
    """
    return "".join("\ufffd" if _hides(char) else char for char in text)


def _hides(char: str) -> bool:
    if char in "\n\t" or char in _SHOWN_FORMATS:
        return False
    return unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


_PARTS = {
    "ABDOMEN": Sentence("Abdomen"),
    "BRAIN": Sentence("Brain"),
    "BREAST": Sentence("Breast"),
    "CHEST": Sentence("Chest"),
    "CSPINE": Sentence("Cervical spine"),
    "FOOT": Sentence("Foot"),
    "HAND": Sentence("Hand"),
    "HEAD": Sentence("Head"),
    "HIP": Sentence("Hip"),
    "KNEE": Sentence("Knee"),
    "LSPINE": Sentence("Lumbar spine"),
    "NECK": Sentence("Neck"),
    "PELVIS": Sentence("Pelvis"),
    "SHOULDER": Sentence("Shoulder"),
    "SPINE": Sentence("Spine"),
    "THORAX": Sentence("Chest"),
}
_RADIOGRAPH = Sentence("X-ray")
_MODALITIES = {
    **dict.fromkeys(("CR", "DR", "DX", "RG"), _RADIOGRAPH),
    "CT": Sentence("CT"),
    "MG": Sentence("Mammography"),
    "US": Sentence("Ultrasound"),
}


def body_part(code: str, language: Language) -> str:
    """Body Part Examined in words; one without a word here as DICOM writes it."""
    return _PARTS[code].in_language(language) if code in _PARTS else code


def modality(code: str, language: Language) -> str:
    """Modality as radiologists call it; one without a word here as DICOM writes it."""
    return _MODALITIES[code].in_language(language) if code in _MODALITIES else code
