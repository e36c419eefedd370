"""Slips of the keyboard: a letter missing, doubled, wrong or swapped with the next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from string import ascii_lowercase

_SHORTEST = 5
_LONGEST = 24


def one_slip(word: str, alphabet: str) -> Iterator[tuple[int, str]]:
    """Every word that is one slip away (Damerau 1964), with the place of the slip, in order.

    Two letters are swapped, one is left out, another one stands there, or one too many.
    """
    for place in range(len(word) + 1):
        head, tail = word[:place], word[place:]
        if len(tail) > 1:
            yield place, head + tail[1] + tail[0] + tail[2:]
        if tail:
            yield place, head + tail[1:]
        for char in alphabet:
            yield place, head + char + tail
            if tail:
                yield place, head + char + tail[1:]


class SlipCorrector:
    """Leads an unknown word back to the stem that it is one slip away from; known words stay."""

    def __init__(self, stems: Iterable[str], known: Iterable[str]) -> None:
        self._known = frozenset(known)
        self._stems = frozenset(stem for stem in stems if len(stem) >= _SHORTEST - 1 and stem.isalpha())
        begun = {stem[:length] for stem in self._stems for length in range(len(stem) + 1)}
        self._next = {
            start: "".join(char for char in ascii_lowercase if start + char in begun) for start in begun
        }
        """The letters with which a stem goes on, by what it begins with; none where it ends."""

    def knows(self, word: str) -> bool:
        """Whether it is a word of reports as it stands."""
        return word in self._known

    def mended(self, word: str) -> str:
        """`word` itself, or the longest stem that was meant with the rest of the word after it."""
        if not _SHORTEST - 1 <= len(word) <= _LONGEST or not word.isalpha() or word in self._known:
            return word
        longest, best = 0, word
        for place, meant in self._meant(word):
            # The first letter is seldom wrong.
            if place or meant[:2] == word[1::-1]:
                # Two letters swapped say more than one that is wrong: they are enough for a shorter stem.
                swapped = len(meant) == len(word) and sorted(meant) == sorted(word)
                length = self._stem(meant, max(place, longest) + 1, _SHORTEST - swapped)
                if length:
                    longest, best = length, meant
        return best

    def _meant(self, word: str) -> Iterator[tuple[int, str]]:
        """What `one_slip` gives, as far as a stem begins with it up to the slip."""
        for place in range(len(word) + 1):
            head, tail = word[:place], word[place:]
            following = self._next.get(head)
            if following is None:
                return
            if len(tail) > 1 and tail[1] in following:
                yield place, head + tail[1] + tail[0] + tail[2:]
            if tail and tail[1:2] in following:
                yield place, head + tail[1:]
            for char in following:
                yield place, head + char + tail
                if tail:
                    yield place, head + char + tail[1:]

    def _stem(self, word: str, least: int, shortest: int) -> int:
        """The letters of the longest stem that `word` begins with, `least` or more; 0 where there is none."""
        ends = range(len(word), max(least, shortest) - 1, -1)
        return next((end for end in ends if word[:end] in self._stems), 0)
