"""`tetkik audit`: verify, list and export the trail of who did what."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tetkik.cli.console import err, language, note, out, print_line, progress, shown, t, warn, writing
from tetkik.cli.options import Since, Until, option, parse_day
from tetkik.cli.records import open_configured_records
from tetkik.cli.tables import listing
from tetkik.errors import MissingExtra, OutputError, UsageError
from tetkik.files import written_whole
from tetkik.settings import settings

if TYPE_CHECKING:
    from tetkik.records.audit_chain import Action
    from tetkik.records.trail.verify import Vouched

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command(
    "verify", help=t("Check that nothing was removed from the trail or altered, and what is stored.")
)
def verify(
    anchor: Annotated[
        Path | None,
        option(
            "A file that holds the end of the trail: compared where it is there, then written anew. Keep "
            "it outside this machine."
        ),
    ] = None,
    time_stamp: Annotated[
        bool,
        option(
            "Also have a server of time stamps (the setting signature_time_stamps) say when the file of "
            "--anchor was there: FILE.tst beside it."
        ),
    ] = False,
    anchors: Annotated[
        list[Path] | None,
        option(
            "Further files of anchors, or logs of the service that were shipped elsewhere; may be given "
            "several times."
        ),
    ] = None,
    files: Annotated[bool, option("Whether every stored file is opened to its end.")] = True,
) -> None:
    """Exit status 1 where anything is broken."""
    if time_stamp and (anchor is None or not settings().signature_time_stamps):
        raise UsageError(
            "A time stamp is made of the file of --anchor, by the server of signature_time_stamps."
        )
    with open_configured_records() as records:
        from tetkik.records.audit_chain import AnchorLines
        from tetkik.records.lifecycle.integrity import verify_stored
        from tetkik.records.trail.verify import Anchor, compare_anchors
        from tetkik.records.trail.verify import verify as verify_trail

        lines = [
            AnchorLines(file, records.vault) for file in (records.anchors.file, *(anchors or ()))
        ]  # before the moment that is looked at
        with records.read(still=True) as tx, progress("tetkik audit") as bar:
            known = Anchor.read(anchor) if anchor is not None else None
            step = t("entries")
            trail = verify_trail(tx, known, lambda seq: bar(step, seq, None))
            vouched = [(one.file, compare_anchors(tx, one)) for one in lines]
            stored = verify_stored(tx, contents=files)
    broken = [*trail.broken, *(item for _, found in vouched if found is not None for item in found.broken)]
    for fault in (*(item.what for item in broken), *stored.faults):
        err.print(shown(fault.in_language(language())), style="red", soft_wrap=True)
    if broken or stored.faults:
        if broken:
            warn(
                "The trail is broken; the first broken entry is {number}.",
                number=min(item.seq for item in broken),
            )
        raise typer.Exit(1)
    print_line(
        "Whole: {entries} entries ({erased} of them erased), {files} files, {signatures} signatures.",
        entries=trail.entries,
        erased=trail.erased,
        files=stored.files,
        signatures=stored.signatures,
    )
    for file, found in vouched:
        _say_vouched(file, found, trail.end.seq)
    if anchor is not None:
        with writing(anchor):
            trail.end.write(anchor)
            if time_stamp:
                _stamp(anchor, settings().signature_time_stamps)


def _stamp(anchor: Path, server: str) -> None:
    """Put a time stamp (RFC 3161) of an anchor beside it; the server gets a digest alone."""
    try:
        from pyhanko.sign.timestamps import HTTPTimeStamper
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "A time stamp needs the package {package}; `{extra}`.", extra="signature", package=error.name
        ) from None
    digest = hashlib.sha256(anchor.read_bytes()).digest()
    try:
        token = asyncio.run(HTTPTimeStamper(server).async_timestamp(digest, "sha256"))
    except OSError as error:  # of the network, and what pyHanko makes of a bad answer
        raise OutputError(
            "The server of time stamps gave none ({fault}); the anchor is written without one.",
            fault=type(error).__name__,
        ) from None
    with written_whole(anchor.with_name(f"{anchor.name}.tst")) as file:
        file.write(token.dump())


def _say_vouched(file: Path, found: Vouched | None, end: int) -> None:
    """From where to where anchors speak for the trail."""
    if found is None:
        warn(
            "{file} holds no anchor: that nothing was cut off the end of the trail is the word of the "
            "database alone.",
            file=file,
        )
        return
    print_line(
        "{file} vouches for the entries up to {last} (of {end}), written down until {moment}; that nothing "
        "was cut off the end, from entry {first} on.",
        file=file,
        last=found.last.seq,
        end=end,
        moment=found.last.at,
        first=found.first.seq,
    )
    if found.unsealed:
        warn("Lines of {file} that are not of this installation: {number}.", number=found.unsealed, file=file)


@app.command("list", help=t("The newest entries."))
def list_entries(
    limit: Annotated[int, option("At most so many.", min=1, max=10_000)] = 50,
    case: Annotated[str | None, option("Of one case: its number, such as 2026-000123.")] = None,
    action: Annotated[str | None, option("Of one kind, such as case.opened.")] = None,
    since: Since = None,
    until: Until = None,
) -> None:
    """A table; nothing in it names a patient."""
    with open_configured_records() as records:
        from tetkik.records.trail.audit_events import AuditFilter, load_newest

        wanted = AuditFilter(
            case=case, action=_action(action), since=parse_day(since), until=parse_day(until, end=True)
        )
        with records.read() as tx:
            events = load_newest(tx, wanted, limit=limit)
    table = listing("#", t("when"), t("what"), t("who"), t("case"), t("from where"))
    table.columns[0].justify = "right"
    for event in events:
        who = event.user or (event.user_id or "–")
        when = f"{event.at.astimezone():%Y-%m-%d %H:%M:%S}"
        table.add_row(str(event.seq), when, event.action, shown(who), event.case or "–", event.address or "–")
    out.print(table)


@app.command("export", help=t("Write the trail as FHIR AuditEvents, one JSON object a line."))
def export(
    target: Annotated[Path, option("The file to write (NDJSON).", "--out")],
    since: Since = None,
    until: Until = None,
) -> None:
    """Read and written in batches; the export itself is an entry of the trail."""
    with open_configured_records() as records:
        from tetkik.records.trail.audit_events import export_trail

        with writing(target):
            count = export_trail(records, target, parse_day(since), parse_day(until, end=True))
    note("{count} entries written to {file}.", count=count, file=target)


def _action(text: str | None) -> Action | None:
    if text is None:
        return None
    from tetkik.records.audit_chain import Action

    if text not in list(Action):
        raise UsageError(
            "{action} is no action of the trail; take one of: {actions}.",
            action=text,
            actions=", ".join(sorted(Action)),
        )
    return Action(text)
