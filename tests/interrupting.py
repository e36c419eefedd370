"""The command, stopped by Ctrl-C in the middle of its work: at a step of it, and not at a time."""

from __future__ import annotations

import sys

_CODE = """
import os, signal
from tetkik.cli import console, main
lines, steps = console._lines, iter(range(1, {at} + 1))
def stopping(label):
    tell = lines(label)
    def line(*told):
        tell(*told)
        if next(steps, None) == {at}:
            os.kill(os.getpid(), signal.SIGINT)
    return line
console._lines = stopping
main()
"""


def stopped_at(step: int) -> list[str]:
    """The beginning of a command that gets Ctrl-C once it has told of so many steps."""
    return [sys.executable, "-c", _CODE.format(at=step)]
