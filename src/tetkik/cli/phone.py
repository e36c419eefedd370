"""`tetkik phone`: the Android package and the iOS profile that open a hospital's address."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tetkik import __version__
from tetkik.cli.console import note, print_line, warn
from tetkik.cli.options import option
from tetkik.errors import UsageError
from tetkik.files import written_whole

if TYPE_CHECKING:
    from tetkik.integrations.phone.android_package import HospitalAddress, SigningKey


def phone(
    url: Annotated[str, option("The address of the reading room, such as https://tetkik.hastane.gov.tr.")],
    out: Annotated[Path, option("Folder for the files that phones get.")],
    name: Annotated[str, option("What stands under the icon.")] = "Tetkik",
    key: Annotated[
        Path | None,
        option(
            "File with the key that signs the Android package; made where there is none. Default: beside "
            "the folder, with -key.pem after its name."
        ),
    ] = None,
    ca: Annotated[
        Path | None, option("The certificate of the hospital's own CA, which the iOS profile brings along.")
    ] = None,
    profile_key: Annotated[Path | None, option("Private key (PEM) that signs the iOS profile.")] = None,
    profile_certificate: Annotated[
        Path | None, option("Certificate of that key (PEM), with its chain after it.")
    ] = None,
    android: Annotated[
        bool, option("Make the Android package; without it the iOS profile alone.", "--android/--no-android")
    ] = True,
) -> None:
    """Write `tetkik.apk` and `tetkik.mobileconfig`; nothing is fetched from anywhere."""
    from tetkik.integrations.phone.android_package import parse_address
    from tetkik.integrations.phone.apple_profile import build_profile, read_ca, sign_profile

    address = parse_address(url)
    if not name.strip() or len(name) > 30 or not name.isprintable():
        raise UsageError("{name} does not fit under an icon; give at most 30 characters.", name=name[:60])
    if (profile_key is None) != (profile_certificate is None):
        raise UsageError("A signed profile needs both --profile-key and --profile-certificate; give both.")
    key = key or out.with_name(f"{out.resolve().name}-key.pem")
    if key.resolve().is_relative_to(out.resolve()):
        raise UsageError(
            "The key {file} would lie among the files that are handed on; keep it elsewhere.", file=key
        )
    profile = build_profile(address, name, read_ca(ca) if ca is not None else None)
    if profile_key is not None and profile_certificate is not None:
        profile = sign_profile(profile, profile_key, profile_certificate)
    out.mkdir(parents=True, exist_ok=True)
    if android:
        _android(address, name, out, key)
    _keep(out / "tetkik.mobileconfig", profile)
    print_line("{file}: the profile for iPhones and iPads.", file=out / "tetkik.mobileconfig")
    if not address.is_name:
        warn(
            "Passkeys need a name, and {host} is a number: phones sign in by password alone.",
            host=address.host,
        )


def _android(address: HospitalAddress, name: str, out: Path, key: Path) -> None:
    from tetkik.integrations.phone.android_package import build_package, require_tools

    require_tools()
    made = build_package(address, name, __version__, _key(key, address))
    _keep(out / "tetkik.apk", made.content)
    print_line("{file}: the package for Android, {package}.", file=out / "tetkik.apk", package=made.package)
    print_line("Put this into the settings, so that phones show it without the browser's bar:")
    print_line('phone_fingerprint = "{fingerprint}"', fingerprint=made.fingerprint)


def _key(file: Path, address: HospitalAddress) -> SigningKey:
    from tetkik.integrations.phone.android_package import make_key, read_key

    if file.exists():
        return read_key(file)
    made = make_key(file, address.host)
    warn(
        "A new key was made: {file}. Keep a copy in a safe place: without it no phone takes an update, and "
        "whoever has it can sign one.",
        file=file,
    )
    note("Give it as --key the next time.")
    return made


def _keep(target: Path, content: bytes) -> None:
    with written_whole(target) as file:
        file.write(content)
