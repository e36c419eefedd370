"""Markdown of a model's card as HTML that is safe to show: no raw HTML, no pictures, no scripts in links."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markupsafe import Markup

_FRONT = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


def rendered(text: str) -> Markup:
    """The HTML of a card, without its front matter and its first heading: the page shows those itself."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = parser.parse(_FRONT.sub("", text))
    if tokens and tokens[0].tag == "h1":
        del tokens[:3]
    for token in tokens:
        token.attrs.pop("style", None)  # the alignment of a column; the pages' policy has no inline style
        if token.tag == "h1":
            token.tag = "h2"  # the page has its own
        if token.type == "table_open":
            token.attrs["tabindex"] = "0"  # a wide one scrolls by keyboard, too
        for child in token.children or ():
            if child.type == "link_open":
                child.attrs |= {"rel": "noreferrer noopener", "target": "_blank"}
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704 - escaped by the renderer
