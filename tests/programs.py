"""Programs from outside Python that some tests need: where they are, and what installs them.

Run as a script it prints the Debian packages that are missing, one a line; it needs nothing but Python.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PREFIX = "needs the program "


@dataclass(frozen=True, slots=True)
class Program:
    """A program by its executables, of which the first one found is run."""

    executables: tuple[str, ...]
    packages: str
    """Of Debian and Ubuntu, separated by spaces."""
    marker: str = "external"
    variable: str | None = None
    """An environment variable that names the executable."""


PROGRAMS = {
    "aapt2": Program(("aapt2",), "aapt android-framework-res"),
    "apksigner": Program(("apksigner",), "apksigner"),
    "baksmali": Program(("baksmali",), "libsmali-java"),
    "cc": Program(("cc", "gcc", "clang"), "gcc libc6-dev python3-dev"),
    "chromium": Program(
        ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"),
        "chromium",
        "browser",
        "CHROMIUM",
    ),
    "curl": Program(("curl",), "curl"),
    "dciodvfy": Program(("dciodvfy",), "dicom3tools"),
    "dcmcjpeg": Program(("dcmcjpeg",), "dcmtk"),
    "dcmdump": Program(("dcmdump",), "dcmtk"),
    "dsrdump": Program(("dsrdump",), "dcmtk"),
    "git": Program(("git",), "git"),
    "java": Program(("java",), "default-jre-headless"),
    "node": Program(("node", "nodejs"), "nodejs"),
    "nginx": Program(("nginx", "/usr/sbin/nginx"), "nginx-light"),
    "npm": Program(("npm",), "npm"),
    "openssl": Program(("openssl",), "openssl"),
    "orthanc": Program(("Orthanc", "/usr/sbin/Orthanc"), "orthanc orthanc-dicomweb"),
    "pdfsig": Program(("pdfsig",), "poppler-utils"),
    "radosgw": Program(("radosgw",), "ceph-mon ceph-osd radosgw"),
    "postgresql": Program(("initdb",), "postgresql", "postgres"),
    "promtool": Program(("promtool",), "prometheus"),
    "slapd": Program(("slapd",), "slapd"),
    "storescu": Program(("storescu",), "dcmtk"),
    "findscu": Program(("findscu",), "dcmtk"),
    "wlmscpfs": Program(("wlmscpfs",), "dcmtk"),
    "softhsm2": Program(("softhsm2-util",), "softhsm2"),
    "storescp": Program(("storescp",), "dcmtk"),
    "systemd-analyze": Program(("systemd-analyze",), "systemd"),
    "zipalign": Program(("zipalign",), "zipalign"),
}
"""By the name that `@pytest.mark.program(...)` takes."""


@cache
def find_program(name: str) -> Path | None:
    """Where a program of `PROGRAMS` is; None where it is missing."""
    wanted = PROGRAMS[name]
    if wanted.variable and (named := os.environ.get(wanted.variable)):
        found = shutil.which(named)
    else:
        # Debian's first: pynetdicom puts a storescu and a findscu of its own into an environment's path.
        path = os.pathsep.join(("/usr/bin", os.environ.get("PATH", os.defpath)))
        found = next(filter(None, (shutil.which(name, path=path) for name in wanted.executables)), None)
    if name == "postgresql":  # Debian keeps the server's programs outside the path
        servers = Path("/usr/lib/postgresql").glob("*/bin/initdb")
        newest = max(servers, key=lambda path: float(path.parts[-3]), default=None)
        return newest or (Path(found) if found else None)
    if name == "cc" and not Path(sysconfig.get_path("include"), "Python.h").is_file():
        return None
    return Path(found) if found else None


def why_skipped(*names: str) -> str:
    """The reason of a test that is skipped because these programs are missing."""
    return f"{_PREFIX}{' and '.join(names)} (apt-get install {' '.join(packages_of(names))})"


def missing_programs(reason: str) -> list[str]:
    """The programs that such a reason names; none for any other reason."""
    return reason.partition(_PREFIX)[2].partition(" (")[0].split(" and ") if _PREFIX in reason else []


def program(name: str) -> str:
    """The path of a program; the test is skipped where it is missing."""
    found = find_program(name)
    if found is None:
        import pytest

        pytest.skip(why_skipped(name))
    return str(found)


def packages_of(names: Iterable[str]) -> list[str]:
    """The Debian packages of these programs."""
    return sorted({package for name in names for package in PROGRAMS[name].packages.split()})


if __name__ == "__main__":
    for package in packages_of(name for name in PROGRAMS if find_program(name) is None):
        print(package)  # noqa: T201
