"""A hospital's own documents: one file of JSON lines, a line for each version of a document.

The newest version of a document counts; the ones before stay in the file until the document is removed. The
same passage in two documents is given once. Nobody's name, number or address goes in: a language model may
be shown what a report can cite.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from tetkik.bundle.store import sha256_of
from tetkik.errors import DataError, InputError, as_fault_of
from tetkik.language import Language
from tetkik.privacy.rules import mask
from tetkik.report.passages.documents import Chunk, chunks_of, language_of, read_blocks
from tetkik.settings import settings
from tetkik.turkish import fold
from tetkik.values.common import one_line
from tetkik.values.report import Passage, PassageKind

# The passages that ship with Tetkik: texts of our own, each with the reference that its facts rest on.


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


FILE = "documents.jsonl"
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Document:
    """One version of a document, from 1, under the file's name without its ending, in lower-case ASCII."""

    name: str
    version: int
    file: str
    added: str  # when, in UTC (ISO 8601)
    sha256: str
    language: Language
    label: str | None  # the shared label that it is about; None for a general one
    chunks: tuple[Chunk, ...]

    def passages(self) -> tuple[Passage, ...]:
        return tuple(
            Passage(
                id=f"doc-{self.name}-{number}",
                language=self.language,
                kind=PassageKind.HOSPITAL,
                label=self.label,
                title=chunk.title or self.file,
                text=chunk.text,
                source=self.file,
            )
            for number, chunk in enumerate(self.chunks, start=1)
        )


_DOCUMENT = TypeAdapter(Document)


@dataclass(frozen=True, slots=True)
class Added:
    """What came of adding a document: `duplicates` others or the library have word for word."""

    document: Document
    new: bool
    duplicates: int
    masked: int


def add_document(path: Path, *, label: str | None = None, language: Language | None = None) -> Added:
    """Take in a document; one of the same name is replaced as a new version.

    Without a language its text is looked at; InputError where the file cannot be read.
    """
    chunks = chunks_of(read_blocks(path))
    sha256 = sha256_of(path)
    masked = [mask(chunk.text) for chunk in chunks]
    titled = [mask(chunk.title).text for chunk in chunks]
    clean = tuple(Chunk(title, item.text) for title, item in zip(titled, masked, strict=True))
    spoken = language or language_of(" ".join(chunk.text for chunk in chunks), settings().language)
    with _changing() as documents:
        shown = one_line(path.name)  # a name may hold line ends, and bytes that are no UTF-8
        now = datetime.now(UTC).isoformat(timespec="seconds")
        made = Document(_name(path), 1, shown, now, sha256, spoken, label, clean)
        before = [item for item in documents if item.name == made.name]
        if before and before[-1] == replace(
            made, version=before[-1].version, added=before[-1].added, file=before[-1].file
        ):
            return Added(before[-1], new=False, duplicates=0, masked=0)
        made = replace(made, version=before[-1].version + 1 if before else 1)
        others = [item for item in _newest(documents) if item.name != made.name]
        known = {_words(passage.text) for passage in library()}
        known |= {_words(chunk.text) for item in others for chunk in item.chunks}
        documents.append(made)
    duplicates = sum(_words(chunk.text) in known for chunk in clean)
    return Added(made, True, duplicates, sum(item.counts.total() for item in masked))


def remove_document(name: str) -> tuple[Document, ...]:
    """Take out a document with all its versions, and return them; InputError where there is none.

    It goes by the name that `documents` lists, or by the file's.
    """
    with _changing() as documents:
        wanted = {name, _name(Path(name))}
        found = tuple(item for item in documents if item.name in wanted)
        if not found:
            raise InputError(
                "There is no document {name}; `tetkik report passages list` names them.", name=name
            )
        documents[:] = [item for item in documents if item not in found]
    return found


def documents() -> tuple[Document, ...]:
    """The newest version of each document, by name."""
    return tuple(sorted(_newest(_read()), key=lambda item: item.name))


def hospital_passages(language: Language | None = None) -> tuple[Passage, ...]:
    """The passages of the newest documents, of one language or of both, the same text once."""
    found = _distinct(documents())
    return tuple(passage for passage in found if language in {None, passage.language})


@lru_cache(maxsize=4)
def _distinct(documents: tuple[Document, ...]) -> tuple[Passage, ...]:
    first = {
        _words(passage.text): passage for item in reversed(documents) for passage in reversed(item.passages())
    }
    return tuple(reversed(first.values()))


def all_passages(language: Language | None = None) -> tuple[Passage, ...]:
    """The library, then a hospital's own passages."""
    return library(language) + hospital_passages(language)


def _name(path: Path) -> str:
    """The stem of a file as an id: no way out of a folder, no space, nothing to be escaped."""
    stem = "-".join(re.findall(r"[a-z0-9]+", fold(path.stem)))[:_LONGEST_NAME].strip("-")
    return stem or "document"


def _words(text: str) -> str:
    return " ".join(fold(text).split())


def _newest(documents: list[Document] | tuple[Document, ...]) -> list[Document]:
    return list({item.name: item for item in documents}.values())


def _read() -> tuple[Document, ...]:
    file = settings().passages_dir / FILE
    try:
        state = file.stat()
    except FileNotFoundError:
        return ()
    return _parsed(file, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=4)
def _parsed(file: Path, _changed: int, _size: int) -> tuple[Document, ...]:
    """What the file holds; read again only when it has changed."""
    # By line feeds alone: JSON leaves the other line ends of Unicode (U+0085, U+2028) within a line.
    lines = file.read_text("utf-8").split("\n")
    found = []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            found.append(_DOCUMENT.validate_json(line))
        except ValidationError as error:
            raise DataError(
                "Line {number} of {file} is no document of passages; restore the file or remove the line.",
                number=number,
                file=file,
            ) from error
    return tuple(found)


@contextmanager
def _changing() -> Iterator[list[Document]]:
    """The documents, to be changed by one process at a time; written back whole, or left as they were."""
    target = settings().passages_dir / FILE
    with as_fault_of(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with (target.parent / ".lock").open("a") as lock:
            _wait_for(lock.fileno())
            documents = list(_read())
            before = list(documents)
            yield documents
            if documents != before:
                lines = (json.dumps(asdict(item), ensure_ascii=False) for item in documents)
                replace_file(target, "".join(f"{line}\n" for line in lines).encode())


def _wait_for(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows, where two commands at once are the user's to avoid
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def replace_file(target: Path, content: bytes) -> None:
    """Put a file in the place of another: all of it, or nothing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # No health data: the service that writes drafts may be another user than the one who adds.
        Path(name).chmod(0o644)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
