"""Known vulnerabilities of what is installed, by advisories that somebody brings; no network is asked.

Advisories are in the OSV format, version 1 (https://ossf.github.io/osv-schema/): a JSON file, or a folder or
zip of them. Compared are the Python packages of this environment (PyPI) and the packages of others that
browsers get (npm).
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

import tetkik
from tetkik.bundle.store import UNREADABLE
from tetkik.errors import InputError

_LARGEST = 64 << 20
"""Bytes of one file; an advisory has some thousand."""
_NAMED = re.compile(rb'"name"\s*:\s*"([^"\\]+)"')
_MODIFIED = re.compile(rb'"modified"\s*:\s*"([^"\\]+)"')


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """A package that is installed; `ecosystem` as OSV says it: PyPI, npm."""

    ecosystem: str
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """An advisory about an installed part; `fixed` are versions without the fault, as far as it names any."""

    id: str
    aliases: tuple[str, ...]
    part: Part
    summary: str
    fixed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AdvisoryReport:
    """What was found; `newest` is when the youngest advisory was changed, empty where none says it."""

    advisories: int
    newest: str
    parts: int
    found: tuple[Vulnerability, ...]


def installed_parts() -> frozenset[Part]:
    packages = {
        Part("PyPI", canonicalize_name(found.metadata["Name"]), found.version)
        for found in metadata.distributions()
        if found.metadata["Name"]
    }
    vendor = Path(tetkik.__file__).parent / "service" / "static" / "vendor"
    manifests = [json.loads(file.read_text("utf-8")) for file in vendor.glob("*/manifest.json")]
    scripts = {Part("npm", item["name"], item["version"]) for made in manifests for item in made["packages"]}
    return frozenset(packages | scripts)


def find_vulnerabilities(source: Path, parts: Iterable[Part]) -> AdvisoryReport:
    """The advisories of `source` that are about one of `parts`; InputError where it holds none at all."""
    by_name: dict[tuple[str, str], list[Part]] = {}
    for part in parts:
        by_name.setdefault((part.ecosystem, part.name), []).append(part)
    names = {_flat(name.encode()) for _, name in by_name}
    count, newest, found = 0, b"", dict[tuple[str, Part], Vulnerability]()
    for content in _files(source):
        count += 1
        newest = max(newest, *_MODIFIED.findall(content), b"")
        if not names.isdisjoint(map(_flat, _NAMED.findall(content))):
            for advisory in _advisories(content, source):
                found |= {(item.id, item.part): item for item in _about(advisory, by_name)}
    if not newest:
        raise _no_advisories(source)
    order = sorted(found.values(), key=lambda item: (item.part, item.id))
    return AdvisoryReport(
        count, newest.decode("ascii", "replace"), sum(map(len, by_name.values())), tuple(order)
    )


def _flat(name: bytes) -> bytes:
    """A name as PyPI compares names, whichever way it is written."""
    return re.sub(rb"[-_.]+", b"-", name.lower())


def _files(source: Path) -> Iterator[bytes]:
    """The JSON files of a folder or a zip, or the file itself."""
    if source.is_dir():
        yield from (file.read_bytes() for file in sorted(source.rglob("*.json")))
    elif not source.is_file():
        raise InputError("There is no file {file}; check the path.", file=source)
    elif not zipfile.is_zipfile(source):
        yield source.read_bytes()
    else:
        try:
            with zipfile.ZipFile(source) as archive:
                for entry in archive.infolist():
                    if entry.filename.endswith(".json") and entry.file_size <= _LARGEST:
                        yield archive.read(entry)
        except UNREADABLE:
            raise _no_advisories(source) from None


def _advisories(content: bytes, source: Path) -> Iterator[dict[str, Any]]:
    """Those of one file: an advisory, a list of them, or the answer of a server (`vulns`)."""
    try:
        read = json.loads(content)
    except (ValueError, RecursionError):
        raise _no_advisories(source) from None
    listed = read if isinstance(read, list) else read.get("vulns", [read]) if isinstance(read, dict) else []
    yield from (item for item in listed if isinstance(item, dict) and not item.get("withdrawn"))


def _about(advisory: dict[str, Any], by_name: dict[tuple[str, str], list[Part]]) -> Iterator[Vulnerability]:
    for affected in advisory.get("affected") or ():
        package = affected.get("package") or {}
        ecosystem, name = str(package.get("ecosystem")), str(package.get("name"))
        known = canonicalize_name(name) if ecosystem == "PyPI" else name
        for part in by_name.get((ecosystem, known), ()):
            if _affects(affected, part.version):
                events = [
                    event for found in affected.get("ranges") or () for event in found.get("events") or ()
                ]
                yield Vulnerability(
                    str(advisory.get("id")),
                    tuple(map(str, advisory.get("aliases") or ())),
                    part,
                    " ".join(str(advisory.get("summary") or advisory.get("details") or "").split())[:300],
                    tuple(sorted({str(event["fixed"]) for event in events if "fixed" in event})),
                )


def _affects(affected: dict[str, Any], version: str) -> bool:
    """Whether a version is affected, as OSV evaluates it; one that cannot be compared counts as affected."""
    if version in (affected.get("versions") or ()):
        return True
    try:
        own = Version(Version(version).public)
        for found in affected.get("ranges") or ():
            if found.get("type") == "GIT":
                continue
            events = [
                (Version(str(value)), kind)
                for event in found.get("events") or ()
                for kind, value in event.items()
                if kind in ("introduced", "fixed", "last_affected")
            ]
            inside = False
            for place, kind in sorted(events):
                if kind == "introduced":
                    inside = inside or own >= place
                elif own > place or (kind == "fixed" and own == place):
                    inside = False
            if inside:
                return True
    except InvalidVersion:
        return True
    return False


def _no_advisories(source: Path) -> InputError:
    return InputError(
        "{file} holds no advisories in the OSV format; docs/how-to/release.md says where there are some.",
        file=source,
    )
