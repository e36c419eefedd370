"""Where a command writes a bundle, looked at before the work."""

from __future__ import annotations

from pathlib import Path

from tetkik.bundle import bundle_id
from tetkik.errors import UsageError


def check_output_folder(folder: Path, name: str | None) -> None:
    """Refuse an impossible output before the work, not after.

    Raises:
        UsageError: a file's ending, or a name that no model can have.
    """
    if folder.suffix in {".zip", ".csv", ".onnx"}:
        raise UsageError("--out {path} must be a folder; leave the ending out.", path=folder)
    if name is not None and name != bundle_id(name):
        raise UsageError(
            "--id {name} is no name for a model; use letters without accents, digits, dots and dashes, at "
            "most 100.",
            name=name,
        )
