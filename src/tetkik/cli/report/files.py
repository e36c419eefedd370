"""A drafted report in a folder: the draft with its evidence as JSON, and the documents made of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tetkik.cli.console import out, shown, word, words
from tetkik.documents.write import write_files
from tetkik.report.deidentify import shareable

if TYPE_CHECKING:
    from tetkik.workflow import Reported

DRAFT, FILLED = "draft.json", "report.filled.txt"


def draft_json(reported: Reported) -> dict[str, Any]:
    """The draft as JSON, which names no patient: only documents do."""
    return shareable(reported.drafted.draft, reported.document.identity).as_json()


def write_report(reported: Reported, folder: Path, filled: str | None = None) -> tuple[Path, ...]:
    """Write everything that is made of a draft, under names that say nothing of a patient."""
    from tetkik.documents.write import write_documents

    text = json.dumps(draft_json(reported), ensure_ascii=False, indent=2) + "\n"
    contents: Mapping[str, bytes] = {DRAFT: text.encode()}
    if filled is not None:
        contents = {**contents, FILLED: filled.encode()}
    files = (*write_documents(reported.document, folder), *write_files(contents, folder))
    order = list(words("file"))
    return tuple(sorted(files, key=lambda file: order.index(file.name)))


def show_files(files: Mapping[Path, str]) -> None:
    """Which files there are and what each is, on lines of their own."""
    width = max((len(str(file)) for file in files), default=0)
    for file, what in files.items():
        out.print(f"  {shown(file):<{width}}  {what}", soft_wrap=True)


def meaning(file: Path) -> str:
    return word("file", file.name)
