"""Dictation: what a radiologist says goes to the hospital's own recogniser, and comes back as their text.

The sound is held in memory alone, and reaches one address: the setting `dictation_url`, which must lie in the
hospital, for nobody can take a patient's name out of a recording.
"""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import httpx

from tetkik.errors import AccessError, InputError
from tetkik.language import Language
from tetkik.report.llm.clients import FixedTransport, addresses_of, are_inside
from tetkik.settings import Settings

KINDS = {
    "audio/webm": "webm",
    "audio/ogg": "ogg",
    "audio/mp4": "mp4",
    "audio/wav": "wav",
    "audio/mpeg": "mp3",
}
_SECONDS = 60.0
_MOST_ANSWERED = 1_000_000
"""Bytes of an answer."""


def offered(settings: Settings) -> str:
    """How one dictates here: `server`, `browser`, or empty for not at all."""
    return "server" if settings.dictation_url else "browser" if settings.dictation_browser else ""


def recognise(settings: Settings, sound: bytes, kind: str, language: Language) -> str:
    """The words of a recording, as the recogniser heard them.

    Raises:
        InputError: no recording that it takes.
        AccessError: there is no recogniser, it is outside the hospital, or it does not answer.
    """
    ending = KINDS.get(kind.partition(";")[0].strip().lower())
    if ending is None or not sound:
        raise InputError("This is no recording that can be recognised; dictate again.")
    host = urlsplit(settings.dictation_url).hostname
    addresses = addresses_of(host) if host else ()
    if not are_inside(addresses):
        raise AccessError(
            "There is no speech recogniser in this hospital; an administrator sets dictation_url to one."
        )
    key = settings.dictation_key
    headers = {"Accept-Encoding": "identity"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key.get_secret_value()}"
    url = settings.dictation_url.rstrip("/") + "/audio/transcriptions"
    fields = {"model": settings.dictation_model, "language": language.value, "response_format": "json"}
    files = {"file": (f"dictation.{ending}", sound, kind)}
    try:
        # A redirect could lead the sound out of the hospital, and so could a proxy of the environment.
        with (
            httpx.Client(
                transport=FixedTransport(addresses), timeout=_SECONDS, follow_redirects=False, trust_env=False
            ) as client,
            client.stream("POST", url, data=fields, files=files, headers=headers) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise ValueError
            answer = b""
            for piece in response.iter_bytes():
                answer += piece
                if len(answer) > _MOST_ANSWERED:
                    raise ValueError
        text = json.loads(answer)["text"]
        if not isinstance(text, str):
            raise ValueError
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError, RecursionError):
        raise AccessError(
            "The speech recogniser does not answer; write by hand, and tell the administrator."
        ) from None
    return text
