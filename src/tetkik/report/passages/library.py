"""The passages that ship with Tetkik: texts of our own, each with the reference that its facts rest on."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

from tetkik.language import Language
from tetkik.values import Passage, PassageKind


@cache
def library(language: Language | None = None) -> tuple[Passage, ...]:
    """Every passage that ships, of one language or of both, in the order of the files of `library/`."""
    wanted = (language,) if language else tuple(Language)
    return tuple(passage for item in wanted for passage in _of_language(item))


@cache
def references() -> dict[str, str]:
    """The literature that the passages rest on: key and reference as it is printed."""
    return tomllib.loads(_folder().joinpath("sources.toml").read_text("utf-8"))


@cache
def _of_language(language: Language) -> tuple[Passage, ...]:
    files = sorted(_folder().joinpath(language.value).iterdir(), key=lambda file: file.name)
    return tuple(
        Passage(
            id=entry["id"],
            language=Language(entry["language"]),
            kind=PassageKind(entry["kind"]),
            label=entry.get("label"),
            title=entry["title"],
            text=" ".join(entry["text"].split()),
            source=" ".join(references()[key] for key in entry["sources"]),
        )
        for file in files
        if file.name.endswith(".toml")
        for entry in tomllib.loads(file.read_text("utf-8"))["passage"]
    )


def _folder() -> resources.abc.Traversable:
    return resources.files(__package__).joinpath("library")
