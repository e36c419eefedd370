"""A complaint's text made plain: letters in NFC, no markup, no adverts, single spaces."""

from __future__ import annotations

import html
import re
import tomllib
import unicodedata
import warnings
from dataclasses import dataclass
from functools import cache
from importlib import resources

from tetkik.lab.triage.clean.decode import restore
from tetkik.lab.triage.clean.rows import Repair
from tetkik.turkish import flat

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
