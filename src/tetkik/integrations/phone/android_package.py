"""An Android package that opens a hospital's address in the phone's browser, made by Debian's tools alone.

The same address, name, version and key give the same bytes.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

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

from tetkik.drawing.icon import TEAL, icon
from tetkik.errors import InputError, MissingExtra, OutputError, UsageError
from tetkik.language import Language, Sentence

# The address that phones open, and what the Android package of it is called.


_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_LONGEST = 253
"""Characters of a host name (RFC 1035, 2.3.4)."""


@dataclass(frozen=True, slots=True)
class HospitalAddress:
    """Where the reading room is: `https`, a host, maybe a port."""

    host: str
    """In lower case; of an international name its ASCII form (RFC 5891)."""
    port: int = 443

    @property
    def origin(self) -> str:
        return f"https://{self.host}" + (f":{self.port}" if self.port != 443 else "")

    @property
    def url(self) -> str:
        return f"{self.origin}/"

    @property
    def is_name(self) -> bool:
        """Whether it is a name: passkeys belong to no IP address (Web Authentication, 5.1.2)."""
        return not _is_ip(self.host)

    @property
    def package(self) -> str:
        """The application id: the host backwards in names for Android, such as `tr.gov.hastane.phone`."""
        labels = self.host.split(".")[::-1]
        parts = [re.sub(r"^(?![a-z])", "n", label.replace("-", "_")) for label in labels]
        parts += [f"p{self.port}"] if self.port != 443 else []
        return ".".join([*parts, "phone"])


def parse_address(url: str) -> HospitalAddress:
    """The address that somebody typed; `UsageError` where phones cannot open it."""
    fault = UsageError(
        "{url} is no address that phones can open; give it with https and a host, such as "
        "https://tetkik.hastane.gov.tr.",
        url=url[:200],
    )
    try:
        parts = urlsplit(url)
        port = parts.port or 443
        host = (parts.hostname or "").encode("idna").decode("ascii").lower().rstrip(".")
    except ValueError:
        raise fault from None
    spare = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    plain = all(map(_LABEL.fullmatch, host.split("."))) and len(host) <= _LONGEST
    if parts.scheme != "https" or spare or not plain or any(char <= " " or char == "\\" for char in url):
        raise fault
    return HospitalAddress(host, port)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


# The key that a hospital signs its Android package with: one file, made once, kept for ever.
#
# Android installs an update only where it has the same key as what is installed.


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


FRAMEWORK = Path("/usr/share/android-framework-res/framework-res.apk")
_TOOLS = {"aapt2": "aapt", "smali": "libsmali-java", "zipalign": "zipalign", "apksigner": "apksigner"}
"""What builds a package: the program and the Debian package that it comes from."""
_OLDEST = 24
"""Android 7: the first that checks signatures of the whole file (APK Signature Scheme v2)."""
_TARGET = 35
_MOST_SECONDS = 300
_NO_BROWSER = Sentence("There is no browser on this phone; install one.")
_DENSITIES = {"mdpi": 48, "xhdpi": 96, "xxxhdpi": 192}
"""Pixels of an icon; Android scales what lies between."""


@dataclass(frozen=True, slots=True)
class AndroidPackage:
    """A package that was signed and verified."""

    content: bytes
    package: str
    """Its application id."""
    fingerprint: str
    """SHA-256 of the certificate, as `assetlinks.json` has it: `AA:BB:…`."""


def build_package(address: HospitalAddress, name: str, version: str, key: SigningKey) -> AndroidPackage:
    """Build, sign and verify; `version` such as `1.2.3`. `MissingExtra` names tools that are missing."""
    require_tools()
    with TemporaryDirectory(prefix="tetkik-phone-") as folder:
        work = Path(folder)
        _write_resources(work, address, name)
        _compile(work, version)
        signed = _sign(work, key)
        _verify(signed, address, key)
        return AndroidPackage(signed.read_bytes(), address.package, key.fingerprint)


def require_tools() -> None:
    """`MissingExtra` where one of the programs is not installed; it names the one command that helps."""
    missing = {package for program, package in _TOOLS.items() if shutil.which(program) is None}
    missing |= set() if FRAMEWORK.is_file() else {"android-framework-res"}
    if missing:
        raise MissingExtra(
            "An Android package is made by programs that are missing; install them: apt-get install "
            "{packages}",
            packages=" ".join(sorted(missing)),
        )


def _template(name: str) -> Template:
    return Template(resources.files(__package__).joinpath("android", name).read_text("utf-8"))


def _write_resources(work: Path, address: HospitalAddress, name: str) -> None:
    """Manifest, words and icons, as aapt2 takes them."""
    statement = {
        "relation": ["delegate_permission/common.handle_all_urls"],
        "target": {"namespace": "web", "site": address.origin},
    }
    manifest = _template("AndroidManifest.xml").substitute(package=address.package, url=escape(address.url))
    (work / "AndroidManifest.xml").write_text(manifest, "utf-8")
    files = {
        f"values{'' if language is Language.EN else '-tr'}/strings.xml": _template("strings.xml")
        .substitute(
            name=_string(name),
            no_browser=_string(_NO_BROWSER.in_language(language)),
            statements=_string(json.dumps([statement])),
        )
        .encode()
        for language in Language
    }
    colour = f'<resources><color name="ground">{TEAL}</color></resources>'
    files["values/colors.xml"] = colour.encode()
    files["mipmap-anydpi-v26/icon.xml"] = _template("icon.xml").template.encode()
    for density, side in _DENSITIES.items():
        files[f"mipmap-{density}/icon.png"] = icon(side)
        # The front of an adaptive icon has half as much again around it, which launchers cut off.
        files[f"mipmap-{density}/front.png"] = icon(side * 9 // 4, maskable=True)
    for path, content in files.items():
        target = work / "res" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _string(text: str) -> str:
    """Text as a string of Android's resources: XML, with quotes, `@` and backslashes escaped."""
    return escape(re.sub(r"(^@|^\?|[\\\"'])", r"\\\1", text))


