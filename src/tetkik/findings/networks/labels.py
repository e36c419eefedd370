"""Labels of other models by name onto the shared ones."""

from __future__ import annotations

from collections.abc import Sequence

from tetkik.findings.label_names import shared_label


def to_shared(names: Sequence[str]) -> tuple[str, ...]:
    """`names` with each that means a shared label replaced by it, and the rest kept as they are.

    Where two names mean the same label, the first gets it and the other keeps its own name.
    """
    found: list[str] = []
    for name in names:
        label = shared_label(name)
        found.append(label if label is not None and label not in found else name)
    return tuple(found)
