"""An authority, a radiologist's certificate and a server of time stamps, made for tests; no real ones."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.programs import program

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


@contextmanager
def served_stamps(root: tuple[str, Key]) -> Iterator[str]:
    """The address of a server of time stamps (RFC 3161, section 3.4) on this machine."""
    from asn1crypto import tsp

    stamps = stamping_server(root)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = tsp.TimeStampReq.load(self.rfile.read(int(self.headers["Content-Length"])))
            answer = asyncio.run(stamps.async_request_tsa_response(asked)).dump()
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Nothing is logged."""

    with _served(HTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield f"http://127.0.0.1:{port}/"


@contextmanager
def _served(server: HTTPServer) -> Iterator[int]:
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


MODULE, PIN = Path("/usr/lib/softhsm/libsofthsm2.so"), "135790"


def insert_card(folder: Path, name: str, key: Key, holder: x509.Certificate) -> None:
    """Make softhsm2, which the environment points into `folder`, a card with this key and certificate."""
    import pkcs11
    from pkcs11 import Attribute
    from pkcs11.util.x509 import decode_x509_certificate

    tool = program("softhsm2")
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "key.pem").write_bytes(pem)
    made = f"--init-token --free --label {name} --pin {PIN} --so-pin 12345678".split()
    taken = f"--import {folder / 'key.pem'} --token {name} --label imza --id 01 --pin {PIN}".split()
    for options in (made, taken):
        subprocess.run([tool, *options], check=True, capture_output=True)
    with pkcs11.lib(str(MODULE)).get_token(token_label=name).open(rw=True, user_pin=PIN) as session:
        also = {Attribute.TOKEN: True, Attribute.ID: b"\x01", Attribute.PRIVATE: False}
        session.create_object(decode_x509_certificate(der(holder)) | also)


@contextmanager
def card_reader(folder: Path) -> Iterator[None]:
    """A folder for the cards of softhsm2, which the environment names."""
    import pkcs11

    (folder / "tokens").mkdir()
    configured = folder / "softhsm2.conf"
    configured.write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(configured))
        pkcs11.unload(str(MODULE))  # it read the folder of another test
        yield


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
