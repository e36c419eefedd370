"""`tetkik worker`: reads the images that wait for a model, on as many machines as there are."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path
from typing import Annotated

import typer

from tetkik.cli.console import print_line
from tetkik.cli.options import option
from tetkik.cli.serve import need_extra, refuse_root, use_time_zone
from tetkik.errors import SettingError, UsageError
from tetkik.imaging.subprocess_worker import hide_process
from tetkik.settings import cores, settings

_LOOK_SECONDS = 0.5
_ALIVE_SECONDS = 30.0
_M_ARENA_MAX = -8
"""Of `mallopt` in glibc: how many heaps the threads of a process have."""


def worker(
    images: Annotated[
        int | None, option("Images in hand at once; else the setting worker_images.", min=1, max=64)
    ] = None,
    health_file: Annotated[
        Path | None, option("A file that is touched while the worker is sound.", metavar="FILE")
    ] = None,
    check: Annotated[bool, option("Say by the exit status whether that worker is sound.")] = False,
    allow_root: Annotated[bool, option("Run as root, in a container that has no other account.")] = False,
) -> None:
    """Read images until it is stopped; what is under way then is finished, or given back after 20 seconds."""
    if check:
        if health_file is None:
            raise UsageError("--check looks at a file; name it: --health-file FILE --check.")
        if not health_file.exists() or time.time() - health_file.stat().st_mtime > _ALIVE_SECONDS:
            raise typer.Exit(1)
        return
    need_extra()
    hide_process()
    refuse_root(allowed=allow_root or settings().allow_root)
    _share_heap()
    from tetkik.fleet.worker import STUCK_SECONDS, Worker
    from tetkik.records.connect import open_records
    from tetkik.service.kit.logging import configure
    from tetkik.workflow.pixel_reader import PixelReader

    chosen = settings()
    if not is_shared(chosen.database_url.get_secret_value() if chosen.database_url else ""):
        raise SettingError(
            "Images in SQLite are read by tetkik serve itself; for workers, move to PostgreSQL and set "
            "database_url (docs/how-to/workers.md)."
        )
    configure()
    use_time_zone(chosen.hospital_time_zone)
    most = images or chosen.worker_images or cores()
    records = open_records(chosen)
    pixels = PixelReader(records, most)
    running = Worker(records, chosen, pixels, most=most, ready=True)
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: signals.append(number))
    running.start()
    print_line("Reading images, {count} at once.", count=most)
    while not signals and running.is_alive and running.longest_seconds < STUCK_SECONDS:
        if health_file is not None:
            health_file.touch()
        time.sleep(_LOOK_SECONDS)
    stuck = running.longest_seconds >= STUCK_SECONDS
    running.stop()
    if stuck:
        os._exit(1)  # its threads would keep it
    pixels.close()
    records.close()
    if not signals:
        raise typer.Exit(1)


def _share_heap() -> None:
    """Let all threads use one heap: of a heap for each, the pages go back and come again with every image."""
    # Only glibc has it.
    if os.name == "posix" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_M_ARENA_MAX, 1)


def is_shared(url: str) -> bool:
    """Whether the database of an address serves several processes."""
    return url.startswith("postgresql")
