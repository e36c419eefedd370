"""PDF, read by pypdf in a process of its own, which a hostile file may exhaust without harm.

    python -m tetkik.report.passages.pdf FILE

prints the lines of the document as a JSON list, or an object with a `fault`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

from tetkik.errors import InputError, MissingExtra

SECONDS = 60
_MEMORY = 2 << 30
_MOST_PAGES = 500
_MOST_CHARACTERS = 2_500_000


def read_pdf(path: Path) -> list[str]:
    """The lines of a PDF; an empty one after each page and between blocks.

    Raises MissingExtra without pypdf, and InputError for a file that is damaged, protected by a password, too
    long, or not read within a minute.
    """
    if find_spec("pypdf") is None:
        raise MissingExtra("Reading PDF needs the package pypdf; `pip install 'tetkik[passages]'`.")
    # The parent's path of modules, and not the working folder: a file there must not pass for a module.
    modules = os.pathsep.join(place for place in sys.path if place)
    command = [sys.executable, "-P", "-m", "tetkik.report.passages.pdf", str(path.absolute())]
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            command,
            capture_output=True,
            timeout=SECONDS,
            check=False,
            env={**os.environ, "PYTHONPATH": modules},
        )
        answer = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        answer = {"fault": "damaged"}
    if isinstance(answer, list):
        return [str(line) for line in answer]
    if answer["fault"] == "password":
        raise InputError(
            "{file} is protected by a password; save it without one and add it again.", file=path
        )
    if answer["fault"] == "long":
        raise InputError(
            "{file} is too large for a document of passages; add the part that matters.", file=path
        )
    raise InputError("{file} cannot be read as PDF; save it again, or as DOCX or text.", file=path)


def _lines(path: Path) -> list[str] | dict[str, str]:
    import pypdf
    from pypdf.errors import DependencyError, PyPdfError

    _bound_memory()
    try:
        reader = pypdf.PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            return {"fault": "password"}
        if len(reader.pages) > _MOST_PAGES:
            return {"fault": "long"}
        pages: list[list[str]] = []
        size = 0
        for page in reader.pages:
            text = page.extract_text() or ""
            pages.append(text.splitlines())
            size += len(text)
            if size > _MOST_CHARACTERS:
                return {"fault": "long"}
    except DependencyError:
        return {"fault": "password"}
    # What a damaged file can raise inside the parser is not bounded by a list of classes.
    except (PyPdfError, Exception, RecursionError, MemoryError):
        return {"fault": "damaged"}
    return _without_running_heads(pages)


def _without_running_heads(pages: list[list[str]]) -> list[str]:
    """The lines of all pages without numbers of pages and without what stands on most of them."""
    often = Counter(line.strip() for page in pages for line in dict.fromkeys(page))
    most = max(3, len(pages) // 2 + 1)
    kept = []
    for page in pages:
        kept += [line for line in page if not line.strip().isdecimal() and often[line.strip()] < most]
        kept.append("")
    return kept


def _bound_memory() -> None:
    """What a packed stream may grow to is bounded by pypdf itself; this bounds all of it together."""
    try:
        import resource
    except ImportError:  # Windows, where the time limit has to do
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_lines(Path(sys.argv[1]))))
