"""A signed release: whether its files are those that the holder of the release key signed, and run here.

A release is a folder with the wheel, the bill of materials, `SHA256SUMS` over them, and `SHA256SUMS.sig`, the
raw Ed25519 signature (RFC 8032) of that file: what `openssl pkeyutl -sign -rawin` writes.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tetkik.errors import InputError, MissingExtra

SUMS, SIGNATURE = "SHA256SUMS", "SHA256SUMS.sig"
_LINE = re.compile(r"([0-9a-f]{64}) [ *]([\w.+-]+)")


@dataclass(frozen=True, slots=True)
class Release:
    """A release whose signature and checksums hold.

    Attributes:
        key: SHA-256 of the public key (DER), by which people compare it.
        same_version: whether this installation says that it is this release.
        installed: whether it has its files, each with the hash of the wheel.
    """

    wheel: str
    files: int
    key: str
    same_version: bool
    installed: bool


def check_release(folder: Path, key_file: Path) -> Release:
    """Compare signature, checksums, and the files that are installed.

    Raises:
        InputError: a file is missing, is not what was signed, or the signature is of another key.
        MissingExtra: without cryptography.
    """
    sums = _read(folder / SUMS)
    key = _verify(key_file, sums, _read(folder / SIGNATURE), folder)
    lines = [_LINE.fullmatch(line) for line in sums.decode("utf-8", "replace").splitlines()]
    listed = {match[2]: match[1] for match in lines if match is not None}
    wheels = [name for name in listed if name.startswith("tetkik-") and name.endswith(".whl")]
    if None in lines or len(wheels) != 1:
        raise InputError("{file} is no list of a release; fetch the release again.", file=folder / SUMS)
    for name, digest in listed.items():
        if hashlib.sha256(_read(folder / name)).hexdigest() != digest:
            raise InputError(
                "{file} is not the file that was signed; do not install it, and fetch it again.",
                file=folder / name,
            )
    same_version = wheels[0].split("-")[1] == metadata.version("tetkik")
    return Release(wheels[0], len(listed), key, same_version, _is_installed(folder / wheels[0]))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        raise InputError("There is no file {file}; check the path.", file=file) from None


def _verify(key_file: Path, content: bytes, signature: bytes, folder: Path) -> str:
    """The fingerprint of the key, where the signature is of it."""
    try:
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            PublicFormat,
            load_pem_public_key,
        )
    except ImportError:
        raise MissingExtra(
            "Checking a release needs the package cryptography; `pip install 'tetkik[service]'`."
        ) from None
    try:
        key = load_pem_public_key(_read(key_file))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise InputError("{file} is no public Ed25519 key (PEM); give the key of the release.", file=key_file)
    try:
        key.verify(signature, content)
    except InvalidSignature:
        raise InputError(
            "The signature of {folder} is not of this key; do not install it, and compare the key with the "
            "one that SECURITY.md names.",
            folder=folder,
        ) from None
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _is_installed(wheel: Path) -> bool:
    """Whether every file of the wheel lies in this installation, unchanged."""
    with zipfile.ZipFile(wheel) as archive:
        (record,) = (name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
        rows = list(csv.reader(io.StringIO(archive.read(record).decode("utf-8"))))
    here = metadata.distribution("tetkik")
    for name, digest, _ in rows:
        if not digest:
            continue
        file = Path(str(here.locate_file(name)))
        if not file.is_file() or _record_digest(file.read_bytes()) != digest:
            return False
    return True


def _record_digest(content: bytes) -> str:
    """As a RECORD has it (PEP 376)."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
