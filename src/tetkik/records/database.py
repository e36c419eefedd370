"""The records: database, vault, files; and the transaction in which everything happens.

A block of `Records.write` is one transaction of the database: all of it happens, its audit entries included,
or nothing does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Delete, Engine, Update, create_engine, event, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from tetkik.choices import Cipher
from tetkik.errors import Conflict, NotFound, SettingError, Unavailable, install_line
from tetkik.records import audit_chain, row_authentication
from tetkik.records.announcements import Announcement, publish
from tetkik.records.audit_chain import Action, AnchorFile, TrailEntry, append
from tetkik.records.demonstration import mark_as_demonstration, refuse_demonstration
from tetkik.records.files import FileStore
from tetkik.records.ids import is_id
from tetkik.records.keyring import CREDENTIAL, MasterKey, open_keyring
from tetkik.records.migrate import upgrade
from tetkik.records.name_index import NameIndex, number_names
from tetkik.records.schema.base import Base
from tetkik.records.schema.cases import Case, Patient, RingKey
from tetkik.records.storage.folder import FileStorage, FolderStorage
from tetkik.records.storage.s3 import open_storage
from tetkik.records.vault import Key, Vault
from tetkik.settings import Settings
from tetkik.values.access import SYSTEM, Actor

_BUSY_SECONDS = 30
_WATCH = {
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}
"""A machine without power ends no connection: both ends look, and give it up after so many (milli)seconds."""
_CONNECT_SECONDS = "5"
_POOL = 40
"""Connections: FastAPI's threads, and the worker's."""
_Row = TypeVar("_Row", bound=Base)


class _OfCase(Protocol):
    """A row or a value that belongs to a case: an image, a report."""

    @property
    def id(self) -> Any: ...
    @property
    def case_id(self) -> Any: ...
    @property
    def patient_id(self) -> Any: ...


class Transaction:
    """What a function of `records` works in.

    Attributes:
        now: when it began, UTC: one moment for everything in it.
        vault: for what is found by a keyed digest, and for secrets of the installation.
        names: for what is found by a name.
        renamed: patients whose names were written.
        encounter_access: whether clinicians need an open encounter of the patient (`people.visibility`).
    """

    def __init__(
        self,
        session: Session,
        actor: Actor,
        vault: Vault,
        files: FileStore,
        names: NameIndex,
        *,
        encounter_access: bool = False,
    ) -> None:
        self.session = session
        self.actor = actor
        self.now = datetime.now(UTC)
        self.vault = vault
        self.files = files
        self.names = names
        self.encounter_access = encounter_access
        self.renamed: set[str] = set()
        self.entries: list[TrailEntry] = []
        self.announcements: list[Announcement] = []
        self._keys: dict[str, Key] = {}

    def find(self, kind: type[_Row], row_id: str, missing: NotFound, *, lock: bool = False) -> _Row:
        """The row of an id that came from outside; raises `missing` where there is none."""
        row = self.session.get(kind, row_id, with_for_update=lock or None) if is_id(row_id) else None
        if row is None:
            raise missing
        return row

    def count(self, table: type[Base], *conditions: Any) -> int:
        """How many rows of a table fit."""
        return self.session.scalar(select(func.count()).select_from(table).where(*conditions)) or 0

    def apply(self, *statements: Delete | Update) -> int:
        """Change rows one statement after another; gives how many, all together."""
        self.session.flush()
        connection = self.session.connection()
        return sum(connection.execute(statement).rowcount for statement in statements)

    def key(self, patient_id: str) -> Key:
        """The key of a patient."""
        if patient_id not in self._keys:
            patient = self.session.get(Patient, patient_id)
            if patient is None or patient.key is None:
                raise NotFound("The patient of this record was erased; nothing of it can be read any more.")
            if not self.vault.knows(patient.key):  # another process replaced the master key
                self.vault.renew(self.session.connection())
            self._keys[patient_id] = self.vault.key(patient_id, patient.key)
        return self._keys[patient_id]

    def wrap_key(self, patient_id: str, secret: bytes) -> bytes:
        """A new patient's key as the database keeps it; the ring stays until this transaction ends."""
        version = self.session.scalar(
            select(RingKey.version).where(RingKey.purpose == "wrap").with_for_update(read=True)
        )
        if version != self.vault.held.ring.version:
            self.vault.renew(self.session.connection())
        return self.vault.wrap(patient_id, secret, self.vault.held.ring)

    def seal(self, patient_id: str, place: str, row: str, content: bytes) -> bytes:
        """Seal under a patient's key, for a place such as `table.column`."""
        return self.key(patient_id).seal(content, f"{place}:{row}")

    def open(self, patient_id: str, place: str, row: str, sealed: bytes) -> bytes:
        """What `seal` sealed for that very place."""
        return self.key(patient_id).open(sealed, f"{place}:{row}")

    def seal_column(self, row: Any, column: str, content: bytes | None) -> None:
        """Put something of its patient into a row, sealed for that very column."""
        place = f"{row.__tablename__}.{column}"
        setattr(row, column, None if content is None else self.seal(row.patient_id, place, row.id, content))

    def open_column(self, row: Any, column: str) -> bytes | None:
        """What `seal_column` put there; None where that is nothing, or was erased."""
        sealed = getattr(row, column)
        if sealed is None:
            return None
        return self.open(row.patient_id, f"{row.__tablename__}.{column}", row.id, sealed)

    def open_text(self, row: Any, column: str) -> str:
        """The same as a text; empty for nothing."""
        return (self.open_column(row, column) or b"").decode()

    def audit(
        self,
        action: Action,
        *,
        case_id: str | None = None,
        patient_id: str | None = None,
        object_id: str | None = None,
        **detail: str | int | float | bool | None,
    ) -> None:
        """Note in the trail that the actor did something; it is written with the transaction or not at all.

        More `detail` comes in codes and numbers; never a patient's name or words.
        """
        self.entries.append(TrailEntry(self.now, self.actor, action, case_id, patient_id, object_id, detail))

    def audit_about(self, action: Action, row: Case | _OfCase, **detail: str | int | bool | None) -> None:
        """The same about a case, or about something of a case."""
        case_id, object_id = (row.id, None) if isinstance(row, Case) else (row.case_id, row.id)
        self.audit(action, case_id=case_id, patient_id=row.patient_id, object_id=object_id, **detail)

    @property
    def about(self) -> str | None:
        """The patient whom this transaction is about so far; None where it is about nobody."""
        patients = (entry.patient_id for entry in self.entries if entry.patient_id is not None)
        return next(patients, None) or next(iter(self._keys), None)

    def announce(self, kind: str, case_id: str | None = None) -> None:
        """Tell the open pages that something happened, once the transaction is through."""
        self.announcements.append(Announcement(kind, case_id))


