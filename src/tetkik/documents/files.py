"""Files that are written all together or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp


def write_files(contents: Mapping[str, bytes], folder: Path) -> tuple[Path, ...]:
    """Write `contents`, by file name, into `folder`, all or nothing; the sorted files.

    Files of these names are replaced; others there are left alone.
    """
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    stage = Path(mkdtemp(prefix=".partial.", dir=folder))
    try:
        for name, content in contents.items():
            (stage / name).write_bytes(content)
        for name in contents:
            os.replace(stage / name, folder / name)  # noqa: PTH105 - the name says that it is atomic
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        if new and not any(folder.iterdir()):
            folder.rmdir()
    return tuple(sorted(folder / name for name in contents))
