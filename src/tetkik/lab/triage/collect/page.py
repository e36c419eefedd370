"""A page's bytes become questions: the encoding found, broken HTML tolerated, the text without markup."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urldefrag, urljoin

from parsel import Selector
from w3lib.encoding import html_body_declared_encoding, http_content_type_encoding, read_bom
from w3lib.html import get_base_url

from tetkik.lab.triage.collect.site import Site

_LATIN = {"ascii", "cp1252", "cp1254", "iso8859-1", "iso8859-9", "iso8859-15", "latin-1"}
_UNSEEN = {"script", "style", "noscript", "template"}
_INLINE = {
    "a", "abbr", "b", "em", "font", "i", "mark", "s", "small", "span", "strong", "sub", "sup", "u", "wbr",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """A question as a list page shows it; `url` is its own page, None where it has none."""

    url: str | None
    text: str


@dataclass(frozen=True, slots=True)
class ListPage:
    """What a list page gave; `next_url` where the site is described by such a link."""

    questions: tuple[Question, ...]
    skipped: int
    next_url: str | None


def decode(body: bytes, content_type: str = "") -> str:
    """The text of a page.

    What is well-formed UTF-8 is UTF-8, whatever is declared. A Latin page of a Turkish site is Windows-1254,
    the superset of ISO-8859-9 that the Encoding Standard reads under both names; so is what declares nothing,
    or something that does not fit. Never fails.
    """
    mark, bom = read_bom(body)
    if mark and bom:
        return body[len(bom) :].decode(mark, "replace")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        pass
    declared = http_content_type_encoding(content_type) or html_body_declared_encoding(body) or "cp1254"
    name = codecs.lookup(declared).name
    if name == "utf-8" and _mostly_utf8(body):
        return body.decode("utf-8", "replace")
    if name not in _LATIN | {"utf-8"}:
        try:
            return body.decode(name)
        except UnicodeDecodeError:
            pass
    return body.decode("cp1254", "replace")


def _mostly_utf8(body: bytes) -> bool:
    """Whether a few bytes are broken in a UTF-8 page: more letters than faults beyond ASCII."""
    beyond = [char for char in body.decode("utf-8", "replace") if char > "\x7f"]
    return beyond.count("\ufffd") * 2 < len(beyond)


def read_list(body: bytes, url: str, content_type: str, site: Site) -> ListPage:
    source = decode(body, content_type)
    page, base = Selector(text=source, type="html"), get_base_url(source, url)
    questions: list[Question] = []
    items = page.css(site.questions.item)
    for item in items:
        link = _address(item, site.questions.link, base, site)
        text = "" if site.questions.follow else _text(item, site.questions.text)
        if link if site.questions.follow else text:
            questions.append(Question(link, text))
    following = _address(page, site.next_page, base, site)
    return ListPage(tuple(dict.fromkeys(questions)), len(items) - len(questions), following)


def read_question(body: bytes, content_type: str, site: Site) -> str:
    """The text on a question's own page; empty where the selector finds none."""
    return _text(Selector(text=decode(body, content_type), type="html"), site.questions.text)


def _address(place: Selector, css: str | None, base: str, site: Site) -> str | None:
    """The first address under `css` that is on the site: of an element its `href`."""
    for found in place.css(css) if css else ():
        href = found.root if isinstance(found.root, str) else found.attrib.get("href", "")
        try:
            url = urldefrag(urljoin(base, href.strip())).url
        except ValueError:
            continue
        if href.strip() and site.allows(url):
            return url
    return None


def _text(place: Selector, css: str | None) -> str:
    """The text of the first match (of `place` itself without `css`), white space collapsed."""
    for found in place.css(css) if css else (place,):
        whole = found.root if isinstance(found.root, str) else "".join(_pieces(found.root))
        if text := " ".join(whole.split()):
            return text
    return ""


def _pieces(element: object) -> Iterator[str]:
    """The text under an lxml element; a space wherever a browser would break the line.

    A walk with a list of its own: a broken page may nest deeper than Python's stack.
    """
    waiting: list[object] = [element]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            yield node
            continue
        tag = getattr(node, "tag", None)
        if not isinstance(tag, str) or tag in _UNSEEN:
            continue  # comments and processing instructions have a function for a tag
        gap = "" if tag in _INLINE else " "
        waiting.append(gap)
        for child in reversed(node):  # type: ignore[call-overload]
            waiting.append(child.tail or "")
            waiting.append(child)
        waiting.append(gap + (getattr(node, "text", None) or ""))
