"""The interface of a language model: a prompt with a schema goes in, a text and its price come out."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, dataclass, field
from typing import Any, NamedTuple, Protocol

from tetkik.errors import TetkikError

MOST_BYTES = 1_000_000
"""No answer is read beyond this: a draft has a few thousand."""


class ModelFault(TetkikError):
    """A language model gave no draft that can be used; the composer's stands in for it."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked; in the facts of `user` the free text of people stands as data, de-identified."""

    system: str = field(repr=False)
    user: str = field(repr=False)
    schema: Mapping[str, Any] = field(repr=False)
    image: bytes | None = field(default=None, repr=False)
    """A PNG that names nobody."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer took."""

    tokens_in: int = 0
    tokens_out: int = 0
    calls: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(*map(sum, zip(astuple(self), astuple(other), strict=True)))

    def cost(self, price_in: float, price_out: float) -> float:
        """In the currency of the prices, which are for a million tokens."""
        return (self.tokens_in * price_in + self.tokens_out * price_out) / 1e6


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer; its usage is zeros where the server does not say."""

    text: str = field(repr=False)
    usage: Usage


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment after which nobody waits any more."""

    end: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
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

    @property
    def image_host(self) -> str | None:
        """Where the image would go; None where it may not, or the model reads none."""

    def complete(
        self, prompt: Prompt, deadline: Deadline, on_text: Callable[[str], None] | None = None
    ) -> Completion:
        """The answer to one prompt, streamed to `on_text`.

        A ModelFault says why there is none: down, slow, truncated, refusing, or not to be understood.
        """

    def stop(self) -> None:
        """Answer no more, at a word from any thread; what is under way ends in a `ModelFault`."""


CUT_OFF = "The language model's answer was cut off."
REFUSED = "The language model refused to write."


class Piece(NamedTuple):
    """A part of an answer; why it ends there, if it ends too early; what it took, where that is said."""

    text: str
    end: str | None = None
    usage: Usage | None = None


class StreamingModel(ABC):
    """What the clients share: the gathering of an answer, in time and of bounded size, and its faults."""

    _stopped: threading.Event
    image_host: str | None = None

    @abstractmethod
    def _pieces(self, prompt: Prompt, deadline: Deadline) -> Iterator[Piece]:
        """The answer piece by piece; what the client of the server raises is caught by `complete`."""

    def stop(self) -> None:
        self._stopped.set()

    def complete(
        self, prompt: Prompt, deadline: Deadline, on_text: Callable[[str], None] | None = None
    ) -> Completion:
        import httpx

        text, end, usage = "", None, Usage(calls=1)
        try:
            for piece in self._pieces(prompt, deadline):
                if not deadline.left:
                    raise ModelFault("The language model did not answer in time.")
                text += piece.text
                if len(text) > MOST_BYTES:
                    raise ModelFault("The language model's answer does not end.")
                if piece.text and on_text is not None:
                    on_text(piece.text)
                end, usage = piece.end or end, piece.usage or usage
                if self._stopped.is_set():
                    break
        except httpx.TimeoutException:
            raise ModelFault("The language model did not answer in time.") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise ModelFault(
                "The language model cannot be reached ({fault}).", fault=type(error).__name__
            ) from None
        # An answer without a length ends like a connection that was cut off.
        if self._stopped.is_set():
            raise ModelFault("The language model was stopped.")
        if end is not None:
            raise ModelFault(end)
        if not text:
            raise ModelFault("The language model said nothing.")
        return Completion(text, usage)
