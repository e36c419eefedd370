"""The records that the settings name."""

from __future__ import annotations

import os
from pathlib import Path

from tetkik.errors import SettingError
from tetkik.records.database import Records
from tetkik.records.demonstration import mark_as_demonstration, refuse_demonstration
from tetkik.records.master_key import CREDENTIAL, MasterKey
from tetkik.records.storage.opening import open_storage
from tetkik.settings import Settings

DATABASE = "tetkik.db"
"""The file of SQLite in `data_dir`."""


def open_records(settings: Settings) -> Records:
    """Open the records that the settings name."""
    folder = settings.data_dir.absolute()
    given = settings.database_url
    url = given.get_secret_value() if given else f"sqlite:///{folder / DATABASE}"
    refuse_demonstration(url)
    _close_to_others(folder)
    return Records(
        url,
        folder,
        master_key(settings),
        settings.cipher,
        settings.audit_anchors,
        encounter_access=settings.encounter_access,
        storage=open_storage(settings),
    )


def open_demonstration(settings: Settings) -> Records:
    """Open the records of a demonstration in `data_dir`, under a master key of their own."""
    folder = settings.data_dir.absolute()
    if not (folder / DATABASE).exists():
        mark_as_demonstration(folder / DATABASE)
    _close_to_others(folder)
    return Records(f"sqlite:///{folder / DATABASE}", folder, MasterKey(folder / "keys" / "master.key"))


def _close_to_others(folder: Path) -> None:
    """Let nothing that this process writes be anybody else's, and refuse a folder that others may enter."""
    if os.name != "posix":
        return
    os.umask(0o077)
    if folder.exists() and folder.stat().st_mode & 0o077:
        raise SettingError(
            "The folder {folder} (data_dir) is open to other accounts of this machine; close it: chmod 700 "
            "{folder}, and StateDirectoryMode=0700 where systemd makes it.",
            folder=folder,
        )


def master_key(settings: Settings) -> MasterKey:
    """Where the master key of the settings comes from."""
    if settings.master_key_command:
        if settings.master_key_file is not None:
            raise SettingError(
                "Both master_key_file and master_key_command are set, and an installation has one master "
                "key; remove one of them."
            )
        return MasterKey(None, settings.master_key_command, ours=False)
    if settings.master_key_file is not None:
        return MasterKey(settings.master_key_file)
    given = os.environ.get("CREDENTIALS_DIRECTORY")
    if given and (Path(given) / CREDENTIAL).exists():
        return MasterKey(Path(given) / CREDENTIAL, ours=False)
    return MasterKey(settings.data_dir.absolute() / "keys" / "master.key")
