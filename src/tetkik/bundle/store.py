"""Writing, finding, opening and verifying bundles on disk.

A bundle is never unpickled: weights are ONNX, safetensors or NPZ without objects, and a pickle offered as a
model is refused by its first bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp

from pydantic import ValidationError

from tetkik.bundle.hub import from_hub, looks_like_hub_id, user_path
from tetkik.bundle.manifest import FORMAT_VERSION, Manifest, Task
from tetkik.bundle.references import check_references
from tetkik.errors import BundleCorrupt, BundleMismatch, BundleNotFound, OutputError, as_fault_of
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
