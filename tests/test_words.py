"""Names and sentences use the terms of the field: words that only this project understood do not come back.

A word of `FORBIDDEN` may stand nowhere: not in names, comments and strings of the code, not in the messages,
templates and documents. `FORBIDDEN_IN_DOCUMENTS` holds for what people read about the program,
`FORBIDDEN_NAMES` for what the package defines.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN: tuple[str, ...] = (
    "armour", "armoured", "door", "doors", "ear", "ears", "floors", "heed", "hold about", "house", "houses",
    "learned by heart", "learner", "lesson", "lessons", "rooms", "shelf", "shelves", "wish", "wishes",
    "yardstick",
)  # fmt: skip
FORBIDDEN_IN_DOCUMENTS: tuple[str, ...] = (*FORBIDDEN, "deed", "deeds", "lean on", "leans on")
FORBIDDEN_NAMES = {
    "Apart", "Asked", "Course", "Ear", "Hearing", "Hub", "Kept", "Learner", "Look", "Machine",
    "Sight", "Squares", "Taught", "Told", "apart", "course", "ear", "grown", "heard", "hearing",
    "look", "noted", "said", "story", "taught", "told", "twin", "twins",
}  # fmt: skip
"""What the package may not define; in a sentence these words may stand."""
ALLOWED: dict[str, tuple[str, ...]] = {
    "ear": (
        "ear nose and throat", "ear nose throat", "eye ear throat", "mts ear problems",
        "complaint of the ear", "id ear", "en ear",
    ),
    "ears": ("eyes ears bones",),
    # The name of a stored key, and of the folder of the data: hospitals have both.
    "house": ("wrap house index", "ring keys house", "tetkik house", "house in the user s data folder"),
}  # fmt: skip
"""Phrases in which a word means what everybody means by it, or cannot be changed."""
_TEST = re.compile(r"`[^`]*::[^`]*`")
"""The name of a test, which follows the names of the code."""
CODE = ("src", "benchmarks", "docs")
READ = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def plain(text: str) -> str:
    """Words in lower case with one space between: `InHouse` and `in_house` become `in house`."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    return " ".join(re.findall(r"[^\W\d_]+", text.lower()))


def found(text: str, words: tuple[str, ...]) -> list[str]:
    """Those of `words` that stand in a text, without the phrases that are allowed."""
    text = f" {plain(text)} "
    hits = []
    for word in words:
        rest = text
        for phrase in ALLOWED.get(word, ()):
            rest = rest.replace(f" {phrase} ", " ")
        if f" {word} " in rest:
            hits.append(word)
    return hits


def files() -> list[Path]:
    kinds = {".py", ".toml", ".jinja", ".html", ".md", ".js", ".ts"}
    everything = [path for folder in CODE for path in (ROOT / folder).rglob("*") if path.suffix in kinds]
    return [path for path in everything if "vendor" not in path.parts and "__pycache__" not in path.parts]


def test_no_word_that_is_gone_comes_back():
    lost = [
        f"{path.relative_to(ROOT)}: {', '.join(words)}"
        for path in [*files(), *READ]
        if (words := found(f"{path.stem} {path.read_text('utf-8')}", FORBIDDEN))
    ]
    assert not lost


def test_documents_are_written_in_the_terms_of_the_field():
    lost = [
        f"{path.relative_to(ROOT)}: {', '.join(words)}"
        for path in READ
        if (words := found(_TEST.sub("", path.read_text("utf-8")), FORBIDDEN_IN_DOCUMENTS))
    ]
    assert not lost


def defined(tree: ast.AST) -> Iterator[str]:
    """The names of a module's functions, classes, arguments, variables and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def test_names_of_the_package_are_terms_of_the_field():
    lost = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / "src").rglob("*.py")
        for name in defined(ast.parse(path.read_text("utf-8")))
        if name.lstrip("_") in FORBIDDEN_NAMES
    ]
    assert not lost


def test_names_in_the_glossary_are_those_of_the_code():
    section = (
        (ROOT / "docs" / "glossary.md").read_text("utf-8").partition("## The code")[2].partition("## ")[0]
    )
    named = set(re.findall(r"`([A-Z]\w+)`", section))
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    known = set(re.findall(r"^(?:class )?([A-Z]\w+)(?= =|\(|:|\[)", code, re.MULTILINE))
    assert named <= known


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def warehouse(): ...", []),
        ("class InHouse: ...", ["house"]),
        ("the_house = 1", ["house"]),
        ("Kept in the house.", ["house"]),
        ("ear, nose and throat", []),
        ("an ear, and a nose", ["ear"]),
        ("what was learned_by_heart", ["learned by heart"]),
    ],
)
def test_names_and_sentences_are_read_alike(text, words):
    assert found(text, ("ear", "house", "learned by heart")) == words
