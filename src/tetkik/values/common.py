"""What every room needs: the disclaimer, and how long work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

ProgressCallback = Callable[[str, int, int | None], None]
"""Told by long work how far it is: (name of the step, done, total or None where unknown)."""

DISCLAIMER = {
    "en": "Research and education software: not a medical device, no substitute for a clinician's judgement.",
    "tr": "Araştırma ve eğitim yazılımıdır: tıbbi cihaz değildir, hekimin kararının yerini tutmaz.",
}
