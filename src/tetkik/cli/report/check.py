"""`tetkik report check`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tetkik.cli.console import out, print_json_line, t
from tetkik.cli.options import AnswerAsJson, argument, option
from tetkik.cli.report.answer import show_sentences
from tetkik.errors import InputError, UsageError
from tetkik.language import Language
from tetkik.settings import settings
from tetkik.values import DISCLAIMER, DraftSentence

_LARGEST = 1_000_000
"""Characters, and bytes of a file: a report has a few thousand."""
_LONGEST_PATH = 1000
_ENDINGS = (".txt", ".md", ".text", ".json", ".pdf", ".docx", ".doc", ".hl7", ".rtf")


def check(
    text: Annotated[
        str, argument("A report, or a text file with one, or - for the standard input.", "TEXT_OR_FILE")
    ],
    *,
    findings: Annotated[
        Path, option("What was found, as `findings predict --json` prints it.", metavar="F.json")
    ],
    prior: Annotated[
        Path | None, option("The findings of an earlier image of the same patient.", metavar="F.json")
    ] = None,
    spoken: Annotated[
        Language | None,
        option("Language of the text. Default: that of each sentence, as far as it shows.", "--language"),
    ] = None,
    as_json: AnswerAsJson = False,
) -> None:
    """Sentences that the findings do not bear out are marked; the exit status is then 1."""
    from tetkik.report.facts import facts_of, read_findings
    from tetkik.report.grounding import check_text

    earlier = None if prior is None else read_findings(prior)
    facts = facts_of(read_findings(findings), prior=earlier)
    sentences = check_text(_report(text), facts, spoken)
    if not sentences:
        raise UsageError("There is no sentence to check; give a report, or a text file with one.")
    marked = sum(bool(sentence.marks) for sentence in sentences)
    if as_json:
        print_json_line({"sentences": [_as_json(item) for item in sentences], "marked": marked})
    else:
        show_sentences(sentences)
        out.print()
        out.print(t("Sentences: {all}; marked: {marked}.", all=len(sentences), marked=marked), style="bold")
        out.print(t(DISCLAIMER["en"]), style="dim")
    if marked:
        raise typer.Exit(1)


def _as_json(sentence: DraftSentence) -> dict[str, Any]:
    language = settings().language
    return {
        "text": sentence.text,
        "marks": [
            {
                "fault": mark.fault,
                "reason": mark.reason.in_language(language),
                "start": mark.start,
                "end": mark.end,
            }
            for mark in sentence.marks
        ],
    }


def _report(text: str) -> str:
    """The text itself, or what is in the file of that name."""
    if text == "-":
        found = _decoded(sys.stdin.buffer.read(_LARGEST + 1) if sys.stdin is not None else b"", "-")
    else:
        path = _file(text)
        if path is None:
            found = text
        else:
            with path.open("rb") as file:
                found = _decoded(file.read(_LARGEST + 1), text)
    if len(found) > _LARGEST:
        raise InputError(
            "The report is too long ({count} characters at most); give one report.", count=_LARGEST
        )
    return found


def _file(text: str) -> Path | None:
    """The file that is meant; a name that cannot be anything else but is not there is an error of its own.

    A mistyped name must not be checked as a report of one word, and pass.
    """
    try:
        path = Path(text)
        if text.strip() and len(text) < _LONGEST_PATH and path.exists():
            return path
    except (OSError, ValueError):
        return None
    alone: Sequence[str] = text.split()
    if len(alone) == 1 and text.lower().endswith(_ENDINGS):
        raise InputError("There is no file {file}; check the path.", file=text)
    return None


def _decoded(content: bytes, name: str) -> str:
    if len(content) > _LARGEST:
        raise InputError("{file} is too large to be a report; give the text of one.", file=name)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("{file} is no text in UTF-8; save it as such.", file=name) from None
