"""The built-in model as a demonstration reads its drawn films: drafts state whatever is positive.

A demonstration's films are drawn. The operating points of drafts are chosen on films of patients, and hardly
drawing reaches one, so a draft would have nothing to show.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tetkik.bundle import Task, open_bundle, staged_folder, write_manifest
from tetkik.bundle.store import builtin_folder

_BUILT_IN = "findings-mobilenet-cxr"
_ID = "findings-demonstration"


def demonstration_model(folder: Path) -> Path:
    """The bundle in `folder`, written where it is not there yet."""
    if folder.exists():
        return folder
    bundle = open_bundle(builtin_folder() / _BUILT_IN, Task.FINDINGS)
    with staged_folder(folder) as stage:
        shutil.copytree(bundle.path, stage, dirs_exist_ok=True)
        manifest = bundle.manifest
        stated = {**manifest.calibration, "asserts": manifest.thresholds}
        write_manifest(stage, manifest.model_copy(update={"id": _ID, "calibration": stated}))
    return folder
