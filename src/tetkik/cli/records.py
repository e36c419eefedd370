"""The records that the settings name, for a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tetkik.cli.serve import need_extra
from tetkik.errors import SettingError
from tetkik.settings import settings

if TYPE_CHECKING:
    from tetkik.records.database import Records


@contextmanager
def open_configured_records(*, new: bool = False) -> Iterator[Records]:
    """The records, closed in the end; with `new` they are made where there are none yet."""
    need_extra()
    from tetkik.records.database import open_records

    chosen = settings()
    # A server's database tells by itself; a folder with a typing error would be a new and empty installation.
    if not new and chosen.database_url is None and not (chosen.data_dir / "tetkik.db").exists():
        raise SettingError(
            "There is no database in {folder}; correct the setting data_dir, or begin with tetkik serve.",
            folder=chosen.data_dir.absolute(),
        )
    records = open_records(settings())
    try:
        yield records
    finally:
        records.close()
