"""The command line: the only place that prints."""

import sys

__all__ = ["main"]


def main() -> None:
    """Entry point of the console script; Ctrl-C is answered from the first moment on."""
    for stream in (sys.stdout, sys.stderr):
        # A Windows or C locale must not turn ğ into an error.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        from tetkik.cli.root import build_app

        app = build_app(sys.argv[1:])
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    app(prog_name="tetkik")
