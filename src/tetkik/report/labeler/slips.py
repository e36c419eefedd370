"""Slips of the keyboard in the words that matter: a letter missing, doubled, wrong or swapped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

_SHORTEST = 5
_LONGEST = 24
_KEPT = 4096


class SlipCorrector:
    """Leads an unknown word back to the stem that it is one slip away from; known words stay."""

    def __init__(self, stems: Iterable[str], known: Iterable[str]) -> None:
        self._known = frozenset(known)
        self._stems: dict[str, set[str]] = {}
        for stem in stems:
            if len(stem) >= _SHORTEST and stem.isalpha():
                for part in _shorter(stem):
                    self._stems.setdefault(part, set()).add(stem)
        self.mended = lru_cache(maxsize=_KEPT)(self._mended)

    def knows(self, word: str) -> bool:
        """Whether it is a word of reports as it stands."""
        return word in self._known

    def _mended(self, word: str) -> str:
        """`word` itself, or the stem that was meant with the rest of the word after it."""
        if not _SHORTEST - 1 <= len(word) <= _LONGEST or not word.isalpha() or word in self._known:
            return word
        best: tuple[int, str] | None = None
        for length in range(len(word), _SHORTEST - 2, -1):
            head = word[:length]
            meant = {stem for part in _shorter(head) for stem in self._stems.get(part, ())}
            for stem in sorted(meant):
                if (
                    (head[0] == stem[0] or head[:2] == stem[1::-1])
                    and _one_slip(head, stem)
                    and (best is None or len(stem) > best[0])
                ):
                    best = len(stem), stem + word[length:]
        return word if best is None else best[1]


def _shorter(word: str) -> Iterator[str]:
    """The word and all that it is without one letter."""
    yield word
    for place in range(len(word)):
        yield word[:place] + word[place + 1 :]


def _one_slip(word: str, stem: str) -> bool:
    if word == stem:
        return False
    start = 0
    while start < min(len(word), len(stem)) and word[start] == stem[start]:
        start += 1
    rest, meant = word[start:], stem[start:]
    swapped = len(rest) > 1 and rest[1::-1] == meant[:2] and rest[2:] == meant[2:]
    return swapped or rest[1:] == meant[1:] or rest == meant[1:] or rest[1:] == meant
