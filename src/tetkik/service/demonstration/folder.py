"""The folder of a demonstration: made, emptied or refused; how far it is filled; the settings of it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tetkik.errors import UsageError
from tetkik.files import written_whole
from tetkik.findings.demonstration import demonstration_model
from tetkik.records import audit_anchors
from tetkik.records.connect import DATABASE
from tetkik.records.demonstration import is_demonstration
from tetkik.settings import Settings
from tetkik.values.document import DEMONSTRATION

MARKER, MODEL = "demonstration.json", "model"
_KEPT = ("language", "report_language", "models_dir", "threads", "allow_root", "listen_port", "offline")
"""Settings of this machine; every other one of a demonstration is the default, so that nothing of a hospital
(its database, its keys, its language model, its identity provider) is touched.
"""


@dataclass
class Progress:
    """What is filled already: steps by name, and the cases that they opened, by the key of the case."""

    file: Path
    began: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    """When the filling began, ISO 8601: what happened before is counted from here."""
    done: list[str] = field(default_factory=list)
    cases: dict[str, str] = field(default_factory=dict)
    full: bool = False

    @classmethod
    def load(cls, folder: Path) -> Progress:
        known = json.loads((folder / MARKER).read_text("utf-8"))
        return cls(folder / MARKER, known["began"], known["done"], known["cases"], known["full"])

    def keep(self) -> None:
        kept = {"began": self.began, "done": self.done, "cases": self.cases, "full": self.full}
        with written_whole(self.file) as file:
            file.write(json.dumps(kept).encode())


def prepare_folder(folder: Path, configured: Path, *, reset: bool) -> None:
    """Make the folder, or take the one that is there; with `reset` it is emptied first.

    `UsageError` where it is the hospital's own (`configured`), or holds anything but a demonstration.
    """
    folder = folder.absolute()
    if folder.resolve() == configured.absolute().resolve():
        raise UsageError(
            "{folder} is the data_dir of the settings, and a demonstration never goes there; name another "
            "folder with --folder.",
            folder=folder,
        )
    if folder.exists() and not _is_demonstration(folder):
        if not folder.is_dir() or any(folder.iterdir()):
            raise UsageError(
                "{folder} holds something else than a demonstration, and is left as it is; name an empty "
                "folder with --folder.",
                folder=folder,
            )
    elif reset and folder.exists():
        _empty(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (folder / MARKER).exists():
        Progress(folder / MARKER).keep()
    demonstration_model(folder / MODEL)


def _is_demonstration(folder: Path) -> bool:
    """Whether a folder has the marker, and no other database beside it."""
    try:
        Progress.load(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    database = folder / DATABASE
    return not database.exists() or is_demonstration(f"sqlite:///{database}")


def _empty(folder: Path) -> None:
    """Take away what a demonstration keeps; whatever else somebody put there stays. The marker goes last."""
    for name in (
        f"{DATABASE}-wal",
        f"{DATABASE}-shm",
        DATABASE,
        "erased.jsonl",
        audit_anchors.FILE,
    ):
        (folder / name).unlink(missing_ok=True)
    for name in ("files", "tmp", "keys", MODEL):
        if (folder / name).exists():
            shutil.rmtree(folder / name)
    Progress(folder / MARKER).keep()


def demonstration_settings(chosen: Settings, folder: Path, host: str | None) -> Settings:
    """The settings of a demonstration: it listens to this machine alone, unless `host` says otherwise."""
    defaults: dict[str, Any] = {
        name: one.get_default(call_default_factory=True)
        for name, one in Settings.model_fields.items()
        if name not in _KEPT
    }
    own = {
        "data_dir": folder.absolute(),
        "findings_model": str(folder.absolute() / MODEL),
        "listen_host": host or "127.0.0.1",
        "hospital_name": DEMONSTRATION,
        "hospital_department": "Gösteri: hastalar kurgusaldır. Demonstration: the patients are invented.",
        "lock_minutes": 240,
        "session_idle_minutes": 720,
        "sign_ins_per_minute": 120,
    }
    return chosen.model_copy(update=defaults | own)
