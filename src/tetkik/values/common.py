"""The disclaimer, and the callback of long work."""

from __future__ import annotations

from collections.abc import Callable

ProgressCallback = Callable[[str, int, int | None], None]
"""Called by long work with its progress: (name of the step, done, total or None where unknown)."""

DISCLAIMER = {
    "en": "Research and education software: not a medical device, no substitute for a clinician's judgement.",
    "tr": "Araştırma ve eğitim yazılımıdır: tıbbi cihaz değildir, hekimin kararının yerini tutmaz.",
}
