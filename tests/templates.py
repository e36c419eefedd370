"""Every template of a message in the source, found by walking its syntax trees."""

from __future__ import annotations

import ast
import json
import string
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from jinja2 import Environment, nodes

from tests.test_errors import CLASSES
from tetkik import errors

SOURCE = Path(errors.__file__).parent
# What takes a template, and as which of its arguments.
TAKERS = {
    **dict.fromkeys(CLASSES, 0),
    **dict.fromkeys(
        (
            *("t", "warn", "note", "print_line", "_bullet", "option", "argument", "translate", "Sentence"),
            *("Diverged", "Stopped", "Refused"),
        ),
        0,
    ),
    **dict.fromkeys(("Perturbation", "_fault"), 1),
}
# Long work tells the name of its step first, then how far it is.
TELLERS = {"progress", "_progress"}
OTHER_OWNERS = {"warnings", "logging", "logger"}


@dataclass(frozen=True)
class Template:
    """An English template where it stands; `given` is None where its values cannot be seen there."""

    text: str
    where: str
    given: frozenset[str] | None


def fields(template: str) -> set[str]:
    """The names of the `str.format` fields of `template`."""
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


@cache
def translations() -> list[tuple[str, str, str]]:
    """(file, English, Turkish) of every entry in `messages/tr.po`."""
    return [("tr.po", str(item.id), str(item.string)) for item in catalogue("tr") if item.id]


@cache
def catalogue(language: str) -> Catalog:
    with (SOURCE / "messages" / f"{language}.po").open("rb") as file:
        return read_po(file, abort_invalid=True)


def trees() -> Iterator[tuple[str, ast.Module]]:
    """(path within the package, syntax tree) of every module."""
    for file in sorted(SOURCE.rglob("*.py")):
        yield file.relative_to(SOURCE).as_posix(), ast.parse(file.read_text("utf-8"))


@cache
def _read_source() -> tuple[list[Template], set[str]]:
    """The templates that the modules give, and every string constant of theirs: each is parsed once."""
    found: list[Template] = []
    texts: set[str] = set()
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
            elif isinstance(node, ast.Call):
                where, given = f"{path}:{node.lineno}", _given(node)
                found += [Template(text, where, given) for text in _literals(_template_of(node))]
    return found, texts


def constants() -> set[str]:
    """Every string constant of the source; neighbouring literals are one, as Python has it."""
    return _read_source()[1] | {found.text for found in (*page_templates(), *words(), *bundled())}


def words() -> Iterator[Template]:
    """What the files `words.toml` call things, in tables of their own."""
    folders = (SOURCE / "cli", SOURCE / "service")
    for file in sorted(file for folder in folders for file in folder.rglob("words.toml")):
        for table in tomllib.loads(file.read_text("utf-8")).values():
            for text in table.values():
                yield Template(text, file.relative_to(SOURCE).as_posix(), None)


def bundled() -> Iterator[Template]:
    """How the data of the built-in models' figures was cut."""
    for file in sorted(SOURCE.glob("bundle/builtin/*/manifest.json")):
        for metric in json.loads(file.read_text("utf-8"))["metrics"]:
            for sentence in metric["split"]:
                yield Template(sentence["template"], file.relative_to(SOURCE).as_posix(), None)


def page_templates() -> Iterator[Template]:
    """Every literal that a Jinja page gives to `t`."""
    for file in sorted(SOURCE.rglob("*.jinja")):
        tree = Environment(autoescape=True).parse(file.read_text("utf-8"), file.name, str(file))
        for call in tree.find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name == "t":
                where = f"{file.relative_to(SOURCE).as_posix()}:{call.lineno}"
                given = frozenset(word.key for word in call.kwargs)
                for text in _page_literals(call.args[0]):
                    yield Template(text, where, given)


def _page_literals(node: nodes.Node) -> Iterator[str]:
    if isinstance(node, nodes.Const):
        yield node.value
    elif isinstance(node, nodes.CondExpr):
        yield from _page_literals(node.expr1)
        if node.expr2 is not None:
            yield from _page_literals(node.expr2)


@cache
def templates() -> list[Template]:
    """Every literal that is given as a template."""
    return [*page_templates(), *words(), *bundled(), *_read_source()[0]]


def _template_of(call: ast.Call) -> ast.expr | None:
    match call.func:
        case ast.Name(id=name):
            pass
        case ast.Attribute(value=owner, attr=name):
            if isinstance(owner, ast.Name) and owner.id in OTHER_OWNERS:
                return None
        case _:
            return None
    if name in TELLERS and len(call.args) == 3:
        return call.args[0]
    place = TAKERS.get(name)
    return call.args[place] if place is not None and len(call.args) > place else None


def _literals(node: ast.expr | None) -> Iterator[str]:
    match node:
        case ast.Constant(value=str() as text):
            yield text
        case ast.IfExp(body=body, orelse=other):
            yield from _literals(body)
            yield from _literals(other)
        case ast.Call(func=ast.Name(id="cast"), args=[_, inner]):
            yield from _literals(inner)


def _given(call: ast.Call) -> frozenset[str] | None:
    """The names of the values in the call; None where they come from elsewhere."""
    names = {word.arg for word in call.keywords}
    if isinstance(call.func, ast.Name) and call.func.id in {"option", "argument"}:
        return None
    if None in names or any(not isinstance(arg, ast.Constant | ast.IfExp) for arg in call.args):
        return None
    return frozenset(name for name in names if name is not None)
