"""`tetkik deidentify`: DICOM files in, the same without what identifies out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tetkik.cli.console import note, print_json_line, print_line, progress, show_failure, warn
from tetkik.cli.options import LinesAsJson, argument, option
from tetkik.errors import InputError, TetkikError, UsageError, file_fault
from tetkik.settings import settings

if TYPE_CHECKING:
    from tetkik.imaging.deidentify import Deidentified


class _BurnedIn(StrEnum):
    """What to do with text in the pixels."""

    REFUSE = "refuse"
    WARN = "warn"


def deidentify(
    sources: Annotated[list[str], argument("DICOM files, or folders of them.", "FILE_OR_FOLDER...")],
    out_folder: Annotated[Path, option("Folder for the new files, named after their new UIDs.", "--out")],
    key: Annotated[
        Path | None,
        option(
            "File with the secret key; made where there is none. The same key keeps patients and studies "
            "together over several runs. Without it a key is made and forgotten."
        ),
    ] = None,
    shift_dates: Annotated[bool, option("Move each patient's dates instead of removing them.")] = False,
    keep_characteristics: Annotated[
        bool, option("Keep sex, age (90 for all above 89), size and weight.")
    ] = False,
    burned_in: Annotated[
        _BurnedIn, option("What to do with an image that seems to have text in its pixels.")
    ] = _BurnedIn.REFUSE,
    as_json: LinesAsJson = False,
) -> None:
    """Take what identifies out of DICOM files (PS3.15, annex E)."""
    from tetkik.imaging.deidentify import BurnedIn, Options, deidentify_files, new_secret, secret_of

    files, left_out, faults = _files(sources)
    if key is not None and key.resolve().is_relative_to(out_folder.resolve()):
        raise UsageError(
            "The key {file} would lie among the files that are handed on; keep it elsewhere.", file=key
        )
    secret = new_secret() if key is None else secret_of(key)
    options = Options(shift_dates, keep_characteristics, BurnedIn(burned_in.value))
    done = warned = 0
    failed = len(faults)
    for folder, fault in faults:
        show_failure(fault, as_json=as_json, path=str(folder))
    with progress("deidentify") as tell:
        results = deidentify_files(files, out_folder, secret, options)
        for count, (file, result) in enumerate(zip(files, results, strict=True), 1):
            if isinstance(result, TetkikError):
                failed += 1
                show_failure(result, as_json=as_json, path=str(file))
            else:
                done += 1
                warned += bool(result.warnings)
                _show_done(result, as_json)
            tell("files", count, len(files))
    if left_out:
        note("Left out, as they are no DICOM images: {count}.", count=left_out)
    if not as_json:
        print_line("Written to {folder}: {count}.", folder=out_folder, count=done)
    if failed:
        warn("Refused or failed: {count}.", count=failed)
    if warned:
        warn("To be looked at for text in the pixels: {count}.", count=warned)
    if key is None and done:
        note("The key of this run is forgotten: another run gives other UIDs. Use --key to keep one.")
    if failed:
        raise typer.Exit(1)


def _show_done(result: Deidentified, as_json: bool) -> None:
    words = [sentence.in_language(settings().language) for sentence in result.warnings]
    if as_json:
        print_json_line({"path": str(result.source), "out": str(result.target), "warnings": words})
        return
    for sentence in words:
        warn("Look at {file}: {sentence}", file=result.target, sentence=sentence)


_Faults = list[tuple[Path, TetkikError]]


def _files(sources: Sequence[str]) -> tuple[list[Path], int, _Faults]:
    """Every file named, and every DICOM file in the folders named; how many others lay there.

    Folders within that cannot be listed come with their faults, so that none is missed unsaid.
    """
    files: list[Path] = []
    left_out = 0
    unlisted: list[OSError] = []
    if "" in sources:  # as a path it would be the folder at hand
        raise UsageError("The name of a file or folder is empty; check the variable that it comes from.")
    for source in map(Path, sources):
        if not source.is_dir():
            files.append(source)
            continue
        walked = os.walk(source, onerror=unlisted.append)
        paths = sorted(Path(place, name) for place, _, names in walked for name in names)
        for file in (path for path in paths if path.is_file()):
            if file.name.upper() != "DICOMDIR" and _looks_like_dicom(file):
                files.append(file)
            else:
                left_out += 1
    faults = [(Path(str(error.filename)), file_fault(error)) for error in unlisted]
    if not files and not faults:
        raise InputError("There is no DICOM file in what was named; check the path.")
    return files, left_out, faults


def _looks_like_dicom(file: Path) -> bool:
    from tetkik.imaging.dicom import is_dicom

    try:
        with file.open("rb") as opened:
            return is_dicom(opened.read(4096))
    except OSError:
        return True  # Reading it will say what is wrong.
