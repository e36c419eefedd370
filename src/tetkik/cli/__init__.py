"""The command line: the only place that prints."""

__all__ = ["main"]


def main() -> None:
    """Entry point of the console script; Ctrl-C is answered from the first moment on."""
    try:
        from tetkik.cli.root import main as run
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    run()
