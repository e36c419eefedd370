"""The records that the settings name."""

from __future__ import annotations

from pathlib import Path

from tetkik.records.database import Records
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
        url.get_secret_value() if url else f"sqlite:///{folder / 'tetkik.db'}", folder, chosen.master_key_file
    )


def key_file(chosen: Settings | None = None) -> Path:
    """Where the master key of the settings lies."""
    chosen = chosen or settings()
    return chosen.master_key_file or chosen.data_dir.absolute() / "keys" / "master.key"
