"""Encryption at rest: a ring of random keys under the master key, a key for each patient under the ring.

What says something about a patient is sealed under that patient's key, with the place where it stands as
associated data, so that a sealed value cannot be moved to another row. The patient's key lies in the database
wrapped by the ring; destroying it erases the patient, wherever copies of the rows lie. The ring lies in the
database as well, each of its keys wrapped by the master key. The master key itself lies outside and in no
backup, and can be replaced without touching what was sealed (`lifecycle.key_rotation`).

A sealed value begins with a byte that tells its cipher: 1 is AES-256-GCM (NIST SP 800-38D), 2 is
ChaCha20-Poly1305 (RFC 8439). The settings choose what seals; either is opened.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import IO, TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tetkik.choices import Cipher
from tetkik.errors import RecordsError, SettingError
from tetkik.turkish import fold

if TYPE_CHECKING:
    from sqlalchemy import Connection

KEY_BYTES = 32
PURPOSES = ("wrap", "house", "index", "audit", "names")
"""What the keys of a ring are for: patients' keys, the installation's secrets, blind index, trail, files."""
PIECE = 1 << 20
"""Bytes of a stream that are sealed at once."""
_OVERHEAD = 64
"""More bytes than sealing adds to a piece."""
_LENGTH = struct.Struct(">I")
_NONCE = 12
_TRIES, _PAUSE = 4, 0.1
"""How often, and after how many seconds, a key is read again that another process is replacing."""
_VERSION = struct.Struct(">I")
_FORMS: Mapping[int, type[AESGCM | ChaCha20Poly1305]] = MappingProxyType({1: AESGCM, 2: ChaCha20Poly1305})
"""By the first byte of what was sealed; a number is never given to another cipher."""
_SEALS: Mapping[Cipher, int] = MappingProxyType({Cipher.AES_256_GCM: 1, Cipher.CHACHA20_POLY1305: 2})


class Key:
    """Seals with one cipher, and opens what any of them sealed.

    Each cipher gets a key of its own from the 32 bytes of the secret (HKDF-Expand, RFC 5869).
    """

    __slots__ = ("_form", "_ready", "_secret")

    def __init__(self, secret: bytes, cipher: Cipher) -> None:
        if len(secret) != KEY_BYTES:
            raise ValueError("a key has 32 bytes")
        self._secret = secret
        self._form = _SEALS[cipher]
        self._ready: dict[int, AESGCM | ChaCha20Poly1305] = {}

    def seal(self, content: bytes, place: str) -> bytes:
        """Seal `content` for one `place` (`table.column:row`): version, nonce, ciphertext with its tag."""
        nonce, head = os.urandom(_NONCE), bytes((self._form,))
        return head + nonce + self._of(self._form).encrypt(nonce, content, head + place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """What `seal` sealed for that very place."""
        head, nonce = sealed[:1], sealed[1 : 1 + _NONCE]
        try:
            return self._of(head[0]).decrypt(nonce, sealed[1 + _NONCE :], head + place.encode())
        except (InvalidTag, ValueError, LookupError):
            raise RecordsError(
                "What is stored at {place} cannot be opened: it was altered, or sealed under another master "
                "key; restore it from a backup, or give the right key.",
                place=place.partition(":")[0],
            ) from None

    def write_piece(self, file: IO[bytes], place: str, number: int, piece: bytes, *, last: bool) -> None:
        """Seal a piece of a stream into a file, with its number and whether it is the last.

        So no piece can go, change places or be cut off unseen.
        """
        sealed = self.seal(piece, f"{place}:{number}:{last}")
        file.write(_LENGTH.pack(len(sealed)) + (b"\1" if last else b"\0") + sealed)

    def read_piece(self, file: IO[bytes], place: str, number: int) -> tuple[bytes, bool]:
        """What `write_piece` wrote, and whether it was the last; `ValueError` where the file is cut short."""
        head = file.read(_LENGTH.size + 1)
        if len(head) != _LENGTH.size + 1:
            raise ValueError("cut short")
        last, (length,) = head[-1:] == b"\1", _LENGTH.unpack(head[:-1])
        if length > PIECE + _OVERHEAD:
            raise ValueError("too long a piece")
        return self.open(file.read(length), f"{place}:{number}:{last}"), last

    def _of(self, form: int) -> AESGCM | ChaCha20Poly1305:
        if form not in self._ready:
            info = f"tetkik cipher {form}".encode() + b"\1"
            self._ready[form] = _FORMS[form](hmac.digest(self._secret, info, "sha256"))
        return self._ready[form]


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys of an installation: random, one a purpose, kept in the database under the master key."""

    version: int
    """Of the key that wraps patients' keys; it is replaced with the master key."""
    keys: Mapping[str, bytes] = field(repr=False)
    """32 bytes for each of `PURPOSES`."""

    @classmethod
    def fresh(cls) -> KeyRing:
        """The ring of a new installation."""
        return cls(1, {purpose: secrets.token_bytes(KEY_BYTES) for purpose in PURPOSES})

    @classmethod
    def opened(cls, version: int, wrapped: Mapping[str, bytes], master: bytes) -> KeyRing:
        """The ring that `wrapped` gave."""
        key = _over_ring(master, Cipher.AES_256_GCM)
        return cls(
            version, {name: key.open(wrapped.get(name, b""), _place(name, version)) for name in PURPOSES}
        )

    def wrapped(self, master: bytes, cipher: Cipher) -> dict[str, bytes]:
        """Each key as the database keeps it."""
        key = _over_ring(master, cipher)
        return {name: key.seal(self.keys[name], _place(name, self.version)) for name in PURPOSES}

    def next(self) -> KeyRing:
        """The same with a fresh key for patients' keys; the others cannot change under what hangs on them."""
        return replace(
            self, version=self.version + 1, keys={**self.keys, "wrap": secrets.token_bytes(KEY_BYTES)}
        )


