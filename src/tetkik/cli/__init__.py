"""The command line: the only place that prints."""

from tetkik.cli.app import main

__all__ = ["main"]
