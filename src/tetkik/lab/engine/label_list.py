"""Labels as the user names them on the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress

from tetkik.bundle.hub import user_path
from tetkik.errors import InputError, UsageError


def read_names(text: str) -> list[str]:
    """Names from a file (one a line, commas, or a JSON list), or from a comma list."""
    path = user_path(text)
    try:
        is_file = path.is_file()
    except OSError:  # a list of labels is longer than any name of a file
        is_file = False
    if is_file:
        try:
            text = path.read_text("utf-8-sig")
        except UnicodeDecodeError:
            raise InputError("{file} is not text in UTF-8; save it as UTF-8.", file=path) from None
    elif "," not in text and path.suffix in {".txt", ".json", ".csv"}:
        raise InputError("There is no file {file}; check the path.", file=path)
    names = [name.strip() for name in _split(text) if name.strip()]
    if not names or not all(name.isprintable() for name in names):
        raise UsageError(
            "--labels {labels} names no labels; give a comma list, or a file with one a line.", labels=path
        )
    if len(set(names)) < len(names):
        raise twice(next(name for name in names if names.count(name) > 1))
    return names


def check_count(source: object, outputs: int, labels: Sequence[str]) -> None:
    """Whether as many labels were given as the model has outputs (`UsageError`)."""
    if outputs != len(labels):
        raise UsageError(
            "{source} has {found} outputs and {named} labels were given; name as many labels as it has "
            "outputs, in their order.",
            source=source,
            found=outputs,
            named=len(labels),
        )


def twice(label: str) -> UsageError:
    return UsageError("--labels names {label} twice; each output needs a label of its own.", label=label)


def _split(text: str) -> list[str]:
    if text.lstrip().startswith("["):
        with suppress(ValueError):
            return [str(value) for value in json.loads(text)]
    return re.split(r"[,;\n]", text)