@dataclass(frozen=True, slots=True)
class VaultKeys:
    fingerprint: str
    backup: bytes = field(repr=False)
    ring: KeyRing = field(repr=False)

    @classmethod
    def of(cls, master: bytes, ring: KeyRing) -> VaultKeys:
        """From the master key, which need not be held any longer."""
        return cls(fingerprint(master), _child(master, "backup"), ring)


class Vault:
    """Seals and opens; another process may replace the master key meanwhile."""

    def __init__(self, held: VaultKeys, load: Callable[[Connection], VaultKeys], cipher: Cipher) -> None:
        self._load = load
        self.cipher = cipher
        self._held = held
        self._wrapping = {held.ring.version: Key(held.ring.keys["wrap"], cipher)}

    @property
    def held(self) -> VaultKeys:
        """The keys as this process has them."""
        return self._held

    def renew(self, connection: Connection) -> None:
        """Take the keys that the database stands under now, or `RecordsError` where they are not to be had.

        Those of before stay at hand, for transactions that began with them.
        """
        held = self._loaded(connection)
        self._wrapping[held.ring.version] = Key(held.ring.keys["wrap"], self.cipher)
        self._held = held

    def _loaded(self, connection: Connection) -> VaultKeys:
        for tries_left in reversed(range(_TRIES)):
            try:
                return self._load(connection)
            except SettingError:
                if tries_left:  # whoever replaces the key may be about to put its file into its place
                    time.sleep(_PAUSE)
        raise RecordsError(
            "The master key of this installation was replaced, and this process cannot get the new one; "
            "put it in its place, and start again."
        )

    def knows(self, wrapped: bytes) -> bool:
        """Whether a patient's key is wrapped by a ring that this process has."""
        return _version(wrapped) in self._wrapping

    def wrap(self, patient_id: str, secret: bytes, ring: KeyRing) -> bytes:
        """A patient's key as the database keeps it under a ring: the ring's version, then the sealed key."""
        key = Key(ring.keys["wrap"], self.cipher)
        return _VERSION.pack(ring.version) + key.seal(secret, f"patients.key:{patient_id}:{ring.version}")

    def unwrap(self, patient_id: str, wrapped: bytes) -> bytes:
        """A patient's key in the clear, to wrap it again."""
        version = _version(wrapped)
        key = self._wrapping.get(version) or self._wrapping[self._held.ring.version]
        return key.open(wrapped[_VERSION.size :], f"patients.key:{patient_id}:{version}")

    def key(self, patient_id: str, wrapped: bytes) -> Key:
        """A patient's key, to seal and open with."""
        return Key(self.unwrap(patient_id, wrapped), self.cipher)

    def seal(self, content: bytes, place: str) -> bytes:
        """Seal what belongs to the installation and to no patient (a secret of another system)."""
        return self._installation_key.seal(content, place)

    def open(self, sealed: bytes, place: str) -> bytes:
        """What `seal` sealed."""
        return self._installation_key.open(sealed, place)

    def backup_key(self, salt: bytes) -> Key:
        """The key of one backup, from its random salt: no two are sealed under the same.

        It hangs on the master key alone: the ring lies within the backup.
        """
        derived = HKDF(SHA256(), KEY_BYTES, salt=salt, info=b"tetkik 1 backup").derive(self._held.backup)
        return Key(derived, self.cipher)

    def spool_key(self, salt: bytes) -> Key:
        """The key of one file that waits to be imported, and is nobody's until then; from its random salt."""
        derive = HKDF(SHA256(), KEY_BYTES, salt=salt, info=b"tetkik 1 spool").derive
        return Key(derive(self._held.ring.keys["house"]), self.cipher)

    def digest(self, kind: str, text: str) -> bytes:
        """32 bytes by which a value is found without being stored; letters folded, spaces aside.

        A keyed hash (HMAC-SHA256): without the key nobody can try out names or numbers.
        """
        folded = " ".join(fold(text).split())
        return hmac.digest(self._held.ring.keys["index"], f"{kind}\0{folded}".encode(), "sha256")

    def file_name(self, patient_id: str, sha256: str) -> str:
        """The name of a stored file: by its content, without telling it."""
        return hmac.new(
            self._held.ring.keys["names"], f"{patient_id}\0{sha256}".encode(), "sha256"
        ).hexdigest()

    def audit_code(self, content: bytes) -> bytes:
        """The keyed hash that links the audit trail: nobody without the key can forge a chain."""
        return hmac.digest(self._held.ring.keys["audit"], content, "sha256")

    def account_code(self, content: bytes) -> bytes:
        """The keyed hash over a row that opens an account."""
        key = hmac.digest(self._held.ring.keys["audit"], b"tetkik 1 accounts", "sha256")
        return hmac.digest(key, content, "sha256")

    @property
    def _installation_key(self) -> Key:
        return Key(self._held.ring.keys["house"], self.cipher)


def fingerprint(master: bytes) -> str:
    """16 hexadecimal digits by which two master keys differ without showing either."""
    return hashlib.sha256(_child(master, "fingerprint")).hexdigest()[:16]


def _version(wrapped: bytes) -> int:
    """The version of the ring that wrapped a patient's key; 0, which there never was, where it is cut."""
    if len(wrapped) < _VERSION.size:
        return 0
    version: int = _VERSION.unpack_from(wrapped)[0]
    return version


def _over_ring(master: bytes, cipher: Cipher) -> Key:
    return Key(_child(master, "ring"), cipher)


def _place(purpose: str, version: int) -> str:
    return f"keyring.wrapped:{purpose}:{version}"


def _child(master: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=f"tetkik 1 {purpose}".encode()).derive(master)
