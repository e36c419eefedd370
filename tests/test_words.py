"""Names and sentences use the terms of the field: words that only this project understood do not come back.

A word of `FORBIDDEN` may stand nowhere: not in names, comments and strings of the code, not in the messages,
templates and documents. Those of `LATER` are still being replaced; move one to `FORBIDDEN` when it is gone.
`FORBIDDEN_IN_DOCUMENTS` holds for what people read about the program.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN: tuple[str, ...] = ("yardstick",)
LATER: tuple[str, ...] = (
    "armour", "armoured", "course", "door", "doors", "ear", "ears", "endings", "floors", "grown", "hearing",
    "heed", "hold about", "house", "houses", "in house", "keeping", "learned by heart", "learner", "lesson",
    "lessons", "noted", "rooms", "shelf", "shelves", "taught", "told", "wish", "wishes",
)  # fmt: skip
FORBIDDEN_IN_DOCUMENTS: tuple[str, ...] = (
    "armour", "deed", "deeds", "door", "doors", "heed", "house", "houses", "lean on", "learned by heart",
    "leans on", "lesson", "lessons", "rooms", "shelf", "shelves", "wish", "wishes", "yardstick",
)  # fmt: skip
NOT_YET = {
    "AccessDecision", "AccountNotice", "AppContext", "CachedModel", "ContextDep", "EncodedSplit",
    "EventBatch", "EventBroker", "HostOriginMiddleware", "ImageAnalysis", "ImageDecoder", "MemoryBudget",
    "ModelCache", "PreparedImage", "PreprocessRequest", "ProgressEvent", "RateLimits", "ReportContent",
    "Reservation", "RunConfig", "SubprocessWorker", "Subscriber", "TrainableModel", "TrainingData",
}  # fmt: skip
"""Names in the glossary that the code will have."""
ALLOWED: dict[str, tuple[str, ...]] = {
    "ear": ("ear nose and throat", "ear drum", "middle ear"),
    "house": ("in house developed",),
}
"""Phrases in which a word means what everybody means by it."""
_TEST = re.compile(r"`[^`]*::[^`]*`")
"""The name of a test, which follows the names of the code."""
CODE = ("src", "benchmarks", "docs")
READ = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PENDING = {
    ROOT / name
    for name in (
        "CONTRIBUTING.md",
        "docs/architecture.md",
        "docs/reference/bundle.md",
        "docs/reference/cli.md",
        "docs/reference/settings.md",
    )
}
"""Pages written from docstrings and help that still have such words; take them out with `LATER`."""


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
        if path not in PENDING
        and (words := found(_TEST.sub("", path.read_text("utf-8")), FORBIDDEN_IN_DOCUMENTS))
    ]
    assert not lost


def test_names_in_the_glossary_are_those_of_the_code():
    section = (
        (ROOT / "docs" / "glossary.md").read_text("utf-8").partition("## The code")[2].partition("## ")[0]
    )
    named = set(re.findall(r"`([A-Z]\w+)`", section))
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    defined = set(re.findall(r"^(?:class )?([A-Z]\w+)(?= =|\(|:|\[)", code, re.MULTILINE))
    assert named - defined <= NOT_YET


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
