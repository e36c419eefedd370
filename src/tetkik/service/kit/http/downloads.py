"""Answers that are files."""

from __future__ import annotations


def download_headers(name: str, *, inline: bool = False) -> dict[str, str]:
    """Headers of a file that a browser saves, or shows with `inline`; no cache keeps it."""
    place = "inline" if inline else "attachment"
    return {"Content-Disposition": f'{place}; filename="{name}"', "Cache-Control": "no-store"}
