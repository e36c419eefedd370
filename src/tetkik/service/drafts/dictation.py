"""Dictation: what a radiologist says goes to the hospital's own recogniser, and comes back as their text.

The sound is held in memory alone, and reaches one address: the setting `dictation_url`, which must lie in the
hospital, for nobody can take a patient's name out of a recording.
"""

from __future__ import annotations

import json
import re
import unicodedata
from functools import cache
from urllib.parse import urlsplit

import httpx

from tetkik.errors import AccessError, InputError
from tetkik.language import Language
from tetkik.report.llm.clients import FixedTransport, addresses_of, are_inside
from tetkik.settings import Settings
from tetkik.turkish import lower

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


# Spoken punctuation: "nokta", "virgül", "yeni satır" and their like become signs and lines.


_SIGNS = {
    Language.TR: {
        "iki nokta üst üste": ":",
        "noktalı virgül": ";",
        "nokta": ".",
        "virgül": ",",
        "soru işareti": "?",
        "parantez aç": "(",
        "parantez kapa": ")",
        "parantez kapat": ")",
        "yeni satır": "\n",
        "alt satır": "\n",
        "yeni paragraf": "\n",
        "paragraf": "\n",
    },
    # "Colon" and "period" are words of reports in English.
    Language.EN: {
        "semicolon": ";",
        "full stop": ".",
        "comma": ",",
        "question mark": "?",
        "open parenthesis": "(",
        "close parenthesis": ")",
        "new line": "\n",
        "new paragraph": "\n",
        "paragraph": "\n",
    },
}
_MARKS = " ,.;:?"
_NUMBER = re.compile(r"(\d)\s*(virgül|nokta|comma|point)\s*(?=\d)")


@cache
def _pattern(language: Language) -> re.Pattern[str]:
    names = sorted(_SIGNS[language], key=len, reverse=True)
    return re.compile(rf"\b({'|'.join(names)})\b")


def punctuated(text: str, language: Language) -> str:
    """A recognised text with its spoken signs; a recogniser's own around them give way. Lines by `\\n`.

    The work grows with the length alone.
    """
    text, parts, end = " ".join(unicodedata.normalize("NFC", text).split()), list[str](), 0
    for match in _NUMBER.finditer(lower(text)):
        parts += [text[end : match.end(1)], "," if match[2] in ("virgül", "comma") else "."]
        end = match.end()
    text, parts, end = "".join([*parts, text[end:]]), [], 0
    plain = lower(text)
    for match in _pattern(language).finditer(plain):
        sign = _SIGNS[language][match[1]]
        before = text[end : match.start()].rstrip(_MARKS)
        parts += [before, " (" if sign == "(" else sign if sign == "\n" else f"{sign} "]
        end = match.end()
        while end < len(plain) and plain[end] in _MARKS:
            end += 1
    joined = "".join([*parts, text[end:]])
    joined = re.sub(r"([.?]) *\n", r"\1\n", joined)
    lines = (re.sub(r" +([.,;:?)])", r"\1", re.sub(r"\( ", "(", line)).strip() for line in joined.split("\n"))
    return "\n".join(_capitals(" ".join(line.split()), language) for line in lines if line)


def _capitals(line: str, language: Language) -> str:
    """A capital letter where a sentence begins within the line; its first letter stays as it is."""

    def upper(match: re.Match[str]) -> str:
        letter = "İ" if match[2] == "i" and language is Language.TR else match[2].upper()
        return match[1] + letter

    return re.sub(r"([.?] )(\w)", upper, line)
