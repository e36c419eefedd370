"""The work of reading a text, counted and never timed: a busy machine gives the same numbers.

    python -m tests.fuzzing.operations < requests.json

reads a list of [reader, text] and prints a list of counts: the lines of the package that ran, each turn of a
loop anew, and the steps of its regular expressions. What C does within one line (a slice, a search in a list)
counts as one.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from tests.fuzzing.regex_steps import StepCounter, TooManySteps

_compile = re.compile
_MODULE_CALLS = ("match", "search", "fullmatch", "findall", "finditer", "sub", "subn", "split")
MOST = 30_000_000
"""Operations after which the count ends; the text is far from linear then."""


SENTENCE = 100
"""Characters after which a sentence is cut here, so that short texts show what long ones cost."""


class _Work:
    """The steps of all patterns together."""

    steps = 0


class CountingPattern:
    """A pattern that does what `re` does, and counts."""

    def __init__(self, pattern: Any, flags: int = 0) -> None:
        self._real = _compile(pattern, flags)
        self._counter: StepCounter | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def _count(self, text: str, start: int, stop: int) -> int | None:
        if self._counter is None:
            self._counter = StepCounter(self._real.pattern, self._real.flags, MOST)
        tracing = sys.gettrace()
        sys.settrace(None)
        self._counter.steps = 0
        try:
            return self._counter.count(text, start, stop)
        finally:
            _Work.steps += self._counter.steps
            sys.settrace(tracing)

    def match(self, text: str, pos: int = 0, endpos: int = sys.maxsize) -> Any:
        self._count(text[:endpos], pos, pos)
        return self._real.match(text, pos, endpos)

    def fullmatch(self, text: str, pos: int = 0, endpos: int = sys.maxsize) -> Any:
        self._count(text[:endpos], pos, pos)
        return self._real.fullmatch(text, pos, endpos)

    def search(self, text: str, pos: int = 0, endpos: int = sys.maxsize) -> Any:
        found = self._real.search(text, pos, endpos)
        seen = text[:endpos]
        place = self._count(seen, pos, found.start() if found else len(seen))
        assert place == (found.start() if found else None), self._real.pattern
        return found

    def finditer(self, text: str, pos: int = 0, endpos: int = sys.maxsize) -> Iterator[Any]:
        seen = text[:endpos]
        self._count(seen, pos, len(seen))  # before `re`, which may never come back
        found = list(self._real.finditer(text, pos, endpos))
        stops = [*(one.start() for one in found[1:]), len(seen)]
        for one, stop in zip(found, stops, strict=False):
            self._count(seen, max(one.end(), one.start() + 1), stop)
        return iter(found)

    def findall(self, text: str, *places: int) -> Any:
        self.finditer(text, *places)
        return self._real.findall(text, *places)

    def sub(self, new: Any, text: str, count: int = 0) -> Any:
        self.finditer(text)
        return self._real.sub(new, text, count)

    def subn(self, new: Any, text: str, count: int = 0) -> Any:
        self.finditer(text)
        return self._real.subn(new, text, count)

    def split(self, text: str, maxsplit: int = 0) -> Any:
        self.finditer(text)
        return self._real.split(text, maxsplit)


def count_patterns() -> None:
    """From now on patterns that the package makes count; it must not be imported yet."""
    assert not any(name.startswith("tetkik") for name in sys.modules)
    real = {name: getattr(re, name) for name in _MODULE_CALLS}

    def ours() -> bool:
        return str(sys._getframe(2).f_globals.get("__name__", "")).startswith("tetkik.")

    def compiled(pattern: Any, flags: int = 0) -> Any:
        counted = ours() and isinstance(pattern, str)
        return CountingPattern(pattern, int(flags)) if counted else _compile(pattern, flags)

    def calling(name: str) -> Any:
        def call(pattern: Any, *more: Any, flags: int = 0, **named: Any) -> Any:
            if ours() and isinstance(pattern, str):
                return getattr(_known(pattern, int(flags)), name)(*more, **named)
            return (
                real[name](pattern, *more, flags=flags, **named)
                if flags
                else real[name](pattern, *more, **named)
            )

        return call

    re.compile = compiled
    for name in _MODULE_CALLS:
        setattr(re, name, calling(name))


_patterns: dict[tuple[str, int], CountingPattern] = {}


def _known(pattern: str, flags: int) -> CountingPattern:
    if (pattern, flags) not in _patterns:
        _patterns[pattern, flags] = CountingPattern(pattern, flags)
    return _patterns[pattern, flags]


def operations(reader: Any, text: str) -> int:
    """How much work `reader` has with `text`."""
    count = 0

    def entered(frame: FrameType, _event: str, _arg: object) -> Any:
        if not str(frame.f_globals.get("__name__", "")).startswith("tetkik"):
            return None
        return ran

    def ran(_frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal count
        if event == "line":
            count += 1
            if count > MOST:
                raise TooManySteps
        return ran

    _Work.steps = 0
    sys.settrace(entered)
    try:
        reader(text)
    except TooManySteps:
        count = MOST
    finally:
        sys.settrace(None)
    return count + _Work.steps


def main() -> None:
    count_patterns()
    from tests.fuzzing.text_readers import TEXT_READERS
    from tetkik.report.labeler import read as text

    text.LONGEST = SENTENCE
    requests = json.loads(sys.stdin.read())
    for name in {name for name, _ in requests}:  # tables are read before it counts
        TEXT_READERS[name]("Ateş ve öksürük, 3 gündür. There is no effusion in the left lung.")
    sys.stdout.write(json.dumps([operations(TEXT_READERS[name], text) for name, text in requests]))


if __name__ == "__main__":
    # A repeated group goes one call deeper with each repetition.
    sys.setrecursionlimit(1_000_000)
    threading.stack_size(512 << 20)
    thread = threading.Thread(target=main)
    thread.start()
    thread.join()
