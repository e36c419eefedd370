"""UMLS concepts: found in the cells of a table, and named."""

from __future__ import annotations

import re
from collections.abc import Iterable

_CUI = re.compile(r"C\d{7}")
_MOST = 500
"""Concepts of one row; more are no concepts of one image."""


def is_cui(text: str) -> bool:
    """Whether it is a concept unique identifier: C and seven digits (UMLS Reference Manual, chapter 2)."""
    return _CUI.fullmatch(text) is not None


def concepts_of(cell: str) -> tuple[str, ...]:
    """The concepts in a cell, each once: CUIs wherever they stand, else tags apart by `

    `, or else by `;`.
    """
    found: Iterable[str] = _CUI.findall(cell.upper())
    if not found:
        found = (tag.strip() for tag in cell.split("|" if "|" in cell else ";"))
    return tuple(dict.fromkeys(tag for tag in found if tag))[:_MOST]


def joined(*parts: Iterable[str]) -> tuple[str, ...]:
    """Several lists as one, each concept once."""
    return tuple(dict.fromkeys(tag.strip() for part in parts for tag in part if tag and tag.strip()))[:_MOST]
