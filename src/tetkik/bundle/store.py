"""Writing, finding, opening and verifying bundles on disk.

A bundle is never unpickled: weights are ONNX, safetensors or NPZ without objects, and a pickle offered as a
model is refused by its first bytes.
"""

from __future__ import annotations

import errno
import hashlib
import json
import lzma
import os
import re
import shutil
import stat
import struct
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory, mkdtemp
from typing import Generic, TypeVar

from pydantic import ValidationError

from tetkik.bundle.hub import from_hub, looks_like_hub_id, user_path
from tetkik.bundle.manifest import FORMAT_VERSION, Manifest, Task, check_references
from tetkik.errors import BundleCorrupt, BundleError, BundleMismatch, BundleNotFound, OutputError, as_fault_of
from tetkik.files import written_whole
from tetkik.settings import settings

MANIFEST = "manifest.json"
_MANIFEST_LIMIT = 4 << 20
UNSAFE_SUFFIXES = {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".bin", ".py", ".so", ".dll"}
"""Files that can run code when they are opened; no bundle has them."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle: its folder and what its manifest says."""

    path: Path
    manifest: Manifest

    def file(self, name: str) -> Path:
        """The path of one of its files; `BundleCorrupt` where the manifest names no such file."""
        if name not in self.manifest.files:
            raise BundleCorrupt(
                "{path} has no file {name}; export or train the bundle again.", path=self.path, name=name
            )
        return self.path / name


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def builtin_folder() -> Path:
    return Path(str(resources.files("tetkik.bundle"))) / "builtin"


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Write `manifest.json` into `folder` with the hash of every other file there; returns it filled."""
    files = {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / MANIFEST
    }
    complete = manifest.model_copy(update={"files": files})
    text = json.dumps(complete.model_dump(mode="json"), ensure_ascii=False, indent=2)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return complete


def check_target(target: Path, replaces: Callable[[Path], bool] | None = None) -> None:
    """Refuse (`OutputError`) a `target` that holds something else than what may be replaced."""
    may_go = replaces or is_bundle
    if target.exists() and not (target.is_dir() and (may_go(target) or not any(target.iterdir()))):
        raise OutputError(
            "{target} already holds something that is not a model bundle; choose another --out.",
            target=target,
        )


@contextmanager
def staged_folder(target: Path, replaces: Callable[[Path], bool] | None = None) -> Iterator[Path]:
    """A folder to fill that takes `target`'s place only when the block ends without an error.

    Nothing half-written is left behind, whatever ends the block (a full disk, Ctrl-C). An earlier folder goes
    where `replaces` says that it may, None for a bundle; an `OutputError` where it may not.
    """
    check_target(target, replaces)
    target.parent.mkdir(parents=True, exist_ok=True)
    with as_fault_of(target):
        work = Path(mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    stage, earlier = work / "new", work / "old"
    stage.mkdir()
    try:
        yield stage
        # The earlier bundle only steps aside: nothing is lost where the new one cannot take its place.
        if target.exists():
            target.replace(earlier)
        try:
            stage.replace(target)
        except BaseException:
            if earlier.exists() and not target.exists():
                earlier.replace(target)
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def is_bundle(path: Path) -> bool:
    return (path / MANIFEST).is_file()


def open_bundle(path: Path, task: Task | None = None) -> Bundle:
    """Open the bundle in the folder `path`, for `task` or any, and verify every hash.

    Raises:
        BundleNotFound: no such folder.
        BundleCorrupt: truncated, altered, a pickle, or not a bundle.
        BundleMismatch: for another task, or written by a newer format.
    """
    if path.is_file():
        raise not_a_bundle(path)
    if not path.is_dir():
        raise BundleNotFound(
            "There is no model at {path}; `tetkik models list` names those there are.", path=path
        )
    manifest = read_manifest(path)
    _verify_files(path, manifest)
    check_references(path, manifest.files)
    if task is not None and manifest.task is not task:
        raise BundleMismatch(
            "{path} is a bundle for {found}, not for {wanted}; choose a model for {wanted}.",
            path=path,
            found=manifest.task.value,
            wanted=task.value,
        )
    return Bundle(path, manifest)


def read_manifest(path: Path) -> Manifest:
    """Read and check the manifest in the folder `path` alone; raises like `open_bundle`."""
    file = path / MANIFEST
    if not file.is_file() or file.stat().st_size > _MANIFEST_LIMIT:
        raise BundleCorrupt(
            "{path} is not a model bundle: it has no readable manifest.json; "
            "give the folder that training wrote.",
            path=path,
        )
    try:
        content = json.loads(file.read_text("utf-8"))
        version = content.get("format_version") if isinstance(content, dict) else None
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise BundleMismatch(
                "{path} was written in bundle format {version}, which is newer than this Tetkik; "
                "update Tetkik.",
                path=path,
                version=version,
            )
        # Strictly: "2" is no version, and 1 is no name.
        return Manifest.model_validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise BundleCorrupt(
            "The manifest of {path} is not valid ({field}: {fault}); export or train the bundle again.",
            path=path,
            field=".".join(str(part) for part in first["loc"]) or "manifest",
            fault=first["msg"],
        ) from None
    except (ValueError, RecursionError) as error:
        raise BundleCorrupt(
            "The manifest of {path} is not JSON ({fault}); "
            "the bundle is truncated or altered, fetch it again.",
            path=path,
            fault=type(error).__name__,
        ) from None


def _verify_files(path: Path, manifest: Manifest) -> None:
    for name, digest in manifest.files.items():
        if leads_outside(name):
            raise BundleCorrupt(
                "The manifest of {path} names a file outside it ({name}); do not use this bundle.",
                path=path,
                name=name,
            )
        refuse_code(path, name)
        file = path / name
        if not file.is_file():
            raise BundleCorrupt(
                "{path} lacks its file {name}; the bundle is incomplete, fetch or train it again.",
                path=path,
                name=name,
            )
        if sha256_of(file) != digest:
            raise BundleCorrupt(
                "{path}: {name} does not match the SHA-256 in its manifest; it is truncated or altered, "
                "fetch or train it again.",
                path=path,
                name=name,
            )


def leads_outside(name: str) -> bool:
    """Whether the name of a file in a bundle or an archive leads out of it."""
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts or "\\" in name


def refuse_code(source: Path, name: str) -> None:
    """Refuse (`BundleCorrupt`) what has a file `name` that can run code when it is opened."""
    if PurePosixPath(name).suffix.lower() in UNSAFE_SUFFIXES:
        raise BundleCorrupt(
            "{path} holds {name}, a kind of file that can run code when it is opened; do not use it.",
            path=source,
            name=name,
        )


def not_a_bundle(path: Path) -> BundleCorrupt:
    """What to say of a file that is offered as a model: a pickle, an archive, or neither."""
    with path.open("rb") as file:
        head = file.read(4)
    if head[:1] == b"\x80" or path.suffix in {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".bin", ".ckpt"}:
        return BundleCorrupt(
            "{path} is a pickle, which can run any code when it is opened, so Tetkik never opens one; "
            "give a bundle folder written by `train`.",
            path=path,
        )
    if head == b"PK\x03\x04":
        return BundleCorrupt("{path} is an archive; `tetkik models import {path}` first.", path=path)
    return BundleCorrupt("{path} is not a model bundle; give the folder that training wrote.", path=path)


def resolve(model: str, task: Task | None = None) -> Bundle:
    """Find a model by what the user calls it: a path, a built-in id, an imported id, or a hub id.

    A path is a path; a built-in id resolves without a network; a Hugging Face id (`owner/name`) goes through
    the hub's own client, and only where the setting `offline` is off or the hub's cache already has it.

    Raises:
        BundleNotFound: none of these has it.
    """
    place = place_of(model)
    if place is not None:
        return open_bundle(place, task)
    if looks_like_hub_id(model):
        return open_bundle(from_hub(model), task)
    raise BundleNotFound(
        "There is no model called {model}; `tetkik models list` names those there are, and a path works too.",
        model=model,
    )


def place_of(model: str) -> Path | None:
    """Where on this machine a model lies, unopened; None for an id of the hub, and where there is no such
    model.
    """
    path = user_path(model)
    if model and (path.exists() or model.startswith((".", "/", "~"))):
        return path
    if re.fullmatch(r"[\w.-]+", model):
        for folder in (builtin_folder(), settings().models_dir):
            if is_bundle(folder / model):
                return folder / model
    return None


def bundle_folders() -> list[Path]:
    """The folder of every built-in and imported bundle, sound or not, by name; a built-in one comes first."""
    found: dict[str, Path] = {}
    for folder in (builtin_folder(), settings().models_dir):
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                # A dot: an import that is still under way.
                if is_bundle(path) and not path.name.startswith("."):
                    found.setdefault(path.name, path)
    return [found[name] for name in sorted(found)]


def available() -> list[Bundle]:
    """Every built-in and imported bundle with a sound manifest, by name; the weights are not looked at."""
    found = []
    for path in bundle_folders():
        with suppress(BundleCorrupt, BundleMismatch):  # `tetkik models verify` says why
            found.append(Bundle(path, read_manifest(path)))
    return found


# A model that is loaded once and used for as long as its files stay what they were.
#
# A service runs for months, and a bundle is imported anew under its name meanwhile: whoever takes the model
# next gets the new one, whoever has the old one goes on with it, and it leaves the memory with the last of
# them. A model that was taken away is not given any more.


T = TypeVar("T")
_TRIES = 6
_PAUSE = 0.05
"""Seconds between two looks at a bundle that is being replaced; it is a matter of two renamings."""
_Mark = tuple[tuple[str, int, int, int], ...]
"""Name, inode, size and time of change of every file: a bundle that was put in another's place has others."""


