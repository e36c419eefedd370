"""The interface of a language model: a prompt with a schema goes in, a text and its price come out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tetkik.errors import TetkikError

MOST_BYTES = 1_000_000
"""No answer is read beyond this: a draft has a few thousand."""


class ModelFault(TetkikError):
    """A language model gave no draft that can be used; the composer's stands in for it."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked.

    Attributes:
        user: the facts; free text of people stands in it as data, de-identified.
    """

    system: str = field(repr=False)
    user: str = field(repr=False)
    schema: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer took."""

    tokens_in: int = 0
    tokens_out: int = 0
    calls: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.tokens_in + other.tokens_in, self.tokens_out + other.tokens_out, self.calls + other.calls
        )

    def cost(self, price_in: float, price_out: float) -> float:
        """In the currency of the prices, which are for a million tokens."""
        return (self.tokens_in * price_in + self.tokens_out * price_out) / 1e6


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer.

    Attributes:
        usage: what it took; zeros where the server does not say.
    """

    text: str = field(repr=False)
    usage: Usage


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment after which nobody waits any more."""

    end: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """So many seconds from now."""
        return cls(time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds, 0 where it has passed."""
        return max(0.0, self.end - time.monotonic())


class LanguageModel(Protocol):
    """A model somewhere."""

    @property
    def name(self) -> str:
        """As the report's reader sees it."""

    def complete(
        self, prompt: Prompt, deadline: Deadline, on_text: Callable[[str], None] | None = None
    ) -> Completion:
        """The answer to one prompt, streamed to `on_text`.

        Raises:
            ModelFault: down, slow, truncated, refusing, or not to be understood, with the reason.
        """

    def stop(self) -> None:
        """Answer no more, at a word from any thread.

        What is under way ends in a `ModelFault`, at the latest with its next piece.
        """
