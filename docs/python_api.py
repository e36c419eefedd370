"""The reference part of docs/python-api.md, from signatures and docstrings."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from typing import Any

import tetkik

LOADED = {"load_caption": "Captioner", "load_findings": "Findings", "load_triage": "Triage"}
"""The class that a loader gives, whose methods are part of the API."""
METHODS = ("predict", "predict_many", "heatmap")


def reference() -> str:
    """Every public function with its parameters, and the methods of what loaders give."""
    parts: list[str] = []
    for name in tetkik.__all__:
        value = getattr(tetkik, name)
        if inspect.isfunction(value):
            parts += _section(f"tetkik.{name}", value)
            if name in LOADED:
                owner = getattr(sys.modules[value.__module__], LOADED[name])
                for method in filter(vars(owner).get, METHODS):
                    parts += _section(f"{LOADED[name]}.{method}", getattr(owner, method))
        elif inspect.isclass(value):
            parts += [f"### tetkik.{name}", _first(inspect.getdoc(value) or "")]
    return "\n\n".join(parts)


def _section(title: str, function: Any) -> Iterator[str]:
    parameters = ",\n    ".join(_parameters(function))
    result = inspect.signature(function).return_annotation
    yield f"### {title}"
    yield f"```py\n{title.rpartition('.')[2]}(\n    {parameters},\n) -> {result}\n```"
    text = inspect.getdoc(function) or ""
    yield _first(text)
    named = _entries(text, "Args")
    if named:
        yield "\n".join(f"- `{name}`: {meaning}" for name, meaning in named)
    raised = _entries(text, "Raises")
    if raised:
        yield "Raises " + "; ".join(f"`{name}`: {meaning.rstrip('.')}" for name, meaning in raised) + "."


def _parameters(function: Any) -> Iterator[str]:
    starred = False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            starred = True
            yield "*"
        default = "" if parameter.default is parameter.empty else f" = {_shown(parameter.default)}"
        yield f"{parameter.name}: {parameter.annotation}{default}"


def _shown(default: object) -> str:
    text = str(default) if hasattr(default, "value") else repr(default)
    return f"Language.{default.name}" if isinstance(default, tetkik.Language) else text


def _first(text: str) -> str:
    """What stands before the lists of parameters and errors, as paragraphs."""
    body = re.split(r"^(?:Args|Attributes|Returns|Raises|Yields):$", text, flags=re.MULTILINE)[0]
    return "\n\n".join(" ".join(part.split()) for part in body.strip().split("\n\n"))


def _entries(text: str, title: str) -> list[tuple[str, str]]:
    found = re.search(rf"^{title}:\n((?:^(?:    .*|)\n?)+)", text, re.MULTILINE)
    if found is None:
        return []
    items = re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", found[1], re.MULTILINE)
    return [(name, " ".join(meaning.split())) for name, meaning in items]
