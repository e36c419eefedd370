"""The keys in the database: the ring, and the fingerprint of the master key it hangs on.

Whether the master key belongs to the database is checked at the start, not at the first patient.
"""

from __future__ import annotations

import secrets
import shlex
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, insert, select, update

from tetkik.choices import Cipher
from tetkik.errors import RecordsError, SettingError
from tetkik.files import sync, written_whole
from tetkik.records.migrate import lock_schema
from tetkik.records.schema.cases import Patient, RingKey
from tetkik.records.vault import KEY_BYTES, KeyRing, Vault, VaultKeys, fingerprint

# Where the master key comes from: a file, a credential of systemd, a command.
#
# It never travels on a command line or in the environment, which other programs of the machine can see.


CREDENTIAL = "tetkik-master-key"
"""Its name in `$CREDENTIALS_DIRECTORY` (systemd.exec(5), "Credentials")."""
_SECONDS = 60


@dataclass(frozen=True, slots=True)
class MasterKey:
    file: Path | None
    """Where it lies; None where a command gives it."""
    command: str = ""
    """That prints it; empty where a file holds it."""
    ours: bool = True
    """Whether Tetkik makes the file at the first start, and replaces it with the key."""

    @property
    def name(self) -> str:
        """The file, or the program: for a sentence, without the command's arguments."""
        return str(self.file) if self.file is not None else _words(self.command)[0]

    def first(self) -> bytes:
        """The key of a new installation; where the file is ours and missing, a fresh one is written."""
        if self.ours and self.file is not None and not self.file.exists():
            self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            put(self._own, secrets.token_bytes(KEY_BYTES))
        return self._present()

    def fitting(self, wanted: str) -> bytes:
        """The key with a fingerprint: the present one, or the next one where a replacement was killed."""
        key = self._present()
        if fingerprint(key) != wanted and self.staged(wanted):
            key = read(self._next(wanted))
        if fingerprint(key) != wanted:
            raise SettingError(
                "The master key of {place} has the fingerprint {found}, and this installation needs {wanted}"
                "; put the right one there.",
                place=self.name,
                found=fingerprint(key),
                wanted=wanted,
            )
        return key

    def staged(self, wanted: str) -> bool:
        """Whether the key with a fingerprint lies beside the present one, still to take its place."""
        return self.ours and self._next(wanted).exists()

    def stage(self, key: bytes) -> None:
        """Put the next key beside the present one, in a place of ours; it is on the disk when this returns.

        Nobody else may be replacing the key: what an earlier replacement left goes.
        """
        staged, name = self._next(fingerprint(key)), self._own.name
        for left in (*staged.parent.glob(f"{name}.next.*"), *staged.parent.glob(f".{name}.*.part")):
            left.unlink()
        put(staged, key)

    def settle(self, key: bytes) -> None:
        """Make a staged key the present one; that of before stays beside it (`kept_as`).

        Nobody else may be replacing the key.
        """
        if not self.staged(fingerprint(key)):
            return
        staged = self._next(fingerprint(key))
        before = read(self._own)
        if before != key:
            put(self.kept(fingerprint(before)), before)
            put(self._own, key)
        staged.unlink()
        sync(staged.parent)

    def kept(self, fingerprint: str) -> Path:
        """Where the key with a fingerprint stays once it was replaced."""
        return kept_as(self._own, fingerprint)

    @property
    def _own(self) -> Path:
        """The file itself: a link leads to where the hospital wants its keys; none is left beside it."""
        if self.file is None:
            raise ValueError("the place is not ours")
        return self.file.resolve() if self.file.is_symlink() else self.file

    def _next(self, wanted: str) -> Path:
        return self._own.with_name(f"{self._own.name}.next.{wanted}")

    def _present(self) -> bytes:
        return read(self.file) if self.file is not None else _output_of(self.command)


def kept_as(file: Path, fingerprint: str) -> Path:
    """Where the key with a fingerprint stays once it was replaced, for the backups of its time."""
    return file.with_name(f"{file.name}.old.{fingerprint}")


def read(file: Path) -> bytes:
    """The key in a file."""
    try:
        return _key(file.read_bytes())
    except FileNotFoundError:
        raise SettingError(
            "There is no master key {file}; put the key back: nothing can be read without it.", file=file
        ) from None
    except ValueError:
        raise SettingError(
            "{file} is not a master key of 64 hexadecimal digits; put the right file back.", file=file
        ) from None


