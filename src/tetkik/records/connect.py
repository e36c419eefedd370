"""The records that the settings name."""

from __future__ import annotations

import os
from pathlib import Path

from tetkik.errors import SettingError
from tetkik.records.database import Records
from tetkik.records.master_key import CREDENTIAL, MasterKey
from tetkik.settings import Settings, settings


def open_records(chosen: Settings | None = None) -> Records:
    """Open the records that the settings name.

    Args:
        chosen: the settings; None takes those of the process.

    Raises:
        SettingError: a database that cannot be opened, or a master key that does not fit it.
    """
    chosen = chosen or settings()
    folder = chosen.data_dir.absolute()
    url = chosen.database_url
    return Records(
        url.get_secret_value() if url else f"sqlite:///{folder / 'tetkik.db'}",
        folder,
        master_key(chosen),
        chosen.cipher,
    )


def master_key(chosen: Settings | None = None) -> MasterKey:
    """Where the master key of the settings comes from.

    Raises:
        SettingError: two places are named.
    """
    chosen = chosen or settings()
    if chosen.master_key_command:
        if chosen.master_key_file is not None:
            raise SettingError(
                "Both master_key_file and master_key_command are set, and a house has one master key; remove "
                "one of them."
            )
        return MasterKey(None, chosen.master_key_command, ours=False)
    if chosen.master_key_file is not None:
        return MasterKey(chosen.master_key_file)
    given = os.environ.get("CREDENTIALS_DIRECTORY")
    if given and (Path(given) / CREDENTIAL).exists():
        return MasterKey(Path(given) / CREDENTIAL, ours=False)
    return MasterKey(chosen.data_dir.absolute() / "keys" / "master.key")
