"""Google's Gemini, through its own client."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from tetkik.errors import MissingExtra
from tetkik.report.llm.interface import MOST_BYTES, Completion, Deadline, ModelFault, Prompt, Usage

DEFAULT_MODEL = "gemini-2.5-flash"


class Gemini:
    """A model of Google's service, outside the hospital.

    Args:
        url: another address than Google's, such as a gateway's; empty for Google's.

    Raises:
        MissingExtra: google-genai is not installed.
    """

    def __init__(self, model: str, key: str, *, url: str = "", max_tokens: int = 2000) -> None:
        try:
            from google import genai
        except ImportError:
            raise MissingExtra(
                "Gemini needs the package google-genai; `pip install 'tetkik[llm]'`."
            ) from None
        self._genai = genai
        self._model, self._key, self._url, self._max_tokens = model or DEFAULT_MODEL, key, url, max_tokens
        self._stopped = threading.Event()

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model

    def stop(self) -> None:
        """See `LanguageModel.stop`."""
        self._stopped.set()

    def complete(
        self, prompt: Prompt, deadline: Deadline, on_text: Callable[[str], None] | None = None
    ) -> Completion:
        """The answer to one prompt; see `LanguageModel.complete`."""
        import httpx
        from google.genai import errors, types

        client = self._genai.Client(
            api_key=self._key,
            http_options=types.HttpOptions(
                timeout=max(10, int(deadline.left * 1000)), base_url=self._url or None
            ),
        )
        config = types.GenerateContentConfig(
            system_instruction=prompt.system,
            temperature=0,
            max_output_tokens=self._max_tokens,
            response_mime_type="application/json",
            response_json_schema=dict(prompt.schema),
        )
        try:
            stream = client.models.generate_content_stream(
                model=self._model, contents=prompt.user, config=config
            )
            return _read(stream, deadline, on_text, self._stopped)
        except errors.APIError as error:
            raise ModelFault(
                "The language model's server answered with HTTP status {status}.", status=error.code
            ) from None
        except httpx.TimeoutException:
            raise ModelFault("The language model did not answer in time.") from None
        except (httpx.HTTPError, OSError, ValueError) as error:
            raise ModelFault(
                "The language model cannot be reached ({fault}).", fault=type(error).__name__
            ) from None


def _read(
    stream: Any, deadline: Deadline, on_text: Callable[[str], None] | None, stopped: threading.Event
) -> Completion:
    pieces: list[str] = []
    usage, finish, size = Usage(calls=1), "", 0
    for part in stream:
        if stopped.is_set():
            raise ModelFault("The language model was stopped.")
        if not deadline.left:
            raise ModelFault("The language model did not answer in time.")
        text = part.text or ""
        size += len(text)
        if size > MOST_BYTES:
            raise ModelFault("The language model's answer does not end.")
        if text:
            pieces.append(text)
            if on_text is not None:
                on_text(text)
        if part.usage_metadata is not None:
            counts = part.usage_metadata
            usage = Usage(counts.prompt_token_count or 0, counts.candidates_token_count or 0, 1)
        for candidate in part.candidates or ():
            finish = str(getattr(candidate.finish_reason, "value", "") or finish)
    if finish == "MAX_TOKENS":
        raise ModelFault("The language model's answer was cut off.")
    if finish not in {"", "STOP"}:
        raise ModelFault("The language model refused to write.")
    if not pieces:
        raise ModelFault("The language model said nothing.")
    return Completion("".join(pieces), usage)
