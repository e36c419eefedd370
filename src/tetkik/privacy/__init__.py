"""Personal data in free text: found by its digits and by the words around it, and replaced by tokens."""

from __future__ import annotations

from tetkik.privacy.rules import Found, Masked, Personal, find_personal, identifying, mask

__all__ = ["Found", "Masked", "Personal", "find_personal", "identifying", "mask"]
