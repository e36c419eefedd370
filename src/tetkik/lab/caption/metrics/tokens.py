"""Captions as the metrics read them: two ways to cut a text into words, one for each reference program.

`treebank_words` gives what pycocoevalcap's `PTBTokenizer` gives, without Java. Its rules were found by asking
that program, not by reading it; `benchmarks/caption_metrics.py` counts on any text where the two differ. As
there, brackets stay words (`-lrb-`), and a period may stay with a word that looks like an abbreviation.
`rouge_words` is the default tokenizer of rouge-score: runs of a to z and 0 to 9 in lower case.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

_NOT_LETTERS = "²³¹⁰⁴-⁹₀-₉½¼¾⅐-⅞①-⓿"
_LETTER = rf"[^\W\d_{_NOT_LETTERS}]"
_ALNUM = rf"[^\W_{_NOT_LETTERS}]"
_HYPHEN = "[-‐‑]"
_QUOTE = "['’‘`]"

_ABBREVIATIONS = (
    "adj|adm|adv|al|ala|alex|ariz|assn|asst|atty|aug|ave|bldg|blvd|brig|bros|calif|capt|cf|cie|cmdr|co|"
    "col|colo|comdr|conn|corp|cos|cpl|ct|dak|dec|dept|det|dr|drs|esq|est|etc|ext|feb|fla|fri|ft|ga|gen|"
    "gov|hon|inc|ind|insp|intl|jan|jos|jr|jul|jun|kan|kans|ky|lieut|lt|ltd|maj|mar|md|messrs|mich|minn|"
    "mlle|mme|mo|mon|mont|mr|mrs|ms|msgr|mt|neb|nev|nov|oct|okla|penn|pfc|ph|plc|pres|prof|pvt|rd|rep|"
    "reps|rev|rt|sen|sens|sep|sept|seq|sgt|sq|sr|st|ste|supt|tel|tenn|thu|thurs|treas|tue|tues|univ|va|"
    "vs|vt|wed|wis|wisc|wm|wyo"
)
"""Keep their period in any case of letters."""
_CAPITALISED = (
    "Ark|ARK|Az|AZ|Del|DEL|Ill|ILL|La|LA|Mass|MASS|Miss|MISS|Ore|ORE|Pa|PA|Tex|TEX|Wash|WASH|Mfg|mfg|Pty|pty"
)
"""Keep it in these spellings alone: `mass.` ends a sentence."""
_BEFORE_NUMBERS = "art|ca|figs?|nos?|op|pp|prop"
_OPENERS = (
    "A|According|Additionally|After|An|As|At|But|He|Her|Here|However|If|In|It|Last|Many|More|Now|One|"
    "Once|Other|Our|She|Since|So|Some|Such|That|The|Their|Then|There|These|They|This|We|What|When|"
    "While|Yet|You"
)
"""Words that open a sentence: a single letter before them does not keep its period."""

_SPACE = re.compile(
    r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2060-\u206f\u2160-\u2188"
    r"\ue000-\uf8ff\ufeff\ufffd\U00010000-\U0010ffff]+"
)
"""White space and what the program drops: controls, format characters, one-letter Roman numerals, emoji."""
_FIRST = re.compile(
    rf"(?i:can(?=not\b)|(?:gon|wan)(?=na\b)|got(?=ta\b)|(?:gim|lem)(?=me\b)|['’]t(?=(?:is|was)\b))"
    rf"|{_LETTER}+(?=n{_QUOTE}t\b)|n{_QUOTE}t\b"
)
"""Contractions, which are cut before anything longer is looked for."""
_PART = r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}"
_URL_END = r"[^\s<>\"]*[^\s<>\".,;:!?)\]}]"
_PATTERNS = (
    r"&(?:amp|lt|gt|quot|apos|#\d+|#x[\dA-Fa-f]+);",
    rf"(?:https?://|www\.){_URL_END}",
    r"[A-Za-z0-9][\w.+-]*@(?:[A-Za-z0-9-]+\.)*[A-Za-z]+",
    r"[@#][A-Za-z_]\w*",
    r"</?[A-Za-z][^<>]*>",
    rf"['’](?:[sSmMdD]|ll|LL|re|RE|ve|VE)(?!{_ALNUM})",
    # U.S., U.S.-based, e.g.
    rf"(?:{_LETTER}\.)+(?:-{_ALNUM}+)+|{_LETTER}(?:\.{_LETTER})+\.?(?!{_ALNUM})",
    r"[A-Za-z]\.(?!\s*\x00)",
    rf"(?:(?i:{_ABBREVIATIONS})|{_CAPITALISED})\.(?!{_ALNUM})",
    rf"(?i:{_BEFORE_NUMBERS})\.(?=\s*\d)",
    rf"{_ALNUM}+\.(?=[,;:])",
    # end.The, a.b-c
    rf"{_LETTER}{_ALNUM}*(?:\.{_LETTER}{_ALNUM}*)+(?:{_HYPHEN}{_ALNUM}+)*",
    # T2-weighted, 50-year-old, 3.5-cm
    rf"(?:{_ALNUM}|_)+(?:{_HYPHEN}{_ALNUM}+)+|[A-Za-z0-9]*\d(?:[.,]\d+)+[A-Za-z0-9]*(?:-[A-Za-z0-9]+)+",
    # L4/5, PET-CT/MRI
    rf"{_PART}(?:/{_PART}){{1,2}}",
    # 21 3/7 and 21-3/7 are one number
    r"\d{1,4}[-\s]\d{1,2}/\d{1,2}(?!\d)",
    r"[+-]?(?:\d*(?:[.,:]\d+)+|\d+)",
    rf"{_ALNUM}+(?:_+{_ALNUM}+)*|_+",
    rf"[A-Z]+&[A-Z]+(?![-/\w])|[A-Z]+(?:\+[A-Z]+)+(?!\w)|{_LETTER}+[!?]{_LETTER}+",
    # d'une, O'Neil
    rf"[cCdDlLoO]['’‘]{_LETTER}{{2,}}(?:{_HYPHEN}{_ALNUM}+)*|[qQ]u['’]{_LETTER}+|[nN]['’]{_LETTER}{{3,}}",
    r"[dDjJlL]['’‘]",
    r"['’](?:em|cause|n'|\d\ds)",
    r"[A-Z]+\$",
    # Smileys
    r"[<>]?[:;=]['-]?(?:[][()]|[DPdp](?![A-Za-z]))",
    r"\.{3,}|\.(?: \.)+|-{2,}|\*+|[!?]+",
    r"\S",
)
_RULES = tuple(re.compile(pattern) for pattern in _PATTERNS)
_DROPPED = frozenset(
    ["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";", "’", "‘", "‐", "‑"]
)
"""pycocoevalcap's list of punctuation, as far as it is met: its upper-case brackets never are."""
_WRITTEN = {
    "[": "-lsb-",
    "]": "-rsb-",
    "{": "-lcb-",
    "}": "-rcb-",
    "½": "1/2",
    "¼": "1/4",
    "¾": "3/4",
    "£": "#",
    "€": "$",
    "&amp;": "&",
    "&lt;": "<",
    "&gt;": ">",
    **dict.fromkeys(("–", "—", "―", "…", "“", "”", '"', "«", "»", "‹", "›", "&quot;", "&apos;"), "."),
}
_OPENER = re.compile(_OPENERS)
_ROUGE = re.compile(r"[a-z0-9]+")
_ACROSS = re.compile(r"<|\. \.|\d\s\d{1,2}/\d")
"""What a word may be across a space."""


