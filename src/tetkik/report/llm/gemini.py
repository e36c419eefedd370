"""Google's Gemini, through its own client."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from tetkik.errors import MissingExtra
from tetkik.report.llm.interface import (
    CUT_OFF,
    REFUSED,
    Deadline,
    ModelFault,
    Piece,
    Prompt,
    StreamingModel,
    Usage,
)

DEFAULT_MODEL = "gemini-2.5-flash"


class Gemini(StreamingModel):
    """A model of Google's service, outside the hospital, or of a gateway under `url`.

    Raises MissingExtra where google-genai is not installed.
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
        return self._model

    def _pieces(self, prompt: Prompt, deadline: Deadline) -> Iterator[Piece]:
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
            for part in client.models.generate_content_stream(
                model=self._model, contents=prompt.user, config=config
            ):
                reasons = {getattr(item.finish_reason, "value", "") or "" for item in part.candidates or ()}
                refused = REFUSED if reasons - {"", "STOP", "MAX_TOKENS"} else None
                counts, usage = part.usage_metadata, None
                if counts is not None:
                    usage = Usage(counts.prompt_token_count or 0, counts.candidates_token_count or 0, 1)
                yield Piece(part.text or "", CUT_OFF if "MAX_TOKENS" in reasons else refused, usage)
        except errors.APIError as error:
            raise ModelFault(
                "The language model's server answered with HTTP status {status}.", status=error.code
            ) from None
