"""`tetkik triage predict`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.text import Text

from tetkik.cli.console import note, out, print_json_line, show_failure, shown, t
from tetkik.cli.options import LinesAsJson, Model, OnDevice, argument, option
from tetkik.errors import DataError, InputError, TetkikError, UsageError
from tetkik.settings import settings
from tetkik.values.complaint import TriageResult, UrgencyLevel

# One triage answer on the terminal: where to in an emergency, the urgency, then the departments.


_STYLE: dict[UrgencyLevel | None, str] = {
    UrgencyLevel.KIRMIZI: "bold white on red",
    UrgencyLevel.SARI: "black on yellow",
    UrgencyLevel.YESIL: "green",
    None: "reverse",
}
_LEVEL: dict[UrgencyLevel | None, str] = {
    UrgencyLevel.KIRMIZI: "RED: at once",
    UrgencyLevel.SARI: "YELLOW: to be seen today",
    UrgencyLevel.YESIL: "GREEN: by appointment",
    None: "NOT ASSESSED: see the patient",
}
_BAR = 24
_SHOWN = 3


def show_answer(result: TriageResult) -> None:
    """Print one answer, at most about a dozen lines."""
    level = result.urgency.level
    red = level is UrgencyLevel.KIRMIZI
    if red and result.destination:
        out.print(Text(f" {result.destination.text} ", style=_STYLE[level]))
    out.print(_marked(result), soft_wrap=False)
    out.print(Text(f" {t(_LEVEL[level])} ", style="bold red" if red else _STYLE[level]))
    for flag in result.urgency.flags:
        quoted = shown(result.text[flag.span.start : flag.span.end])
        out.print(Text(f"  {shown(flag.reason)} ", style="bold").append(f"“{quoted}”", style="dim"))
    if red:
        # Nobody in an emergency should be sent to book an appointment.
        if result.departments:
            names = ", ".join(one.name for one in result.departments[: _SHOWN if result.abstain else 1])
            out.print(Text(f"  {t('Afterwards')}: {names}", style="dim"))
        return
    width = max(0, min(_BAR, out.width - 38))
    for place, department in enumerate(result.departments[:_SHOWN]):
        filled = round(width * department.probability)
        line = Text(f"  {department.name:<31}", style="bold" if place == 0 and not result.abstain else "")
        line.append("█" * filled, style="cyan").append("░" * (width - filled), style="dim")
        line.append(f" {100 * department.probability:3.0f}%")
        out.print(line)
    if result.departments and not result.abstain:
        first = result.departments[0]
        if first.clinic:
            booking = t("Book: {clinic}.", clinic=first.clinic)
            out.print(Text(f"  {booking} {first.referral or t('No referral is needed.')}", style="dim"))
    if result.reason:
        out.print(Text(f"  {result.reason}", style="yellow" if result.abstain else "dim"))
    if result.question:
        out.print(Text("  ? ", style="bold yellow").append(result.question, style="bold"))


def _marked(result: TriageResult) -> Text:
    """The complaint with the deciding words underlined; control characters are shown, not obeyed."""
    safe = shown(result.text[:1000], keep="\n\t")
    text = Text(safe + ("…" if len(result.text) > len(safe) else ""))
    for item in result.evidence:
        text.stylize("underline", item.span.start, item.span.end)
    for flag in result.urgency.flags:
        text.stylize("bold red", flag.span.start, flag.span.end)
    return text


_LONGEST_LINE = 1 << 24


def predict(
    texts: Annotated[list[str] | None, argument("Complaints.", "[TEXT]...")] = None,
    *,
    source: Annotated[
        str | None,
        option(
            "A CSV or JSONL file with a column text, a text file with one complaint a line, or -.",
            "--input",
            metavar="FILE",
        ),
    ] = None,
    model: Model = None,
    as_json: LinesAsJson = False,
    device: OnDevice = None,
) -> None:
    """One answer for each complaint, in order; a bad row costs that row alone."""
    from tetkik.triage.predict import load_triage

    if source == "-" or (not texts and source is None):
        # None: standard input is closed.
        if sys.stdin is None or (source is None and sys.stdin.isatty()):
            raise UsageError(
                "No complaint was given; type it in quotation marks or name a file with --input."
            )
        source = "-"
    triage = load_triage(settings().triage_model if model is None else model, priors=True, device=device)
    number, failed = -1, 0
    for number, item in enumerate(_items(texts or [], source)):
        if isinstance(item, TetkikError):
            failed += 1
            show_failure(item, as_json=as_json)
            continue
        result = triage.predict(item)
        if as_json:
            print_json_line(result.as_json())
        else:
            if number:
                out.print()
            show_answer(result)
    if number < 0:
        note("There is no complaint in {name}.", name=t("standard input") if source == "-" else source)
    if failed:
        raise typer.Exit(1)


def _items(texts: list[str], source: str | None) -> Iterator[str | TetkikError]:
    yield from map(_typed, texts)
    if source == "-":
        yield from _lines(sys.stdin.buffer, t("standard input"))
    elif source is not None:
        path = Path(source)
        if path.suffix.lower() in {".csv", ".tsv"}:
            yield from _csv(path)
        else:
            with path.open("rb") as file:
                yield from _lines(file, str(path), jsonl=path.suffix.lower() in {".jsonl", ".ndjson"})


def _typed(text: str) -> str:
    """A text of the command line; in a C locale Python takes its UTF-8 for stray bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return os.fsencode(text).decode("utf-8", "replace")
    return text


def _lines(file: BinaryIO, name: str, *, jsonl: bool | None = None) -> Iterator[str | TetkikError]:
    """One complaint a line, as plain text or as a JSON object with a `text`."""
    for number, raw in enumerate(iter(lambda: file.readline(_LONGEST_LINE), b""), 1):
        if number == 1 and b"\x00" in raw:
            yield InputError("{name} is not text in UTF-8; save it as UTF-8.", name=name)
            return
        if len(raw) == _LONGEST_LINE and not raw.endswith(b"\n"):
            while (rest := file.readline(_LONGEST_LINE)) and not rest.endswith(b"\n"):
                pass
            yield InputError(
                "Line {number} of {name} is longer than {most} MB; shorten it.",
                number=number,
                name=name,
                most=_LONGEST_LINE >> 20,
            )
            continue
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            yield InputError("Line {number} of {name} is not UTF-8; convert it.", number=number, name=name)
            continue
        if not line.strip() and jsonl is not False:
            continue
        if jsonl or (jsonl is None and line.startswith("{")):
            yield _from_json(line, number, name)
        else:
            yield line


def _from_json(line: str, number: int, name: str) -> str | TetkikError:
    try:
        text = json.loads(line)["text"]
    except (ValueError, KeyError, TypeError, RecursionError):
        text = None
    if isinstance(text, str):
        return text
    return InputError(
        "Line {number} of {name} is not a JSON object with a text; correct that line.",
        number=number,
        name=name,
    )


def _csv(path: Path) -> Iterator[str | TetkikError]:
    from tetkik.csv_rows import each_row

    try:
        for row in each_row(path, ("text",)):
            yield row if isinstance(row, DataError) else row[0]
    except DataError as fault:  # what came before it is answered
        yield fault
