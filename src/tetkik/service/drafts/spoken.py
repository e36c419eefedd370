"""Spoken punctuation: "nokta", "virgül", "yeni satır" and their like become signs and lines."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from tetkik.language import Language
from tetkik.turkish import lower

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
_MARKS = r"\s,.;:?"
_NUMBER = re.compile(r"(\d)\s*(virgül|nokta|comma|point)\s*(?=\d)")


@cache
def _pattern(language: Language) -> re.Pattern[str]:
    names = sorted(_SIGNS[language], key=len, reverse=True)
    return re.compile(rf"[{_MARKS}]*\b({'|'.join(names)})\b[{_MARKS}]*")


def punctuated(text: str, language: Language) -> str:
    """A recognised text with its spoken signs; a recogniser's own around them give way. Lines by `\\n`."""
    text = " ".join(unicodedata.normalize("NFC", text).split())
    plain = lower(text)
    for match in reversed([*_NUMBER.finditer(plain)]):
        sign = "," if match[2] in ("virgül", "comma") else "."
        text = text[: match.end(1)] + sign + text[match.end() :]
    plain, parts, end = lower(text), [], 0
    for match in _pattern(language).finditer(plain):
        sign = _SIGNS[language][match[1]]
        parts += [text[end : match.start()], " (" if sign == "(" else sign if sign == "\n" else f"{sign} "]
        end = match.end()
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
