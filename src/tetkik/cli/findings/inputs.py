"""What `predict` is given, as single files: files, folders, patterns, lists of files."""

from __future__ import annotations

import glob
import os
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from io import BytesIO, UnsupportedOperation
from pathlib import Path
from typing import Annotated, BinaryIO, TypeVar

import typer

from tetkik.cli.console import err, note, out, progress, show_failure, t
from tetkik.cli.options import argument, option
from tetkik.errors import InputError, TetkikError, UsageError, file_fault

_ENDINGS = frozenset({".dcm", ".dicom", ".ima", ".png", ".jpg", ".jpeg", ".tif", ".tiff"})
_PREAMBLE = 128
"""A DICOM file has the letters DICM after this many bytes (PS3.10, 7.1)."""
Answer = TypeVar("Answer")
Images = Annotated[list[str] | None, argument("Images, folders of them, or quoted patterns.", "IMAGE")]
Workers = Annotated[
    int | None,
    option("Processes that read files; 0 for none. Default: one for each core.", "--workers", min=0, max=256),
]
Thresholds = Annotated[
    list[str] | None,
    option(
        "A threshold in the place of the model's, as LABEL=0.3; may be repeated.",
        "--threshold",
        metavar="LABEL=X",
    ),
]


def parse_thresholds(given: Sequence[str] | None) -> dict[str, float]:
    from tetkik.findings.label_names import to_shared

    found = {}
    for text in given or ():
        label, _, number = text.rpartition("=")
        try:
            threshold = float(number)
        except ValueError:
            threshold = -1.0
        if not label or not 0 <= threshold <= 1:
            raise UsageError(
                "--threshold {text} is no label with a number from 0 to 1; write it as Mass=0.3.", text=text
            )
        found[to_shared([label.strip()])[0]] = threshold
    return found


def require_images(images: list[str] | None, source: str | None) -> None:
    if not images and source is None:
        raise UsageError("No image was given; name a file or a folder, or a list of files with --input.")


def show_answers(
    named: Sequence[str] | None,
    source: str | None,
    answer: Callable[[Iterator[str]], Iterator[Answer | TetkikError]],
    show: Callable[[Answer, bool], None],
    close: Callable[[], None],
    *,
    label: str,
    as_json: bool,
) -> None:
    """Show each answer as it comes, and each error in the place of one.

    Args:
        named: as for `image_files`.
        answer: gives an answer for each of the files, in order; it may read ahead.
        show: called with an answer, and whether it is the first.
        close: called after the last one, where they are shown and not printed as JSON.
    """
    number, failed = 0, False
    with ExitStack() as stack:
        # Where the answers themselves scroll past on a terminal, a bar would only stand in their way.
        tell = stack.enter_context(progress(label)) if err.is_terminal and not out.is_terminal else None
        for number, (path, item) in enumerate(answered(named or [], source, answer), 1):
            if isinstance(item, TetkikError):
                failed = True
                show_failure(item, as_json=as_json, path=path or None)
            else:
                show(item, number == 1)
            if tell is not None:
                tell("images", number, None)
    if number == 0:
        note("There is no image in {name}.", name=t("standard input") if source == "-" else source)
    elif not as_json:
        close()
    if failed:
        raise typer.Exit(1)


def answered(
    named: Sequence[str],
    source: str | None,
    answer: Callable[[Iterator[str]], Iterator[Answer | TetkikError]],
) -> Iterator[tuple[str, Answer | TetkikError]]:
    """Each input with its answer or its error, in the order of the inputs."""
    order: deque[str | TetkikError] = deque()

    def files() -> Iterator[str]:
        for item in image_files(named, source):
            order.append(item)
            if isinstance(item, str):
                yield item

    for result in answer(files()):
        while isinstance(item := order.popleft(), TetkikError):
            yield "", item
        yield item, result
    for item in order:
        if isinstance(item, TetkikError):
            yield "", item


def image_files(named: Sequence[str], source: str | None) -> Iterator[str | TetkikError]:
    """Every file, in the order it was named; an error in the place of what is not there.

    Args:
        named: files, folders and quoted patterns such as `studies/**/*.dcm`.
        source: a text file with one of these a line, `-` for the standard input, or None.
    """
    for name in named:
        yield from _expanded(name)
    if source is not None:
        with _standard_input() if source == "-" else Path(source).open("rb") as file:
            for line in _names(file):
                yield from _expanded(line)


def _standard_input() -> BinaryIO:
    """A reader of its own: Python must not end over a thread that still reads the shared one."""
    if sys.stdin is None:  # it is closed
        return BytesIO()
    try:
        return open(sys.stdin.fileno(), "rb", closefd=False)
    except UnsupportedOperation:
        return BytesIO(sys.stdin.buffer.read())


def _names(lines: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(lines):
        # A name of a file is bytes: what is not UTF-8 in it comes through as it is.
        name = os.fsdecode(line.removeprefix(b"\xef\xbb\xbf") if number == 0 else line).rstrip("\r\n")
        if name:
            yield name


def _expanded(name: str) -> Iterator[str | TetkikError]:
    """A name that is there is meant as it stands, even with a `*` or a `[` in it."""
    if not name:
        yield InputError("The name of an image is empty; check the variable that it comes from.")
        return
    if os.path.isdir(name):  # noqa: PTH112 - Path would turn ./-x into -x
        yield from _within(name)
    elif not os.path.lexists(name) and glob.has_magic(name):
        found = sorted(path for path in glob.iglob(name, recursive=True) if os.path.isfile(path))  # noqa: PTH113, PTH207
        if not found:
            yield InputError("No file matches {pattern}; check the pattern.", pattern=name)
        yield from found
    else:
        yield name


def _within(folder: str) -> Iterator[str | TetkikError]:
    """The images in a folder and the folders below it, by name; links to folders are not followed.

    A folder that cannot be listed is an error in the place of its images, so that none is missed unsaid.
    """
    empty = True
    faults: deque[OSError] = deque()
    for place, folders, files in os.walk(folder, onerror=faults.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = [os.path.join(place, name) for name in sorted(files) if _is_image(place, name)]  # noqa: PTH118
        empty = empty and not paths and not faults
        yield from _as_errors(faults)
        yield from paths
    if faults:
        yield from _as_errors(faults)
    elif empty:
        yield InputError("There is no image in the folder {folder}; check the path.", folder=folder)


def _as_errors(faults: deque[OSError]) -> Iterator[TetkikError]:
    while faults:
        yield file_fault(faults.popleft())


def _is_image(place: str, name: str) -> bool:
    """By its ending, or by DICOM's magic word where it has none that says otherwise."""
    if name.startswith(".") or name.upper() == "DICOMDIR":
        return False
    if os.path.splitext(name)[1].lower() in _ENDINGS:  # noqa: PTH122
        return True
    path = Path(place, name)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False  # to open a pipe would be to wait until something writes to it
        with path.open("rb") as file:
            return file.read(_PREAMBLE + 4)[_PREAMBLE:] == b"DICM"
    except FileNotFoundError:
        return False  # a link that leads nowhere
    except OSError:
        return True  # reading it will say what is wrong
