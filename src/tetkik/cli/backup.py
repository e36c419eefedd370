"""`tetkik backup` and `tetkik restore`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from tetkik.cli.console import note, print_line, progress, warn, writing
from tetkik.cli.options import argument, option
from tetkik.cli.records import open_configured_records
from tetkik.cli.serve import need_extra
from tetkik.errors import OutputError
from tetkik.settings import settings


def backup(
    target: Annotated[Path, argument("The file to write.", "FILE")],
    key_out: Annotated[
        Path | None,
        option("Also copy the master key to this file. Keep it apart from the backups: it opens them."),
    ] = None,
    without_files: Annotated[
        bool, option("Leave the files out: the object storage has copies of its own.")
    ] = False,
) -> None:
    """Write everything that the hospital keeps into one encrypted file, while the service goes on."""
    with open_configured_records() as records:
        from tetkik.records.lifecycle.backup import make_backup

        with writing(target), progress("tetkik backup") as bar:
            made = make_backup(records, target, progress=bar, without_files=without_files)
        if key_out is not None:
            _copy_key(records.master.fitting(records.vault.held.fingerprint), key_out)
        place, key = records.master.name, records.vault.held.fingerprint
    size = target.stat().st_size / 1e6
    print_line(
        "{file}: {rows} rows and {files} files, {size} MB.",
        file=target,
        rows=sum(made.rows.values()),
        files=made.files,
        size=f"{size:.1f}",
    )
    if key_out is None:
        note(
            "The backup opens with the master key {fingerprint} alone, which is not in it; keep that of "
            "{place} apart.",
            fingerprint=key,
            place=place,
        )
    if made.missing:
        warn("{count} stored files are missing; run tetkik audit verify.", count=made.missing)
        raise typer.Exit(1)


def restore(
    source: Annotated[Path, argument("A file that tetkik backup wrote.", "FILE")],
    ledger: Annotated[
        Path | None,
        option("The file erased.jsonl of the lost installation, if it was kept: who is in it stays erased."),
    ] = None,
) -> None:
    """Give a backup back to an empty installation: the data_dir and database_url of the settings."""
    need_extra()
    from tetkik.records.database import master_key
    from tetkik.records.lifecycle.erasure_log import merge_log
    from tetkik.records.lifecycle.restore import require_key
    from tetkik.records.lifecycle.restore import restore_backup as give_back

    chosen = settings()
    require_key(source, master_key(chosen))
    with open_configured_records(new=True) as records:
        from tetkik.records.lifecycle.erasure import erase_again
        from tetkik.records.people import repair

        if ledger is not None:
            merge_log(records.folder, ledger.read_bytes())
        with progress("tetkik restore") as bar:
            restored = give_back(records, source, progress=bar)
        again = erase_again(records, restored.erased, years=chosen.retention_years)
        with records.read() as tx:
            held = repair.count_suspended(tx)
    print_line(
        "{rows} rows and {files} files are back, as of {moment}.",
        rows=restored.rows,
        files=restored.files,
        moment=f"{restored.made_at.astimezone():%Y-%m-%d %H:%M}",
    )
    if again:
        note("{count} patients had been erased since; they were erased again.", count=again)
    note(
        "Accounts, roles and passwords are those of that time: compare `tetkik users list` before others "
        "sign in. One-time links are void; {passkeys} passkeys and {tokens} tokens open nothing until an "
        "administrator, or `tetkik users confirm`, says that none was lost or revoked since.",
        passkeys=held.passkeys,
        tokens=held.tokens,
    )


def _copy_key(key: bytes, target: Path) -> None:
    """For the owner's eyes alone from the first moment on, and never over another file."""
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise OutputError(
            "{file} is there already; choose another name for the copy of the master key.", file=target
        ) from None
    with os.fdopen(handle, "wb") as file:
        file.write(key.hex().encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
