"""A language model whose work can be stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from tetkik.errors import TetkikError

if TYPE_CHECKING:
    from tetkik.report.llm import Completion, LanguageModel, Prompt
    from tetkik.report.llm.interface import Deadline


class Stopped(TetkikError):
    """Whoever asked for a draft waits for it no longer."""


class Stoppable:
    """A language model that stops at a word from any thread, and that says each time it is asked.

    A draft takes several tries where an answer cannot be used; once stopped, each of them ends at once. The
    composer's draft that comes then was not asked for: see `check`.
    """

    def __init__(self, model: LanguageModel, on_attempt: Callable[[int], None]) -> None:
        self._model, self._on_attempt = model, on_attempt
        self._stopped = threading.Event()
        self._tries = 0

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def image_host(self) -> str | None:
        return self._model.image_host

    def stop(self) -> None:
        self._stopped.set()
        self._model.stop()

    def check(self) -> None:
        """Go on only where nobody has stopped it."""
        if self._stopped.is_set():
            raise Stopped("The writing was stopped; the draft stands as it was.")

    def complete(
        self, prompt: Prompt, deadline: Deadline, on_text: Callable[[str], None] | None = None
    ) -> Completion:
        """The answer to one prompt; see `LanguageModel.complete`."""

        def hear(text: str) -> None:
            self.check()
            if on_text is not None:
                on_text(text)

        self.check()
        self._tries += 1
        self._on_attempt(self._tries)
        return self._model.complete(prompt, deadline, hear)