def put(file: Path, key: bytes) -> None:
    """Write a key for the owner's eyes alone; it is there whole, and on the disk, or not at all."""
    with written_whole(file, mode=0o600) as opened:
        opened.write(f"{key.hex()}\n".encode())


def _output_of(command: str) -> bytes:
    """What the command prints; what it says of a fault goes to this process's own standard error."""
    words = _words(command)
    try:
        done = subprocess.run(  # noqa: S603 - the administrator's own command, and no shell
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        raise SettingError(
            "The command {program} of master_key_command could not be run to its end; correct the setting.",
            program=words[0],
        ) from None
    try:
        if done.returncode:
            raise ValueError("failed")
        return _key(done.stdout)
    except ValueError:
        raise SettingError(
            "The command {program} of master_key_command gave no master key of 64 hexadecimal digits (exit "
            "status {status}); correct the setting, or what keeps the key.",
            program=words[0],
            status=done.returncode,
        ) from None


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command) or [""]
    except ValueError:
        raise SettingError(
            "The setting master_key_command has a quotation mark without its partner; correct it."
        ) from None


def _key(digits: bytes) -> bytes:
    key = bytes.fromhex(digits.decode("ascii").strip())
    if len(key) != KEY_BYTES:
        raise ValueError("not 32 bytes")
    return key


def open_keyring(engine: Engine, source: MasterKey, cipher: Cipher) -> Vault:
    """The keys of this database; a new database gets a ring, and a master key where none lies.

    A replacement of the master key that was killed after its commit is brought to its end. `SettingError`
    where the master key is missing, none, or that of another database; `RecordsError` where the database has
    patients and no ring.
    """

    def load(connection: Connection) -> VaultKeys:
        rows = connection.execute(select(RingKey.__table__)).all()  # one statement, and so one moment
        if not rows:
            raise _lost()
        master = source.fitting(rows[0].master)
        wrapped = {row.purpose: row.wrapped for row in rows}
        return VaultKeys.of(master, KeyRing.opened(rows[0].version, wrapped, master))

    with engine.connect() as connection:
        known = fingerprint_of(connection)
        if known is not None and not source.staged(known):
            return Vault(load(connection), load, cipher)
    with engine.execution_options(tetkik_writes=True).begin() as connection:
        lock_schema(connection)  # two that start together shall not make two keys
        known = fingerprint_of(connection)
        if known is None:
            if connection.scalar(select(Patient.id).limit(1)) is not None:
                raise _lost()
            connection.execute(insert(RingKey), _rows(KeyRing.fresh(), source.first(), cipher))
        else:
            # A folder of keys that cannot be written is no reason not to open: the right key was found.
            with suppress(OSError):
                source.settle(source.fitting(known))
        return Vault(load(connection), load, cipher)


def replace_keyring(connection: Connection, ring: KeyRing, master: bytes, cipher: Cipher) -> None:
    """Keep another ring under another master key, in place of those that are there."""
    for row in _rows(ring, master, cipher):
        connection.execute(update(RingKey).where(RingKey.purpose == row["purpose"]).values(row))


def delete_keyring(connection: Connection) -> None:
    """Remove the ring, to read another in its place within the same transaction."""
    connection.execute(delete(RingKey))


def fingerprint_of(connection: Connection) -> str | None:
    """The fingerprint of the master key that a database belongs to; None for a new one."""
    return connection.scalar(select(RingKey.master).limit(1))


def master_key_since(connection: Connection) -> datetime:
    """When the present master key came into use."""
    found: datetime = connection.execute(select(RingKey.made_at).limit(1)).scalar_one()
    return found


def _rows(ring: KeyRing, master: bytes, cipher: Cipher) -> list[dict[str, object]]:
    shared = {"version": ring.version, "master": fingerprint(master), "made_at": datetime.now(UTC)}
    return [
        {"purpose": purpose, "wrapped": wrapped, **shared}
        for purpose, wrapped in ring.wrapped(master, cipher).items()
    ]


def _lost() -> RecordsError:
    return RecordsError(
        "The table keyring of the database is empty, and without it nothing can be read; restore a backup."
    )