def all_treebank_words(texts: Sequence[str]) -> list[tuple[str, ...]]:
    """The words of each text, as `PTBTokenizer` gives them where it is given all of `texts`, one a line."""
    found: list[tuple[str, ...]] = []
    following = ""
    for text in reversed(texts):
        found.append(tuple(treebank_words(text, following)))
        following = next(iter(text.split(maxsplit=1)), following)
    return found[::-1]


def treebank_words(text: str, following: str = "") -> list[str]:
    """The words of `text` as pycocoevalcap's `PTBTokenizer` gives them: lower case, no punctuation.

    Args:
        following: the first word of the next line. It seldom matters, but the program looks at it: the last
            letter of "segment V." keeps its period, and loses it before a line that begins with "The".
    """
    chunks = [chunk for chunk in _SPACE.split(text.replace("\xad", "")) if chunk]
    if _ACROSS.search(text):
        return list(_cut(" ".join(chunks)))
    found: list[str] = []
    for place, chunk in enumerate(chunks):
        if not chunk.endswith("."):
            found += _cut(chunk)
            continue
        follower = chunks[place + 1] if place + 1 < len(chunks) else following
        # What follows decides over a period: one mark for each kind, so that answers can be kept.
        mark = "\x00" if _OPENER.fullmatch(follower) else "\x01" if follower[:1].isdigit() else ""
        found += _cut(chunk, mark)
    return found


def rouge_words(text: str) -> list[str]:
    """The words of `text` as rouge-score's default tokenizer gives them, without stemming."""
    return _ROUGE.findall(text.lower())


@lru_cache(maxsize=1 << 16)
def _cut(text: str, mark: str = "") -> tuple[str, ...]:
    """The words of `text`, before which `mark` tells the kind of word that follows."""
    extended = text + {"": "", "\x00": " \x00", "\x01": " 1"}[mark]
    found, place = [], 0
    while place < len(text):
        if extended[place].isspace():
            place += 1
            continue
        first = _FIRST.match(extended, place)
        end = (
            first.end()
            if first
            else max(hit.end() for rule in _RULES if (hit := rule.match(extended, place)))
        )
        end = min(end, len(text))
        found.append(_written(text[place:end]))
        place = end
    return tuple(word for part in found if part not in _DROPPED for word in part.split(" "))


def _written(token: str) -> str:
    """`token` as the program prints it; what is dropped as punctuation is any mark of that list."""
    if token in _WRITTEN:
        return _WRITTEN[token]
    if re.fullmatch(r"\.[. ]*\.|-+", token):
        return "."
    if re.fullmatch(r"\d+\s\d+/\d+", token):
        return re.sub(r"\s", "\xa0", token)
    token = token.lower().replace("(", "-lrb-").replace(")", "-rrb-")
    if (token[0] == "’" and token[1:2].isalpha()) or token in ("n’t", "n‘t"):
        token = token.replace("’", "'").replace("‘", "'")
    return token
