"""An authority, a radiologist's certificate and a server of time stamps, made for tests; no real ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = rsa.RSAPrivateKey


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def key_der(key: Key) -> bytes:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, plain)


def new_key() -> Key:
    return rsa.generate_private_key(65537, 2048)


def certificate(name: str, key: Key, issuer: tuple[str, Key], *, kind: str) -> x509.Certificate:
    """Of the kind `root`, `person` (non-repudiation alone) or `stamps`."""
    now = datetime.now(UTC)
    usage = {
        name: name in {"root": ("key_cert_sign", "crl_sign")}.get(kind, ("content_commitment",))
        for name in (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        )
    }
    built = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(issuer[0]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=kind == "root", path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer[1].public_key()), critical=False
        )
    )
    if kind == "stamps":
        stamping = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        built = built.add_extension(stamping, critical=True)
    return built.sign(issuer[1], hashes.SHA256())


def stamping_server(root: tuple[str, Key]) -> Any:
    """pyHanko's own server of time stamps, without a network."""
    from asn1crypto import keys
    from asn1crypto import x509 as parsed
    from pyhanko.sign.timestamps.dummy_client import DummyTimeStamper

    key = new_key()
    made = certificate("Deneme zaman damgası", key, root, kind="stamps")
    loaded = parsed.Certificate.load(der(made))
    return DummyTimeStamper(loaded, keys.PrivateKeyInfo.load(key_der(key)))


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
