"""Samples changed at random: the same dice give the same bytes."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence

_EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_HOSTILE = (
    "\0", "\ufeff", "\u200b", "\u202e", "\u0301", "\u0131", "\u0130", "\ud800", "\U0001f9ff", "\u0430",
    "\u00a0", "\r", "\n", "\t", " ", ".", "…", "?", "!", ",", ";", ":", "-", "–", "(", ")", "[", "]", "“",
    "”", "'", "’", "/", "|", "<", ">", "{", "}", "%", "0", "1", "٣", "½", "ß", "ﬁ", "I", "i", "x", "×",
)  # fmt: skip


def mutated_bytes(dice: random.Random, samples: Sequence[bytes]) -> bytes:
    """One of `samples` with octets changed, lost, repeated or put in, half of the changes near its head."""
    data = bytearray(dice.choice(samples))
    head = 132 if data[128:132] == b"DICM" else 0
    reach = min(len(data), head + 900) if dice.random() < 0.5 else len(data)
    for _ in range(dice.choice((1, 1, 2, 4, 8, 20))):
        at = min(dice.randrange(head, max(reach, head + 1)), max(len(data) - 1, 0))
        match dice.randrange(10):
            case 0:
                del data[at : at + dice.randrange(1, 9)]
            case 1:
                data[at:at] = dice.randbytes(dice.randrange(1, 9))
            case 2:
                layout = dice.choice(("<H", ">H", "<I", ">I"))
                value = dice.choice(_EDGES) & (0xFFFF if layout[1] == "H" else 0xFFFFFFFF)
                data[at : at + struct.calcsize(layout)] = struct.pack(layout, value)
            case 3:
                data[at:at] = data[at : at + dice.randrange(1, 200)] * dice.choice((1, 2, 50))
            case 4 if dice.random() < 0.2:
                other = dice.choice(samples)
                cut = dice.randrange(len(other) or 1)
                data[at:] = other[cut:]
            case 5 if dice.random() < 0.2:
                del data[at:]
            case _:
                if at < len(data):
                    data[at] = dice.choice((0, 1, 127, 128, 255, dice.randrange(256)))
    return bytes(data)


def mutated_text(dice: random.Random, samples: Sequence[str], longest: int = 400) -> str:
    """Sentences of `samples` in a row, with words moved, repeated, lost, and hostile characters put in."""
    words = " ".join(dice.choices(samples, k=dice.randrange(1, 5))).split(" ")
    for _ in range(dice.choice((0, 1, 3, 9))):
        at = dice.randrange(len(words) + 1)
        match dice.randrange(4):
            case 0:
                words[at:at] = words[at : at + 3] * dice.choice((1, 2, 12))
            case 1:
                words[at : at + 2] = reversed(words[at : at + 2])
            case 2:
                del words[at : at + 1]
            case _:
                words.insert(at, "".join(dice.choices(_HOSTILE, k=dice.randrange(1, 6))))
    letters = list(" ".join(words))
    for _ in range(dice.choice((0, 1, 3, 9))):
        letters.insert(dice.randrange(len(letters) + 1), dice.choice(_HOSTILE))
    return "".join(letters)[:longest]
