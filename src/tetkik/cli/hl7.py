"""`tetkik hl7`: what Tetkik takes of the messages of a hospital's system."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from tetkik.cli.console import language, out, print_json_line, print_line, show_failure, shown, t, word
from tetkik.cli.options import LinesAsJson, argument, option
from tetkik.errors import file_fault
from tetkik.settings import settings

if TYPE_CHECKING:
    from tetkik.integrations.hl7.intake import Checked

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
_MOST_BYTES = 50_000_000
_NEXT = re.compile(rb"(?<=[\r\n])(?=MSH[^A-Za-z0-9])")


@app.callback()
def _group() -> None:
    """A group of its own, though it has one command."""


@app.command("check", help=t("What Tetkik takes of messages, and what is missing or wrong in them."))
def check(
    files: Annotated[list[Path], argument("Files with one or more messages.", "FILE...")],
    mapping: Annotated[Path | None, option("The mapping of the system that writes them (TOML).")] = None,
    character_set: Annotated[
        str | None, option("What the text really is, such as `ISO_IR 148`, whatever MSH-18 says.")
    ] = None,
    as_json: LinesAsJson = False,
) -> None:
    """Exit status 1 where a message would be refused, or something of it left out. Nothing is stored."""
    from tetkik.integrations.hl7.content import load_mapping
    from tetkik.integrations.hl7.intake import check_message

    known, zone, sound = load_mapping(mapping), ZoneInfo(settings().hospital_time_zone), True
    for file in files:
        try:
            with file.open("rb") as opened:
                content = opened.read(_MOST_BYTES)
        except OSError as error:
            show_failure(file_fault(error), as_json=as_json, path=str(file))
            sound = False
            continue
        for number, data in enumerate(_messages(content), 1):
            checked = check_message(data, known, zone, character_set)
            sound = sound and checked.sound
            _show(file, number, checked, as_json)
    if not sound:
        raise typer.Exit(1)


def _messages(content: bytes) -> list[bytes]:
    """Those of a file: each begins with MSH at the beginning of a line; frames of MLLP are taken off."""
    found = _NEXT.split(content.replace(b"\x1c\r", b"\r").replace(b"\x0b", b""))
    return [data for data in found if data.strip()] or [b""]


def _show(file: Path, number: int, checked: Checked, as_json: bool) -> None:
    remarks = [(remark, remark.what.in_language(language())) for remark in checked.remarks]
    if as_json:
        lines = [{"level": one.level, "place": one.place, "what": what} for one, what in remarks]
        print_json_line(
            {
                "path": str(file),
                "message": number,
                "kind": checked.kind,
                "version": checked.version,
                "answer": checked.answer,
                "remarks": lines,
            }
        )
        return
    print_line(
        "{file}, message {number}: {kind}, version {version}; answered with {answer}.",
        file=file,
        number=number,
        kind=checked.kind or "?",
        version=checked.version or "?",
        answer=checked.answer,
    )
    styles = {"wrong": "yellow", "refused": "red", "absent": "dim", "unread": "dim"}
    for one, what in remarks:
        level = word("hl7", one.level)
        out.print(f"  {one.place:<8} {level}: {shown(what)}", style=styles.get(one.level), soft_wrap=True)