@dataclass(frozen=True, slots=True, eq=False)
class CachedModel(Generic[T]):
    """A loaded model and which one it is."""

    model: T
    sha256: str  # of its manifest, which holds the hash of every file; empty where it has none


class ModelCache(Generic[T]):
    """The models of one kind that are loaded in this process, by the name that they are asked for.

    Taking one costs a look at the dates and sizes of its files. A model of the hub stays as it was loaded.
    """

    def __init__(self, load: Callable[[str], T]) -> None:
        self._load = load
        self._lock = threading.RLock()
        self._held: dict[str, tuple[_Mark, CachedModel[T]]] = {}

    def get(self, name: str) -> CachedModel[T]:
        """The model of this name as it is on the disk now.

        Raises:
            BundleError: no such model, damaged, or for another task; or it does not cease to change.
        """
        held = self._held.get(name)
        if held is not None and held[0] == _mark(name):
            return held[1]
        with self._lock:
            return self._loaded(name)

    def _loaded(self, name: str) -> CachedModel[T]:
        for left in reversed(range(_TRIES)):
            mark = _mark(name)
            held = self._held.get(name)
            if held is not None and held[0] == mark:
                return held[1]  # another thread was faster
            try:
                kept = CachedModel(self._load(name), _sha256(name))
            # Whatever half a bundle makes a library raise: it is raised again once the bundle stands still.
            except Exception:
                if not left or (held is None and mark == _mark(name)):
                    self._held.pop(name, None)
                    raise
            else:
                # Files that changed in between may be of two bundles.
                if mark == _mark(name):
                    self._held[name] = mark, kept
                    return kept
                del kept
            time.sleep(_PAUSE)
        raise BundleCorrupt(
            "The model {model} changes while it is being loaded; ask again once its import is through.",
            model=name,
        )


