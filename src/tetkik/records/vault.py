"""Encryption at rest: a master key, a key for each patient under it, and a keyed index to find them by.

What says something about a patient is sealed under that patient's key (AES-256-GCM, NIST SP 800-38D), with
the place where it stands as associated data, so that a sealed value cannot be moved to another row. The
patient's key lies in the database wrapped by the master key; destroying the wrapped key erases the patient,
wherever copies of the rows lie. The master key lies in a file beside the database, or where an administrator
puts it, and in no backup.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tetkik.errors import RecordsError, SettingError
from tetkik.turkish import fold

KEY_BYTES = 32
_NONCE = 12


class Vault:
    """Seals and opens; knows the master key's children alone.

    Args:
        master: 32 random bytes.
    """

    def __init__(self, master: bytes) -> None:
        if len(master) != KEY_BYTES:
            raise ValueError("a master key has 32 bytes")
        self._wrapping = AESGCM(_child(master, "wrap"))
        self._house = AESGCM(_child(master, "house"))
        self._index = _child(master, "index")
        self._audit = _child(master, "audit")
        self._names = _child(master, "names")
        self._backup = _child(master, "backup")

    def new_key(self, patient_id: str) -> bytes:
        """A fresh key for a patient, wrapped: what the database keeps."""
        return _seal(self._wrapping, secrets.token_bytes(KEY_BYTES), f"patients.key:{patient_id}")

    def key(self, patient_id: str, wrapped: bytes) -> AESGCM:
        """A patient's key, to seal and open with.

        Raises:
            RecordsError: it was wrapped by another master key, or altered.
        """
        return AESGCM(_open(self._wrapping, wrapped, f"patients.key:{patient_id}"))

    def seal(self, content: bytes, place: str) -> bytes:
        """Seal what belongs to the house and to no patient (a secret of another system)."""
        return _seal(self._house, content, place)

    def open(self, sealed: bytes, place: str) -> bytes:
        """What `seal` sealed.

        Raises:
            RecordsError: sealed by another master key, altered, or moved from another place.
        """
        return _open(self._house, sealed, place)

    def backup_key(self, salt: bytes) -> AESGCM:
        """The key of one backup, from its random salt: no two are sealed under the same."""
        return AESGCM(HKDF(SHA256(), KEY_BYTES, salt=salt, info=b"tetkik 1 backup").derive(self._backup))

    def digest(self, kind: str, text: str) -> bytes:
        """32 bytes by which a value is found without being stored; letters folded, spaces aside.

        A keyed hash (HMAC-SHA256): without the master key nobody can try out names or numbers.
        """
        folded = " ".join(fold(text).split())
        return hmac.digest(self._index, f"{kind}\0{folded}".encode(), "sha256")

    def file_name(self, patient_id: str, sha256: str) -> str:
        """The name of a stored file: by its content, without telling it."""
        return hmac.new(self._names, f"{patient_id}\0{sha256}".encode(), "sha256").hexdigest()

    def audit_code(self, content: bytes) -> bytes:
        """The keyed hash that links the audit trail: nobody without the key can write a chain anew."""
        return hmac.digest(self._audit, content, "sha256")


def seal(key: AESGCM, content: bytes, place: str) -> bytes:
    """Seal `content` for one `place` (`table.column:row`)."""
    return _seal(key, content, place)


def unseal(key: AESGCM, sealed: bytes, place: str) -> bytes:
    """What `seal` sealed for that very place.

    Raises:
        RecordsError: another key, altered, or moved from another place.
    """
    return _open(key, sealed, place)


def _seal(key: AESGCM, content: bytes, place: str) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + key.encrypt(nonce, content, place.encode())


def _open(key: AESGCM, sealed: bytes, place: str) -> bytes:
    try:
        return key.decrypt(sealed[:_NONCE], sealed[_NONCE:], place.encode())
    except (InvalidTag, ValueError):
        raise RecordsError(
            "What is stored at {place} cannot be opened: it was altered, or sealed under another master key; "
            "restore it from a backup, or give the right key.",
            place=place.partition(":")[0],
        ) from None


def _child(master: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=f"tetkik 1 {purpose}".encode()).derive(master)


def load_master_key(path: Path, *, create: bool) -> bytes:
    """The master key from its file; a new installation makes one, for the owner's eyes only.

    Args:
        path: of the file, 64 hexadecimal digits.
        create: whether to make it where there is none; never where a database exists already.

    Raises:
        SettingError: no such file and none to be made, or not a key.
    """
    if create and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Exclusive, and for the owner alone from the first moment on.
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
    try:
        return _checked(bytes.fromhex(path.read_text("ascii").strip()))
    except FileNotFoundError:
        raise SettingError(
            "There is a database and no master key {file}; put the key back: nothing can be read without it.",
            file=path,
        ) from None
    except ValueError:
        raise SettingError(
            "{file} is not a master key of 64 hexadecimal digits; put the right file back.", file=path
        ) from None


def _checked(key: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise ValueError("not 32 bytes")
    return key


def fingerprint(master: bytes) -> str:
    """16 hexadecimal digits by which two master keys are told apart without showing either."""
    return hashlib.sha256(_child(master, "fingerprint")).hexdigest()[:16]
