"""The key that a hospital signs its Android package with: one file, made once, kept for ever.

Android installs an update only where it has the same key as what is installed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from tetkik.errors import InputError

_BITS = 3072
_BEGINS = datetime(2026, 1, 1, tzinfo=UTC)
_ENDS = datetime(2076, 1, 1, tzinfo=UTC)
"""Android asks for a certificate that outlives the app; nothing renews it."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    private: rsa.RSAPrivateKey
    certificate: x509.Certificate

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate as `AA:BB:…`."""
        return self.certificate.fingerprint(SHA256()).hex(":").upper()


def make_key(path: Path, host: str) -> SigningKey:
    """A new key in a new file that its owner alone can read."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Tetkik {host}"[:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_BEGINS)
        .not_valid_after(_ENDS)
        .sign(private, SHA256())
    )
    content = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    content += certificate.public_bytes(Encoding.PEM)
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return SigningKey(private, certificate)


def read_key(path: Path) -> SigningKey:
    """The key of a file that `make_key` wrote."""
    fault = InputError(
        "{file} is no key of an Android package; give the file that the first run wrote.", file=path
    )
    try:
        content = path.read_bytes()
        private = load_pem_private_key(content, None)
        certificate = x509.load_pem_x509_certificate(content)
    except (OSError, ValueError, TypeError):
        raise fault from None
    if not isinstance(private, rsa.RSAPrivateKey) or certificate.public_key() != private.public_key():
        raise fault
    return SigningKey(private, certificate)
