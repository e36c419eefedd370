"""An Android package that opens a hospital's address in the phone's browser, made by Debian's tools alone.

The same address, name, version and key give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from xml.sax.saxutils import escape

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tetkik.drawing.icon import TEAL, icon
from tetkik.errors import MissingExtra, OutputError
from tetkik.integrations.phone.address import HospitalAddress
from tetkik.integrations.phone.signing_key import SigningKey
from tetkik.language import Language, Sentence

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
