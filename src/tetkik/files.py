"""Files that are written whole or not at all, and are on the disk when they have their name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_PLAIN = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9_.-]*/)*[A-Za-z0-9_-][A-Za-z0-9_.-]*")
"""Names that need no second look: nearly all."""


@contextmanager
def written_whole(target: Path, part: Path | None = None, mode: int = 0o666) -> Iterator[IO[bytes]]:
    """A file that takes the place of `target` at the end, on the disk by then; it is there whole, or not.

    Till then it is `part`, by default a hidden file of this process beside `target`.
    """
    part = part or target.with_name(f".{target.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    try:
        # What lies there already, in a folder of everybody's, would be read by whoever put it there.
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:  # noqa: PTH123
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
        sync(target.parent)
    finally:
        part.unlink(missing_ok=True)


def sync(folder: Path) -> None:
    """Bring a folder's new name to the disk; Windows opens no folders, and needs it not."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def inside(name: str) -> str | None:
    """A relative path as a table writes it, with `/`; None for one that leads out of its folder.

    Absolute paths, drives, `..` and control characters are refused; backslashes are those of Windows.
    """
    if _PLAIN.fullmatch(name):
        return name
    plain = name.replace("\\", "/")
    if not plain or plain.startswith("/") or plain[1:2] == ":" or not plain.isprintable():
        return None
    parts = plain.split("/")
    if ".." in parts:
        return None
    return "/".join(part for part in parts if part not in {"", "."}) or None
