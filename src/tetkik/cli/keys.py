"""`tetkik keys`: which master key a hospital or a backup needs, and replacing it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tetkik.cli.console import note, out, print_line, progress, t, warn, writing
from tetkik.cli.options import argument, option
from tetkik.cli.records import open_configured_records
from tetkik.cli.serve import need_extra
from tetkik.errors import InputError

if TYPE_CHECKING:
    from tetkik.records.keyring import MasterKey

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command("show", help=t("The fingerprint of the hospital's master key, of a key file, or of a backup's."))
def show(
    file: Annotated[
        Path | None,
        argument("A file of a master key, or a backup; without it, the key of this hospital.", "FILE"),
    ] = None,
) -> None:
    """A fingerprint tells keys apart, and nothing of the key."""
    if file is not None:
        out.print(_fingerprint_of(file), soft_wrap=True)
        return
    with open_configured_records() as records:
        from tetkik.records.keyring import master_key_since

        with records.engine.connect() as connection:
            since = master_key_since(connection)
        print_line(
            "{fingerprint}: the master key of this hospital, from {place}, since {moment}.",
            fingerprint=records.vault.held.fingerprint,
            place=records.master.name,
            moment=f"{since.astimezone():%Y-%m-%d %H:%M}",
        )


@app.command("rotate", help=t("Replace the master key; nothing is sealed anew, and the service goes on."))
def rotate(
    to: Annotated[
        Path | None,
        option(
            "The file of the next key, made where there is none: for a key that comes from a command or "
            "a credential, where you put it afterwards."
        ),
    ] = None,
) -> None:
    """The present key stays beside the next, for the backups of its time."""
    with open_configured_records() as records:
        from tetkik.records.lifecycle.key_rotation import rotate_master_key as replace

        given = _next_key(to) if to is not None else None
        with progress("tetkik keys") as bar:
            done = replace(records, given, progress=bar)
        place: MasterKey = records.master
    print_line(
        "The master key {now} took the place of {before}; {count} patients' keys hang on it now.",
        now=done.now,
        before=done.before,
        count=done.patients,
    )
    if to is not None:
        warn(
            "Put the key of {file} where {place} takes it from: the hospital opens with it alone.",
            file=to,
            place=place.name,
        )
    elif place.file is not None:
        note(
            "{file} opens the backups of before: keep it apart as long as you keep them, then destroy it.",
            file=place.kept(done.before),
        )


def _fingerprint_of(file: Path) -> str:
    need_extra()
    from tetkik.records.keyring import read
    from tetkik.records.lifecycle.backup import read_header
    from tetkik.records.vault import fingerprint

    try:
        with file.open("rb") as opened:
            header = read_header(opened)
    except InputError:
        return t("{fingerprint}: the master key in {file}.", fingerprint=fingerprint(read(file)), file=file)
    return t("{fingerprint}: the master key that opens the backup {file}.", fingerprint=header.key, file=file)


def _next_key(file: Path) -> bytes:
    """The key in a file; a fresh one is put there where it is missing."""
    import secrets

    from tetkik.records.keyring import put, read
    from tetkik.records.vault import KEY_BYTES

    if not file.exists():
        with writing(file):
            put(file, secrets.token_bytes(KEY_BYTES))
    return read(file)