class Records:
    """Everything that is kept, opened once for a process.

    Args:
        url: of the database, such as `sqlite:////data/tetkik.db` or `postgresql+psycopg://…`.
        folder: for files; and for the database and the master key by default.
        master: where the master key comes from; None is `keys/master.key` in `folder`.
        anchors: the file of the trail's anchors; None is `audit.anchors` in `folder`.
        encounter_access: whether clinicians need an open encounter of the patient.
        storage: where sealed files lie; None is `files` in `folder`.

    Raises:
        SettingError: a database that cannot be opened, or a master key that does not fit it.
    """

    def __init__(
        self,
        url: str,
        folder: Path,
        master: MasterKey | None = None,
        cipher: Cipher = Cipher.AES_256_GCM,
        anchors: Path | None = None,
        *,
        encounter_access: bool = False,
        storage: FileStorage | None = None,
    ) -> None:
        self.encounter_access = encounter_access
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self.engine = _engine(url)
        try:
            upgrade(self.engine)
            self.master = master or MasterKey(folder / "keys" / "master.key")
            self.vault = open_keyring(self.engine, self.master, cipher)
        except (OperationalError, ProgrammingError) as error:
            self.engine.dispose()
            raise SettingError(
                "The database cannot be opened ({fault}); correct the setting database_url.",
                fault=str(error.orig).strip().splitlines()[0],
            ) from None
        except BaseException:
            self.engine.dispose()
            raise
        temporary = folder / "tmp"
        self.files = FileStore(storage or FolderStorage(folder / "files", temporary), temporary, self.vault)
        self.names = NameIndex(self.engine, self.vault)
        self.anchors = AnchorFile(anchors or folder / audit_chain.FILE, self.vault)
        self._codes = row_authentication.LastCodes()
        self._writing = self.engine.execution_options(tetkik_writes=True)
        self.on_announcement: list[Callable[[], None]] = []
        """Called after a transaction of this process that announced something."""

    @contextmanager
    def read(self, actor: Actor = SYSTEM, *, still: bool = False) -> Iterator[Transaction]:
        """A transaction that changes nothing; for what need not be audited. `Unavailable` as in `write`.

        A `still` one sees everything as it is at one moment, whatever others write meanwhile; SQLite never
        shows it otherwise.
        """
        engine = self.engine
        if still and engine.dialect.name == "postgresql":
            engine = engine.execution_options(isolation_level="REPEATABLE READ")
        try:
            with Session(engine, info=self._info()) as session:
                yield self._transaction(session, actor)
        except OperationalError:
            raise Unavailable("The database does not answer; try again in a moment.") from None

    @contextmanager
    def write(self, actor: Actor) -> Iterator[Transaction]:
        """A transaction that happens as a whole, with its audit entries, or not at all.

        `Conflict` where somebody else wrote the same at the same time, `Unavailable` where the database is
        busy or gone; nothing was written.
        """
        try:
            with Session(self._writing, expire_on_commit=False, info=self._info()) as session:
                tx = self._transaction(session, actor)
                yield tx
                session.flush()
                entries = row_authentication.entries_with_codes(session, tx.entries, tx.now, actor)
                end = append(session, self.vault, entries) if entries else None
                number_names(session, tx.renamed)
                publish(session, tx.now, tx.announcements)
                session.commit()
            if end is not None:
                self.anchors.add(*end, tx.now)
            for notify in tuple(self.on_announcement if tx.announcements else ()):
                notify()
        except (IntegrityError, StaleDataError):
            raise Conflict(
                "Somebody else wrote the same at the same moment; look at it again and repeat."
            ) from None
        except OperationalError:
            raise Unavailable(
                "The database does not answer; nothing was written, try again in a moment."
            ) from None

    def close(self) -> None:
        self.names.close()
        self.engine.dispose()

    def _transaction(self, session: Session, actor: Actor) -> Transaction:
        encounters = self.encounter_access
        return Transaction(session, actor, self.vault, self.files, self.names, encounter_access=encounters)

    def _info(self) -> dict[str, Any]:
        """What `row_authentication` finds in a session."""
        return {"vault": self.vault, "codes": self._codes}


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if "@" in (parsed.host or ""):
            raise ValueError("the end of a password, which would stand in errors as the host")
        if parsed.get_backend_name() == "sqlite":
            engine = create_engine(
                url, pool_size=_POOL, hide_parameters=True, connect_args={"timeout": _BUSY_SECONDS}
            )
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        if parsed.get_driver_name() == "psycopg":
            watch = {"connect_timeout": _CONNECT_SECONDS} | _WATCH
            parsed = parsed.update_query_dict(watch | dict(parsed.query))
        engine = create_engine(parsed, pool_size=_POOL, hide_parameters=True, pool_pre_ping=True)
        if parsed.get_driver_name() == "psycopg":
            event.listen(engine, "connect", _watch_client)
        return engine
    except ModuleNotFoundError as error:
        raise SettingError(
            "The database needs the package {package}; `{extra}`.",
            package=error.name,
            extra=install_line("postgres"),
        ) from None
    except (ArgumentError, ValueError):
        raise SettingError(
            "The setting database_url is not the address of a database; give one such as "
            "postgresql+psycopg://user@host/name, with %40 for an @ in a password, or leave it empty."
        ) from None


def _watch_client(connection: Any, _record: object) -> None:
    # What a machine that is gone has locked is free again soon; over a Unix socket they mean nothing.
    values = (
        f"set_config('tcp_{name.removeprefix('tcp_')}', '{value}', false)" for name, value in _WATCH.items()
    )
    connection.execute(f"SELECT {', '.join(values)}")
    connection.commit()


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver shall begin nothing by itself: `_begin_sqlite` does, knowing whether it is to write.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",  # a commit survives a power failure, too
        "foreign_keys=ON",
        "secure_delete=ON",  # what was erased is overwritten
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # Whoever is to write takes the lock at once: two that read first and write then would block each other.
    writes = connection.get_execution_options().get("tetkik_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


# The records that the settings name.


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
