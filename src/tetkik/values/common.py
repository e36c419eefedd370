"""The disclaimer, the callback of long work, and text on one line."""

from __future__ import annotations

from collections.abc import Callable

ProgressCallback = Callable[[str, int, int | None], None]
"""Called by long work with its progress: (name of the step, done, total or None where unknown)."""

DISCLAIMER = {
    "en": "Research and education software: not a medical device, no substitute for a clinician's judgement.",
    "tr": "Araştırma ve eğitim yazılımıdır: tıbbi cihaz değildir, hekimin kararının yerini tutmaz.",
}


def one_line(text: str) -> str:
    """Printable characters on one line: terminals, pages and documents quote what people and files say."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