def _compile(work: Path, version: str) -> None:
    _run("aapt2", "compile", "--dir", work / "res", "-o", work / "res.zip")
    parts = [*(int(part) for part in re.findall(r"\d+", version)[:3]), 0, 0, 0]
    code = str((parts[0] * 100 + parts[1]) * 100 + parts[2] + 1)
    options = ["--version-code", code, "--version-name", version, "--min-sdk-version", str(_OLDEST)]
    options += ["--target-sdk-version", str(_TARGET), "--warn-manifest-validation"]  # it predates <queries>
    linked = work / "linked.apk"
    manifest = work / "AndroidManifest.xml"
    _run("aapt2", "link", "-I", FRAMEWORK, "--manifest", manifest, *options, "-o", linked, work / "res.zip")
    code_file = work / "Start.smali"
    code_file.write_text(_template("Start.smali").template, "utf-8")
    _run("smali", "assemble", "--api", str(_OLDEST), code_file, "-o", work / "classes.dex")
    # Written anew with fixed times, so that the same content gives the same bytes.
    with zipfile.ZipFile(linked) as before, zipfile.ZipFile(work / "whole.apk", "w") as whole:
        entries = [(item.filename, before.read(item), item.compress_type) for item in before.infolist()]
        entries.append(("classes.dex", (work / "classes.dex").read_bytes(), zipfile.ZIP_DEFLATED))
        for name, content, packing in sorted(entries):
            whole.writestr(zipfile.ZipInfo(name), content, packing)


def _sign(work: Path, key: SigningKey) -> Path:
    aligned, signed = work / "aligned.apk", work / "signed.apk"
    _run("zipalign", "-p", "4", work / "whole.apk", aligned)
    private, certificate = work / "key.pk8", work / "certificate.der"  # in a folder of ours alone
    private.write_bytes(key.private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    certificate.write_bytes(key.certificate.public_bytes(Encoding.DER))
    options: list[str | Path] = ["--key", private, "--cert", certificate, "--min-sdk-version", str(_OLDEST)]
    options += ["--v1-signing-enabled", "false", "--v2-signing-enabled", "true"]
    options += ["--v3-signing-enabled", "true", "--v4-signing-enabled", "false"]
    _run("apksigner", "sign", *options, "--out", signed, aligned)
    return signed


def _verify(signed: Path, address: HospitalAddress, key: SigningKey) -> None:
    """Ask the tools once more, as whoever installs the package would."""
    verified = _run("apksigner", "verify", "--verbose", "--print-certs", signed)
    badging = _run("aapt2", "dump", "badging", signed)
    digest = hashlib.sha256(key.certificate.public_bytes(Encoding.DER)).hexdigest()
    wanted = ("(APK Signature Scheme v2): true", "(APK Signature Scheme v3): true", digest)
    if not all(one in verified for one in wanted) or f"package: name='{address.package}'" not in badging:
        raise OutputError("The Android package that was made does not verify; nothing is kept of it.")


def _run(*command: str | Path) -> str:
    """Run one of the tools; gives what it printed."""
    program, line = str(command[0]), [str(part) for part in command]
    try:
        done = _finished(line)
    except (OSError, subprocess.TimeoutExpired):
        raise OutputError("{program} does not run; install it anew.", program=program) from None
    if done.returncode:
        fault = next(filter(None, (done.stderr or done.stdout).splitlines()), "")
        raise OutputError(
            "{program} made no package: {fault}. Install its Debian package anew.",
            program=program,
            fault=fault[:200],
        )
    return done.stdout


def _finished(line: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        line,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=_MOST_SECONDS,
        check=False,
    )
