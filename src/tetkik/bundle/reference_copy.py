"""A bundle with another reference: always a copy, for what it answered quotes the hash of its manifest."""

from __future__ import annotations

import shutil
from pathlib import Path

from tetkik.bundle.card import reference_section, with_section
from tetkik.bundle.reference import AnyReference, write_reference
from tetkik.bundle.store import Bundle, open_bundle, staged_folder, write_manifest
from tetkik.errors import UsageError


def refuse_same_folder(bundle: Bundle, folder: Path) -> None:
    """A bundle is never changed in its place (`UsageError`): runs quote the hash of its manifest."""
    if folder.resolve() == bundle.path.resolve():
        raise UsageError(
            "--out {path} is the model itself, which stays as it is; give another folder.", path=folder
        )


def with_reference(bundle: Bundle, reference: AnyReference, folder: Path, name: str | None = None) -> Bundle:
    """Write a copy of a bundle, under the id `name` or its own, that has this reference; one that it had
    goes.

    Raises:
        UsageError: `folder` is the bundle itself.
        OutputError: `folder` holds something else.
    """
    refuse_same_folder(bundle, folder)
    manifest = bundle.manifest if name is None else bundle.manifest.model_copy(update={"id": name})
    with staged_folder(folder) as stage:
        for file in bundle.manifest.files:
            target = stage / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle.path / file, target)
        write_reference(stage, reference)
        card = stage / "README.md"
        text = card.read_text("utf-8") if card.is_file() else f"# {manifest.name}\n"
        text = text.replace(f"# {bundle.manifest.name}\n", f"# {manifest.name}\n", 1)
        text = text.replace(f"--model {bundle.manifest.id}\n", f"--model {manifest.id}\n")
        card.write_text(with_section(text, reference_section(reference)), encoding="utf-8")
        write_manifest(stage, manifest)
    return open_bundle(folder, bundle.manifest.task)
