"""`tetkik phone`: the Android package by the real tools, the iOS profile, wrong addresses."""

from __future__ import annotations

import plistlib
import subprocess
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization.pkcs7 import load_der_pkcs7_certificates
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from tests.documents.certificates import Key, certificate, key_der, new_key
from tests.programs import program
from tetkik.cli.app import app
from tetkik.errors import InputError, MissingExtra, UsageError
from tetkik.integrations.phone import android_package
from tetkik.integrations.phone.android_package import build_package, make_key, parse_address, read_key
from tetkik.integrations.phone.apple_profile import build_profile, read_ca

TOOLS = pytest.mark.program("aapt2", "apksigner", "baksmali", "zipalign")
URL = "https://tetkik.hastane.gov.tr"


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["phone", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def said_by(name: str, *arguments: object) -> str:
    done = subprocess.run([program(name), *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """The folder, and what the first run said."""
    folder = tmp_path_factory.mktemp("phone") / "out"
    status, said, warned = run("--url", URL, "--out", folder, "--name", 'Çınar\'ın "Tetkik" & <1>')
    assert status == 0, warned
    return folder, said, warned


@TOOLS
def test_the_package_is_signed_small_and_opens_the_address(made):
    folder, said, warned = made
    package = folder / "tetkik.apk"
    assert package.stat().st_size < 100_000
    verified = said_by("apksigner", "verify", "--verbose", "--print-certs", package)
    assert "v2): true" in verified and "v3): true" in verified
    badging = said_by("aapt2", "dump", "badging", package)
    assert "package: name='tr.gov.hastane.tetkik.phone'" in badging
    assert "launchable-activity: name='org.tetkik.phone.Start'" in badging
    assert "uses-permission" not in badging  # the browser does everything
    manifest = said_by("aapt2", "dump", "xmltree", "--file", "AndroidManifest.xml", package)
    assert f'"{URL}/"' in manifest and "CustomTabsService" in manifest
    statements = said_by("aapt2", "dump", "resources", package)
    assert '(tr) "Çınar\'ın "Tetkik" & <1>"' in statements
    assert f'"target": {{"namespace": "web", "site": "{URL}"}}' in statements
    said_by("zipalign", "-c", "-p", "4", package)
    key = read_key(folder.with_name("out-key.pem"))
    assert f'phone_fingerprint = "{key.fingerprint}"' in said
    assert key.fingerprint.replace(":", "").lower() in verified
    assert "out-key.pem" in warned and folder.with_name("out-key.pem").stat().st_mode & 0o777 == 0o600


@TOOLS
def test_the_code_speaks_the_protocol_of_trusted_web_activities(made, tmp_path):
    """The dex is read back: the registers of every instruction have the kinds that it needs."""
    with zipfile.ZipFile(made[0] / "tetkik.apk") as package:
        (tmp_path / "classes.dex").write_bytes(package.read("classes.dex"))
    said_by("baksmali", "disassemble", tmp_path / "classes.dex", "-o", tmp_path / "code")
    code = (tmp_path / "code" / "org" / "tetkik" / "phone" / "Start.smali").read_text()
    service = code.partition("onServiceConnected")[2].partition(".end method")[0]
    assert service.index('"android.support.customtabs.ICustomTabsService"') < service.index("->transact(")
    assert "const/4 v4, 0x3" in service  # newSession = 2, after FIRST_CALL_TRANSACTION
    shown = code.partition("private show(")[2].partition(".end method")[0]
    for extra in ("SESSION", "LAUNCH_AS_TRUSTED_WEB_ACTIVITY", "TOOLBAR_COLOR"):
        assert f'"android.support.customtabs.extra.{extra}"' in shown


@TOOLS
def test_the_same_key_gives_the_same_bytes_and_another_another(made):
    folder, _, _ = made
    address, name = parse_address(URL), 'Çınar\'ın "Tetkik" & <1>'
    from tetkik import __version__

    again = build_package(address, name, __version__, read_key(folder.with_name("out-key.pem")))
    assert again.content == (folder / "tetkik.apk").read_bytes()
    key = folder.with_name("out-key.pem")
    status, _, warned = run("--url", URL, "--out", folder.with_name("more"), "--key", key)
    assert (status, warned) == (0, "")


def test_tools_that_are_missing_are_named_with_the_command(monkeypatch, tmp_path):
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr(android_package, "FRAMEWORK", tmp_path / "none.apk")
    with pytest.raises(MissingExtra, match="apt-get install aapt android-framework-res apksigner"):
        build_package(parse_address(URL), "Tetkik", "1.0", make_key(tmp_path / "key.pem", "x"))
    assert run("--url", URL, "--out", tmp_path / "out")[0] != 0
    assert not (tmp_path / "out-key.pem").exists()
    assert run("--url", URL, "--out", tmp_path / "out", "--no-android")[0] == 0
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["tetkik.mobileconfig"]


def test_the_profile_holds_a_clip_and_the_ca(tmp_path):
    key = new_key()
    root = certificate("Hastane Kök", key, ("Hastane Kök", key), kind="root")
    file = tmp_path / "ca.pem"
    file.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    profile = plistlib.loads(build_profile(parse_address(URL), "Tetkik", read_ca(file)))
    authority, clip = profile["PayloadContent"]
    assert authority["PayloadType"] == "com.apple.security.root"
    assert authority["PayloadContent"] == root.public_bytes(serialization.Encoding.DER)
    assert (clip["URL"], clip["Label"], clip["FullScreen"]) == (f"{URL}/", "Tetkik", True)
    assert Image.open(BytesIO(clip["Icon"])).size == (180, 180)
    uuids = {profile["PayloadUUID"], authority["PayloadUUID"], clip["PayloadUUID"]}
    assert len(uuids) == 3
    assert build_profile(parse_address(URL), "Tetkik", None) == build_profile(
        parse_address(URL), "Tetkik", None
    )


def test_the_profile_is_signed_by_the_hospitals_certificate(tmp_path):
    key, other = new_key(), new_key()
    root = certificate("Hastane Kök", key, ("Hastane Kök", key), kind="root")
    pem(tmp_path / "key.pem", key)
    pem(tmp_path / "other.pem", other)
    (tmp_path / "chain.pem").write_bytes(root.public_bytes(serialization.Encoding.PEM))
    given = (
        "--url",
        URL,
        "--out",
        tmp_path / "out",
        "--no-android",
        "--profile-certificate",
        tmp_path / "chain.pem",
    )
    assert run(*given)[0] != 0  # a certificate without its key
    status, _, fault = run(*given, "--profile-key", tmp_path / "other.pem")
    assert status != 0 and "other.pem" in fault
    assert run(*given, "--profile-key", tmp_path / "key.pem")[0] == 0
    signed = (tmp_path / "out" / "tetkik.mobileconfig").read_bytes()
    assert load_der_pkcs7_certificates(signed) == [root]
    checked = subprocess.run(
        ["openssl", "cms", "-verify", "-inform", "DER", "-noverify", "-binary"],
        input=signed, capture_output=True, check=True,
    )  # fmt: skip
    assert plistlib.loads(checked.stdout)["PayloadContent"][0]["URL"] == f"{URL}/"


def pem(file: Path, key: Key) -> None:
    loaded = serialization.load_der_private_key(key_der(key), None)
    plain = serialization.NoEncryption()
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file.write_bytes(loaded.private_bytes(encoding, form, plain))


def test_what_is_no_ca_and_no_key_is_one_sentence(tmp_path):
    key = new_key()
    person = certificate("Dr. Elif", key, ("Kök", key), kind="person")
    (tmp_path / "person.der").write_bytes(person.public_bytes(serialization.Encoding.DER))
    (tmp_path / "rubbish").write_bytes(b"\x00\xff rubbish")
    for name in ("person.der", "rubbish", "missing"):
        with pytest.raises(InputError, match="no certificate of a CA"):
            read_ca(tmp_path / name)
        with pytest.raises(InputError, match="no key of an Android package"):
            read_key(tmp_path / name)
    inside = run("--url", URL, "--out", tmp_path, "--key", tmp_path / "key.pem")
    assert inside[0] != 0 and "key.pem" in inside[2] and not (tmp_path / "key.pem").exists()


@pytest.mark.parametrize(
    ("url", "host", "package"),
    [
        ("https://Tetkik.Hastane.gov.tr/", "tetkik.hastane.gov.tr", "tr.gov.hastane.tetkik.phone"),
        ("https://tetkik:8443", "tetkik", "tetkik.p8443.phone"),
        ("https://çınar-hastanesi.tr", "xn--nar-hastanesi-0gb60d.tr", None),
        ("https://10.1.2.3", "10.1.2.3", "n3.n2.n1.n10.phone"),
        ("https://3d.rad-yoloji.tr", "3d.rad-yoloji.tr", "tr.rad_yoloji.n3d.phone"),
    ],
)
def test_an_address_has_a_package_of_its_own(url, host, package):
    address = parse_address(url)
    if package is None:
        assert address.host.startswith("xn--") and address.package.startswith("tr.xn__")
    else:
        assert (address.host, address.package) == (host, package)
    assert address.is_name is (host != "10.1.2.3")


@pytest.mark.parametrize(
    "url",
    [
        "http://tetkik.tr", "https://", "https://a b.tr", "https://u:p@tetkik.tr", "https://tetkik.tr/x",
        "tetkik.tr", "https://tetkik.tr?x", "https://tetkik.tr#x", "https://tetkik.tr:99999", "https://[::1]",
        "javascript:alert(1)", "https://tetkik.tr\\@evil.tr", "https://-x.tr", "https://" + "a" * 64 + ".tr",
        "https://a..tr", "https://<x>.tr",
    ],
)  # fmt: skip
def test_an_address_that_phones_cannot_open_is_refused(url, tmp_path):
    with pytest.raises(UsageError, match="no address that phones can open"):
        parse_address(url)
    assert run("--url", url, "--out", tmp_path / "out")[0] != 0
    assert not (tmp_path / "out").exists()


@given(st.text(max_size=40))
def test_any_address_is_understood_or_refused(text):
    try:
        address = parse_address(f"https://{text}")
    except UsageError:
        return
    assert parse_address(address.url) == address
    assert all(part[0].isalpha() and part.isascii() for part in address.package.split("."))
