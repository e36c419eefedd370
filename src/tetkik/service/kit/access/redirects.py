"""Where a page returns to: a path of this service and nothing else."""

from __future__ import annotations

from urllib.parse import quote


def safe_path(target: str) -> str:
    r"""`target` if it is a path of this service, else the start page.

    `//elsewhere` and `/\elsewhere` are other hosts to a browser, and it drops tabs and line ends.
    """
    plain = target.startswith("/") and not target.startswith("//")
    return target if plain and "\\" not in target and all(char > " " for char in target) else "/"


def with_next(page: str, target: str) -> str:
    """The address of `page` that knows where to return to."""
    return f"{page}?next={quote(safe_path(target))}"
