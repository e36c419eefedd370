"""Cards that people train on: what they hold and how fast they are, for a plan made without one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tetkik.errors import UsageError

GB = 10**9
GIB = 2**30
_LEFT = 0.92
"""Share of the printed size that a program sees: a T4 with 16 GB has 14.75 GiB."""


@dataclass(frozen=True, slots=True)
class Card:
    """One GPU, named as `--card` takes it: bytes that a program sees, and figures of its data sheet or None.

    `flops` are multiplications and additions a second of its fp16 tensor cores without sparsity, `bandwidth`
    bytes a second of its memory.
    """

    name: str
    memory: int
    flops: float | None = None
    bandwidth: float | None = None
    bf16: bool = False


CARDS = {
    name: Card(name, int(gib * GIB), tera * 1e12, gigabytes * 1e9, bf16)
    for name, gib, tera, gigabytes, bf16 in (
        ("t4", 14.75, 65, 320, False),
        ("v100", 15.77, 112, 900, False),
        ("l4", 22.05, 121, 300, True),
        ("rtx3090", 23.69, 71, 936, True),
        ("a100", 39.39, 312, 1555, True),
        ("h100", 79.11, 989, 3350, True),
    )
}
"""By name. V100 is the PCIe card with 16 GB, A100 the one with 40 GB, H100 the SXM one with 80 GB."""
DEFAULT_CARD = "t4"


def card_of(name: str | None) -> Card:
    """The card of that name, or one of that size: `t4`, `16GB`, `24 GiB`."""
    word = (name or DEFAULT_CARD).lower().replace(" ", "")
    plain = word.replace("-", "").replace("_", "")
    if plain in CARDS:
        return CARDS[plain]
    size = re.fullmatch(r"(\d{1,4}(?:\.\d{1,3})?)gi?b", word)
    if size is None or not float(size[1]):
        raise UsageError(
            "The card {name} is not known; give one of {names}, or its memory, such as 16GB.",
            name=name,
            names=", ".join(sorted(CARDS)),
        )
    return Card(f"{size[1]} GB", int(float(size[1]) * GIB * _LEFT))
