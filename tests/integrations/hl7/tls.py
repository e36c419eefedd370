"""An authority and a certificate of this machine, made for one test."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificates:
    """Files in PEM."""

    ca: Path
    cert: Path
    key: Path


def certificates(folder: Path) -> Certificates:
    """A certificate for `localhost` and 127.0.0.1, which serves a client as well."""
    made = Certificates(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    authority, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Deneme CA")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    one = _begun(root, root, authority).add_extension(x509.BasicConstraints(True, None), critical=True)
    signer = authority.public_key()
    one = one.add_extension(usage, critical=True).add_extension(
        x509.SubjectKeyIdentifier.from_public_key(signer), critical=False
    )
    other = _begun(name, root, own).add_extension(x509.SubjectAlternativeName(names), critical=False)
    other = other.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
    for builder, file in ((one, made.ca), (other, made.cert)):
        file.write_bytes(builder.sign(authority, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        own.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return made


def _begun(name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
    )
