"""A complaint's text made plain: letters in NFC, no markup, no adverts, single spaces."""

from __future__ import annotations

import html
import re
import tomllib
import unicodedata
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from tetkik import turkish
from tetkik.errors import DataError
from tetkik.lab.triage.clean.read import Repair, restore
from tetkik.turkish import flat
from tetkik.values.complaint import DEPARTMENTS

_TAGS = (
    "a|abbr|address|article|aside|audio|b|base|big|blockquote|body|br|button|canvas|caption|center|"
    "cite|code|col|dd|del|details|div|dl|dt|em|embed|figcaption|figure|font|footer|form|frame|h[1-6]|"
    "head|header|hr|html|i|iframe|img|input|ins|label|li|link|main|mark|meta|nav|noscript|object|ol|"
    "option|p|param|picture|pre|s|script|section|select|small|source|span|strike|strong|style|sub|"
    "summary|sup|svg|table|tbody|td|textarea|tfoot|th|thead|title|tr|tt|u|ul|video"
)
# `<5` and `HGB<a` are laboratory values, not markup: a tag needs a known name and an end.
_MARKUP = re.compile(rf"</?(?:{_TAGS})(?:\s[^<>]*)?/?>|<!--|<!doctype", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:[a-zA-Z][a-zA-Z0-9]{1,30};|#\d{2,7};?|#[xX][0-9a-fA-F]{1,6};?)")
_BREAKING = [
    "address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "figure", "footer", "form",
    "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section",
    "table", "td", "th", "tr", "ul",
]  # fmt: skip
_UNSEEN = ["script", "style", "noscript", "template", "head", "iframe", "object"]

_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000e-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_TOKEN_OR_WORD = re.compile(r"\[[^\[\]]*\]|([^\W\d_]{2,})")
_SENTENCE = re.compile(r"(?:[^.!?\n]|[.!?]+(?=\w))+[.!?]*\n?|[.!?\n]+")


@dataclass(frozen=True, slots=True)
class Plain:
    text: str
    repairs: frozenset[Repair]
    adverts: tuple[str, ...]


def plain(text: str) -> Plain:
    """Restore letters, take out invisible characters, markup and adverts, and collapse white space."""
    repairs: set[Repair] = set()
    letters = readable(text, repairs)
    unmarked = without_markup(letters)
    if unmarked != letters:
        repairs.add(Repair.HTML)
        unmarked = readable(unmarked, repairs)
    kept, adverts = without_adverts(unmarked)
    if adverts:
        repairs.add(Repair.ADVERT)
    return Plain(" ".join(kept.split()), frozenset(repairs), adverts)


def readable(text: str, repairs: set[Repair] | None = None) -> str:
    """Wrongly decoded letters restored, NFC, invisible and control characters out."""
    done: set[Repair] = set() if repairs is None else repairs
    if text.isascii() and not _INVISIBLE.search(text):
        return text
    if _SURROGATE.search(text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    restored = restore(text)
    if restored != text:
        done.add(Repair.MOJIBAKE)
    if "\ufffd" in restored:
        done.add(Repair.LOST)
    visible = _INVISIBLE.sub("", restored)
    if visible != restored:
        done.add(Repair.CONTROL)
    # A dot above an i that has its own: what str.lower makes of İ.
    return unicodedata.normalize("NFC", visible).replace("i\u0307", "i")


def without_markup(text: str) -> str:
    """HTML as the text a reader would see; a text without a known tag or an entity comes back as it is."""
    for _ in range(3):  # markup escaped twice
        if _MARKUP.search(text):
            text = _seen(text)
        elif _ENTITY.search(text):
            text = html.unescape(text)
        else:
            break
    return text


def _seen(text: str) -> str:
    from bs4 import BeautifulSoup, MarkupResemblesLocatorWarning

    # `<` that begins no known tag is escaped: a parser would take `<iki değer …` for one, to the end.
    stray = rf"<(?!/?(?:{_TAGS}|template)[\s/>]|!--|!doctype)"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MarkupResemblesLocatorWarning)
        soup = BeautifulSoup(re.sub(stray, "&lt;", text, flags=re.IGNORECASE), "html.parser")
    for tag in soup(_UNSEEN):
        tag.decompose()
    for tag in soup(_BREAKING):
        tag.insert_before("\n")
        tag.insert_after("\n")
    return soup.get_text()


@cache
def _adverts() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Each pattern with the letters that a text must hold before it is worth trying."""
    table = tomllib.loads(resources.files(__package__).joinpath("adverts.toml").read_text("utf-8"))
    return tuple((entry["hint"], re.compile(entry["pattern"])) for entry in table["advert"])


def without_adverts(text: str) -> tuple[str, tuple[str, ...]]:
    """The text without the sentences that advertise, and those sentences."""
    folded = flat(text)
    patterns = [pattern for hint, pattern in _adverts() if hint in folded]
    if not any(pattern.search(folded) for pattern in patterns):
        return text, ()
    kept: list[str] = []
    adverts: list[str] = []
    for match in _SENTENCE.finditer(text):
        sentence = folded[match.start() : match.end()]
        if any(pattern.search(sentence) for pattern in patterns):
            adverts.append(match[0])
            kept.append(" ")
        else:
            kept.append(match[0])
    return "".join(kept), tuple(" ".join(sentence.split()) for sentence in adverts)


def has_words(text: str) -> bool:
    """Whether a word of two letters or more is left once the tokens of the masking are set aside."""
    return any(match[1] for match in _TOKEN_OR_WORD.finditer(text))


# Many spellings of a department onto one name: the 15 built-in ones or a hospital's own list.


# What a table adds to a department's name. "hastalıkları" is not here: it is part of names.
_ADDED = re.compile(
    r"\b(?:poliklinigi?|poliklinik|pol|bolumu?|servisi?|klinigi?|klinik|birimi?|ana ?bilim dali|abd"
    r"|bilim dali|uzmani?|uzm|uzmanligi?|doktoru?|hekimi|dr|department|clinic|yetiskin|eriskin)\b"
)
_NOTHING = frozenset(
    {"", "nan", "none", "null", "na", "n a", "yok", "bos", "belirsiz", "bilinmiyor", "unknown"}
)


@dataclass(frozen=True, slots=True)
class Departments:
    """The departments a table is brought to."""

    names: tuple[str, ...]
    spellings: Mapping[str, str]

    def match(self, label: str) -> str | None:
        """The department that goes by `label`, or None."""
        plain = _folded(label)
        return self.spellings.get(plain) or self.spellings.get(" ".join(_ADDED.sub(" ", plain).split()))


def is_no_label(label: str) -> bool:
    """Whether the cell stands for "no label": empty, `nan`, `null`, "belirsiz"."""
    return _folded(label) in _NOTHING


def tidy(label: str) -> str:
    """A label as it is reported: letters restored, markup out, single spaces."""
    return " ".join(without_markup(readable(label)).split())


def departments(path: Path | None = None, *, sub_specialities: bool = False) -> Departments:
    """The built-in list, or a hospital's own: TOML with `[[department]]` tables (`name`, `aliases`,
    `sub_specialities`).

    A department of the hospital's list that has a built-in name keeps the built-in aliases, except those that
    the list gives to another department.
    """
    if path is None:
        return Departments(DEPARTMENTS, _spellings(_built_in(), sub_specialities, "aliases.toml"))
    try:
        table = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
        entries = [(entry["name"], entry) for entry in table["department"]]
        own = {str(name): _checked(entry) for name, entry in entries}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise DataError(
            "{path} is not a list of departments ({fault}); write a [[department]] table with a name and its "
            "aliases for each.",
            path=path,
            fault=f"no {error}" if isinstance(error, KeyError) else error,
        ) from None
    if len(own) < 2 or len(own) != len(entries):
        raise DataError("{path} must name at least two departments, each once; correct the list.", path=path)
    spellings = _spellings(own, sub_specialities, str(path))
    built_in = {name: entry for name, entry in _built_in().items() if _folded(name) in spellings}
    for spelling, name in _spellings(built_in, sub_specialities, "aliases.toml").items():
        spellings.setdefault(spelling, spellings[_folded(name)])
    return Departments(tuple(own), spellings)


_Entry = dict[str, list[str]]


def _checked(entry: dict[str, Any]) -> _Entry:
    unknown = set(entry) - {"name", "aliases", "sub_specialities"}
    if unknown:
        raise TypeError(f"unknown key {sorted(unknown)[0]}")
    found = {key: entry.get(key, []) for key in ("aliases", "sub_specialities")}
    if not all(
        isinstance(value, list) and all(isinstance(v, str) for v in value) for value in found.values()
    ):
        raise TypeError("aliases must be a list of strings")
    return found


@cache
def _built_in() -> dict[str, _Entry]:
    table = tomllib.loads(resources.files(__package__).joinpath("aliases.toml").read_text("utf-8"))
    return {entry["name"]: _checked(entry) for entry in table["department"]}


def _spellings(entries: Mapping[str, _Entry], sub_specialities: bool, source: str) -> dict[str, str]:
    spellings: dict[str, str] = {}
    for name, entry in entries.items():
        for alias in (name, *entry["aliases"], *(entry["sub_specialities"] if sub_specialities else ())):
            if spellings.setdefault(_folded(alias), name) != name:
                raise DataError(
                    "{path} gives the alias {alias} to {first} and to {second}; leave it with one of them.",
                    path=source,
                    alias=alias,
                    first=spellings[_folded(alias)],
                    second=name,
                )
    return spellings


def _folded(label: str) -> str:
    return " ".join(turkish.fold(tidy(label)).split())