def _sha256(name: str) -> str:
    try:
        return sha256_of((place_of(name) or resolve(name).path) / MANIFEST)
    except (BundleError, OSError):
        return ""  # a model of the hub, or of transformers, that has no manifest


def _mark(name: str) -> _Mark:
    """What tells the files of a model from those of another; empty for a model of the hub, and for none."""
    place = place_of(name)
    try:
        return () if place is None else tuple(sorted(_marks(place, "", whole=is_bundle(place))))
    except OSError:
        return ()  # it is being replaced this very moment


def _marks(folder: Path | str, within: str, *, whole: bool) -> Iterator[tuple[str, int, int, int]]:
    """Of the folder, and of those in it where it is a bundle: any other may hold anything."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if whole and entry.is_dir(follow_symlinks=False):
                yield from _marks(entry.path, f"{within}{entry.name}/", whole=True)
            else:
                about = entry.stat()
                yield f"{within}{entry.name}", about.st_ino, about.st_size, about.st_mtime_ns


# A bundle as one zip file, and back: the archive is treated as hostile.


ZIP = b"PK\x03\x04"
RATIO_LIMIT = 200
"""Times that an entry may grow when it is unpacked; what stays below a mebibyte may grow more."""

UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    RuntimeError,
    ValueError,
    OSError,
)
"""Whatever a damaged or hostile zip makes the reader raise."""


def is_bomb(entry: zipfile.ZipInfo) -> bool:
    """Whether an entry says that it grows beyond reason. One that lies about it is cut off where it says."""
    return entry.file_size > max(1 << 20, entry.compress_size * RATIO_LIMIT)


def is_link(entry: zipfile.ZipInfo) -> bool:
    return stat.S_ISLNK(entry.external_attr >> 16)


def is_folder(entry: zipfile.ZipInfo) -> bool:
    """Whether an entry is a folder; `ZipInfo.is_dir` of older Pythons fails where it has no name at all."""
    return entry.filename.endswith("/")


_FILE_LIMIT = 2_000
_SMALL = 64 << 20
_BYTES_LIMIT = 32 << 30
# Errors of the disk, not of the archive.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}


def export_bundle(bundle: Bundle, target: Path) -> Path:
    """Write `bundle` as the new zip file `target`: the same bytes for the same bundle."""
    if target.exists():
        raise OutputError("{target} exists already; choose another name.", target=target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(target) as whole, zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ["manifest.json", *sorted(bundle.manifest.files)]:
            # A fixed date: two exports of one bundle are equal.
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            file = bundle.path / name
            large = file.stat().st_size >= 1 << 30
            with file.open("rb") as source, archive.open(entry, "w", force_zip64=large) as out:
                shutil.copyfileobj(source, out)
    return target


def import_bundle(source: Path, models_dir: Path) -> Bundle:
    """Take the bundle in the folder or zip `source` into `models_dir`, under its id.

    Raises:
        BundleNotFound: no such file.
        BundleCorrupt: not a bundle, an unsafe archive, or a hash that does not match.
        OutputError: a bundle with that id is there already.
    """
    if not source.exists():
        raise BundleNotFound("There is no file {file}; check the path.", file=source)
    if not (source.is_dir() or source.is_file()):  # a device may have no end
        raise BundleCorrupt("{path} is not a model bundle; give the folder that training wrote.", path=source)
    models_dir.mkdir(parents=True, exist_ok=True)
    # Unpacked where it is to stay: the system's folder for temporary files may be too small for a model.
    with as_fault_of(models_dir):
        unpacked = TemporaryDirectory(prefix=".import-", dir=models_dir)
    with unpacked as temporary:
        bundle = open_bundle(source) if source.is_dir() else _open_zip(source, Path(temporary))
        if is_bundle(builtin_folder() / bundle.manifest.id):
            raise OutputError(
                "{id} is the id of a built-in model, which would hide this one; train it under another id.",
                id=bundle.manifest.id,
            )
        target = models_dir / bundle.manifest.id
        if target.exists():
            raise OutputError(
                "A model called {id} is already in {folder}; remove it first.",
                id=bundle.manifest.id,
                folder=models_dir,
            )
        with staged_folder(target) as stage:
            for name in ["manifest.json", *bundle.manifest.files]:
                (stage / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(bundle.path / name, stage / name)
    return open_bundle(target)


def _open_zip(source: Path, into: Path) -> Bundle:
    folder = _unpack(source, into)
    try:
        return open_bundle(folder)
    except BundleError as error:
        # The user knows the zip, not the folder in which it was unpacked.
        raise type(error)(error.template, **{**error.values, "path": source}) from None


def _unpack(source: Path, into: Path) -> Path:
    if not zipfile.is_zipfile(source):
        with source.open("rb") as file:
            if file.read(4) != ZIP:
                raise not_a_bundle(source)
        raise BundleCorrupt("{path} is a zip that breaks off before its end; fetch it again.", path=source)
    try:
        with zipfile.ZipFile(source) as archive:
            entries = [entry for entry in archive.infolist() if not is_folder(entry)]
            _refuse_unsafe(source, entries)
            left = sum(entry.file_size for entry in entries)
            for entry in entries:
                target = into / PurePosixPath(entry.filename)
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as packed, target.open("wb") as out:
                    while chunk := packed.read(1 << 20):
                        left -= len(chunk)
                        if left < 0:
                            raise BundleCorrupt(
                                "{path} unpacks to more than it says; do not use it.", path=source
                            )
                        out.write(chunk)
    except UNREADABLE as error:
        if isinstance(error, OSError) and error.errno in _DISK:
            raise
        raise BundleCorrupt(
            "{path} is not a readable zip of a bundle ({fault}); fetch it again.",
            path=source,
            fault=type(error).__name__,
        ) from None
    if is_bundle(into):
        return into
    inner = [path for path in into.iterdir() if is_bundle(path)]
    if len(inner) == 1:
        return inner[0]
    raise BundleCorrupt(
        "{path} holds no manifest.json, so it is not a bundle; give the zip that export wrote.", path=source
    )


def _refuse_unsafe(source: Path, entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > _FILE_LIMIT:
        raise BundleCorrupt(
            "{path} holds more than {limit} files; do not use it.", path=source, limit=_FILE_LIMIT
        )
    for entry in entries:
        if leads_outside(entry.filename) or ":" in entry.filename:
            raise BundleCorrupt("{path} names a file outside itself; do not use it.", path=source)
        if is_link(entry):
            raise BundleCorrupt("{path} holds a link; do not use it.", path=source)
        refuse_code(source, entry.filename)
        if is_bomb(entry):
            raise BundleCorrupt("{path} is a decompression bomb; do not use it.", path=source)
    unpacked = sum(entry.file_size for entry in entries)
    # Entries may share their packed bytes.
    if unpacked > max(_SMALL, source.stat().st_size * RATIO_LIMIT):
        raise BundleCorrupt("{path} is a decompression bomb; do not use it.", path=source)
    if unpacked > _BYTES_LIMIT:
        raise BundleCorrupt(
            "{path} unpacks to more than {limit} bytes; do not use it.", path=source, limit=_BYTES_LIMIT
        )
