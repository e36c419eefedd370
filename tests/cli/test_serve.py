"""`tetkik serve`: where it refuses to listen, and the first start over TLS, by the real command."""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.patience import PATIENCE
from tests.ports import free_port
from tests.service.kit import make_context, served
from tetkik.cli.serve import is_secure, need_extra, refuse_root, serve, settings_to_serve, use_time_zone
from tetkik.errors import MissingExtra, SettingError, UsageError
from tetkik.service.kit.rendering.templates import exact
from tetkik.settings import Settings

GOOD = "dört küçük mavi kuş"


def made_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of `localhost` and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert, secret = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert, secret


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_on_this_machine_alone_nothing_more_is_needed(host):
    chosen = settings_to_serve(Settings(), host, 8000)
    assert chosen.public_url == "http://localhost:8000"
    assert not is_secure(chosen)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "tetkik.example"])
def test_for_others_it_wants_protection(host, tmp_path):
    with pytest.raises(SettingError, match="clear text"):
        settings_to_serve(Settings(), host, None)
    cert, key = made_certificate(tmp_path)
    assert is_secure(settings_to_serve(Settings(tls_cert=cert, tls_key=key), host, None))
    proxied = Settings(trusted_proxies="10.0.0.1", public_url="https://tetkik.example/")
    assert is_secure(settings_to_serve(proxied, host, None))
    assert settings_to_serve(Settings(allow_plain_http=True), host, None).listen_host == host


def test_a_package_that_is_missing_is_named_and_none_is_loaded(monkeypatch):
    monkeypatch.delitem(sys.modules, "uvicorn", raising=False)
    need_extra()
    assert "uvicorn" not in sys.modules
    monkeypatch.setitem(sys.modules, "webauthn", None)
    with pytest.raises(MissingExtra, match=r"the package webauthn; `pip install '\.\[service\]'`"):
        need_extra()


def test_half_of_tls_is_none(tmp_path):
    cert, _ = made_certificate(tmp_path)
    with pytest.raises(SettingError, match="both"):
        settings_to_serve(Settings(tls_cert=cert), None, None)
    with pytest.raises(FileNotFoundError):
        settings_to_serve(Settings(tls_cert=cert, tls_key=tmp_path / "none.pem"), None, None)


@pytest.mark.parametrize(
    "url", ["tetkik.example", "ftp://tetkik.example", "https://tetkik.example/path", "https://"]
)
def test_a_public_address_that_is_none_is_refused(url):
    with pytest.raises(SettingError, match="public_url"):
        settings_to_serve(Settings(public_url=url), None, None)


@pytest.mark.parametrize("command", [["serve"], ["users", "list"]])
def test_without_the_extra_it_says_what_to_install(command):
    script = (
        "import sys; sys.modules['fastapi'] = None\n"
        "from tetkik.cli.app import app\n"
        f"app({command!r}, prog_name='tetkik')"
    )
    environment = {**os.environ, "TETKIK_LANGUAGE": "en"}
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment
    )
    assert result.returncode == 2
    assert result.stderr.strip().endswith("needs the package fastapi; `pip install '.[service]'`.")


def test_settings_that_cannot_be_are_told_at_the_start(tmp_path):
    for wrong in ({"oidc_roles": "a=king"}, {"trusted_proxies": "proxy"}):
        with pytest.raises(SettingError), served(make_context(tmp_path, None, **wrong), anew=True):
            pass


def test_root_serves_only_where_somebody_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("TETKIK_DATA_DIR", str(tmp_path / "hospital"))
    monkeypatch.delenv("TETKIK_ALLOW_ROOT", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    with pytest.raises(UsageError, match="does not run as root"):
        serve(None, None)
    assert not (tmp_path / "hospital").exists()
    refuse_root(allowed=True)
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    refuse_root(allowed=False)


@pytest.mark.parametrize(
    ("url", "fits"),
    [
        ("https://tetkik.example", True),
        ("http://localhost:8000", True),
        ("http://tetkik.example", False),
        ("https://10.0.0.5", False),
    ],
)
def test_passkeys_are_not_demanded_where_browsers_have_none(url, fits):
    chosen = Settings(passkey_roles="administrator", public_url=url)
    if fits:
        settings_to_serve(chosen, None, None)
    else:
        with pytest.raises(SettingError, match="passkey_roles"):
            settings_to_serve(chosen, None, None)
    settings_to_serve(chosen.model_copy(update={"oidc_issuer": "https://login.example"}), None, None)


def test_the_first_start_over_tls(tmp_path, monkeypatch):
    """The printed link makes the administrator, the log names no path, and it ends when told to."""
    cert, key = made_certificate(tmp_path)
    port = free_port()
    for name, value in {
        "DATA_DIR": tmp_path / "hospital",
        "TLS_CERT": cert,
        "TLS_KEY": key,
        "LANGUAGE": "en",
    }.items():
        monkeypatch.setenv(f"TETKIK_{name}", str(value))
    command = [sys.executable, "-m", "tetkik", "serve", "--port", str(port), "--no-work"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )
    try:
        assert process.stdout is not None
        link = next(
            found[0] for line in process.stdout if (found := re.search(r"https://\S+/setup/\S+", line))
        )
        transport = httpx.HTTPTransport(verify=ssl.create_default_context(cafile=str(cert)), retries=8)
        base = f"https://localhost:{port}"
        with httpx.Client(transport=transport, base_url=base, timeout=PATIENCE) as browser:
            page = browser.get(link)
            assert page.status_code == 200
            assert page.headers["strict-transport-security"] and "server" not in page.headers
            given = {"name": "Ayşe", "login": "ayse", "password": GOOD, "repeated": GOOD}
            cookie = browser.post(link, data=given).headers["set-cookie"]
            assert cookie.startswith("__Host-tetkik=") and "Secure" in cookie
            assert browser.get("/api/v1/account").json()["login"] == "ayse"
            assert browser.get("/login", headers={"host": "evil.example"}).status_code == 400
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://localhost:{port}/login", timeout=PATIENCE)
    finally:
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=PATIENCE)
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert {"/setup/{token}", "/api/v1/account"} <= {line.get("route") for line in lines}
    assert link.rpartition("/")[2] not in log


def test_the_process_tells_the_hospitals_time(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")  # given back to the environment afterwards, and to the process below
    try:
        use_time_zone("Europe/Istanbul")
        moment = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
        assert exact(moment) == "01.03.2026 12:30"
    finally:
        monkeypatch.undo()
        time.tzset()
