"""The command `tetkik` with all of its commands, for what documents and tests them."""

from __future__ import annotations

from tetkik.cli.root import build_app

app = build_app()
