"""How many steps a backtracking matcher takes over a text, as `re` has one, but counted.

`re` does not say how long it looks. This is its algorithm over its own parse of the pattern, in Python: each
attempt to match one element at one place is a step. What `re` shortens by looking for a literal first is
counted in full, so the count is never too low by more than a constant factor.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, partial
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

Continue = Callable[[int], bool]
Matcher = Callable[[int, Continue], bool]


class TooManySteps(Exception):
    """More than anybody would wait for."""


class StepCounter:
    """Counts the steps of `pattern` over texts; gives up after `most`."""

    def __init__(self, pattern: str, flags: int = 0, most: int = 3_000_000) -> None:
        tree = _parser.parse(pattern, flags)
        self._flags = tree.state.flags
        self._ignore = bool(self._flags & re.IGNORECASE)
        self._groups: dict[int, tuple[int, int]] = {}
        self._text = ""
        self._matcher = self._sequence(list(tree))
        self._most = most
        self.steps = 0

    def count(self, text: str, start: int, stop: int) -> int | None:
        """Try each place from `start` to `stop`, both included; gives the first where a match begins."""
        self._text, self._groups = text, {}
        tried = (place for place in range(start, stop + 1) if self._matcher(place, lambda _: True))
        return next(tried, None)

    def _step(self) -> None:
        self.steps += 1
        if self.steps > self._most:
            raise TooManySteps

    def _sequence(self, items: list[Any]) -> Matcher:
        matchers = [self._element(*item) for item in items]

        def run(place: int, then: Continue) -> bool:
            return at(0, place, then)

        def at(index: int, place: int, then: Continue) -> bool:
            if index == len(matchers):
                return then(place)
            return matchers[index](place, lambda end: at(index + 1, end, then))

        return run

    def _element(self, code: Any, value: Any) -> Matcher:
        if (single := self._single(code, value)) is not None:

            def one(place: int, then: Continue) -> bool:
                self._step()
                return place < len(self._text) and single(self._text[place]) and then(place + 1)

            return one
        if code in (sre.MAX_REPEAT, sre.MIN_REPEAT, getattr(sre, "POSSESSIVE_REPEAT", None)):
            return self._repeat(code, *value)
        if code is sre.SUBPATTERN:
            return self._group(value)
        if code is sre.BRANCH:
            branches = [self._sequence(list(branch)) for branch in value[1]]
            return lambda place, then: any(branch(place, then) for branch in branches)
        if code in (sre.ASSERT, sre.ASSERT_NOT):
            return self._look(code, *value)
        if code is sre.AT:
            return self._at(value)
        if code is sre.GROUPREF:
            return partial(self._again, value)
        if code is getattr(sre, "ATOMIC_GROUP", None):
            inner = self._sequence(list(value))
            return lambda place, then: (end := self._first(inner, place)) is not None and then(end)
        raise ValueError(f"{code} is not counted")

    def _single(self, code: Any, value: Any) -> Callable[[str], bool] | None:
        """What one character has to be, where an element is one."""
        if code not in (sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN):
            return None
        dot = bool(self._flags & re.DOTALL)

        @cache
        def fits(char: str) -> bool:
            chars = {char, char.lower(), char.upper()} if self._ignore else {char}
            if code is sre.ANY:
                return dot or char != "\n"
            if code is sre.IN:
                negated = value[0][0] is sre.NEGATE
                return negated != any(_in(item, one) for item in value for one in chars)
            return (code is sre.LITERAL) == (chr(value) in chars)

        return fits

    def _repeat(self, code: Any, least: int, most: Any, body: Any) -> Matcher:
        items = list(body)
        limit = 1 << 30 if most is sre.MAXREPEAT else int(most)
        single = self._single(*items[0]) if len(items) == 1 else None
        lazy = code is sre.MIN_REPEAT
        possessive = code is getattr(sre, "POSSESSIVE_REPEAT", None)
        if single is not None:

            def run(place: int, then: Continue) -> bool:
                end, text = place, self._text
                while end - place < limit and end < len(text) and single(text[end]):
                    self._step()
                    end += 1
                self._step()
                if possessive:
                    return end - place >= least and then(end)
                reach = range(place + least, end + 1)
                return any(self._tried(then, at) for at in (reach if lazy else reversed(reach)))

            return run
        inner = self._sequence(items)

        def more(count: int, place: int, then: Continue) -> bool:
            self._step()

            def again(end: int) -> bool:
                return (end > place or count < least) and more(count + 1, end, then)

            if count < least:
                return inner(place, again)
            if lazy:
                return then(place) or (count < limit and inner(place, again))
            return (count < limit and inner(place, again)) or then(place)

        return lambda place, then: more(0, place, then)

    def _tried(self, then: Continue, place: int) -> bool:
        self._step()
        return then(place)

    def _group(self, value: Any) -> Matcher:
        number, inner = value[0], self._sequence(list(value[-1]))

        def run(place: int, then: Continue) -> bool:
            def closed(end: int) -> bool:
                before = self._groups.get(number)
                if number is not None:
                    self._groups[number] = (place, end)
                if then(end):
                    return True
                if before is not None:
                    self._groups[number] = before
                return False

            return inner(place, closed)

        return run

    def _look(self, code: Any, direction: int, body: Any) -> Matcher:
        inner = self._sequence(list(body))
        low, _ = body.getwidth()

        def run(place: int, then: Continue) -> bool:
            self._step()
            start = place if direction > 0 else place - low
            there = start >= 0 and self._first(inner, start) is not None
            return there == (code is sre.ASSERT) and then(place)

        return run

    def _first(self, inner: Matcher, place: int) -> int | None:
        ends: list[int] = []

        def kept(end: int) -> bool:
            ends.append(end)
            return True

        return ends[0] if inner(place, kept) else None

    def _at(self, where: Any) -> Matcher:
        def word(place: int) -> bool:
            return 0 <= place < len(self._text) and _is_word(self._text[place])

        def holds(place: int) -> bool:
            text = self._text
            if where in (sre.AT_BOUNDARY, sre.AT_NON_BOUNDARY):
                return (word(place - 1) != word(place)) == (where is sre.AT_BOUNDARY)
            if where in (sre.AT_BEGINNING, sre.AT_BEGINNING_STRING):
                lines = self._flags & re.MULTILINE and where is sre.AT_BEGINNING
                return place == 0 or bool(lines and text[place - 1] == "\n")
            lines = self._flags & re.MULTILINE
            ends = where is sre.AT_END and (place == len(text) - 1 or lines)
            return place == len(text) or bool(ends and text[place : place + 1] == "\n")

        def run(place: int, then: Continue) -> bool:
            self._step()
            return holds(place) and then(place)

        return run

    def _again(self, number: int, place: int, then: Continue) -> bool:
        self._step()
        if number not in self._groups:
            return False
        start, end = self._groups[number]
        known = self._text[start:end]
        return self._text.startswith(known, place) and then(place + len(known))


def _in(item: tuple[Any, Any], char: str) -> bool:
    code, value = item
    if code is sre.LITERAL:
        return ord(char) == value if len(char) == 1 else False
    if code is sre.RANGE:
        return len(char) == 1 and value[0] <= ord(char) <= value[1]
    if code is not sre.CATEGORY:
        return False
    kind = str(value).rsplit("_", 1)[-1]
    has = {"DIGIT": str.isdecimal, "SPACE": str.isspace, "WORD": _is_word}[kind](char)
    return has != ("NOT" in str(value))


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_"
