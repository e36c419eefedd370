"""The modules of a page as one script: a browser asks for one file instead of forty.

Each module becomes a function that runs once, in the order of the imports, so that names stay its own.
Understood is what the modules of this package use: named imports, and `export` before a declaration that is
never assigned anew.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from functools import cache
from importlib import resources

_IMPORT = re.compile(r"^import \{([^}]*)\} from '([^']+)';$|^import \{([^}]*)\} from \"([^\"]+)\";$", re.M)
_LATER = re.compile(r"\bawait import\('([^']+)'\)")
_EXPORT = re.compile(r"^export ((?:async )?(?:function\*?|class|const) (\w+))", re.M)
_COMMENT = re.compile(r"^[ \t]*(?:/\*\*(?:(?!\*/).)*\*/|//[^\n]*)\n", re.M | re.S)


@cache
def bundled(path: str) -> tuple[str, str]:
    """The script at `path` under `static/` with all that it imports, and its address."""
    modules: dict[str, str] = {}
    _add(path, modules, set())
    text = "const modules = {};\n" + "".join(modules.values())
    return text, f"/static/bundle/{path}?v={hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _add(path: str, modules: dict[str, str], seen: set[str]) -> None:
    if path in seen:
        return
    seen.add(path)
    text = resources.files("tetkik.service").joinpath("static", *path.split("/")).read_text("utf-8")
    text = _COMMENT.sub("", text)
    folder = posixpath.dirname(path)

    def named(match: re.Match[str]) -> str:
        names, source = match[1] or match[3], match[2] or match[4]
        wanted = posixpath.normpath(posixpath.join(folder, source))
        _add(wanted, modules, seen)
        return f"const {{{names.replace(' as ', ': ')}}} = modules['{wanted}'];"

    def later(match: re.Match[str]) -> str:
        wanted = posixpath.normpath(posixpath.join(folder, match[1]))
        if wanted.startswith("vendor/"):
            return f"await import('/static/{wanted}')"
        _add(wanted, modules, seen)
        return f"modules['{wanted}']"

    text = _LATER.sub(later, _IMPORT.sub(named, text))
    names = ", ".join(match[2] for match in _EXPORT.finditer(text))
    body = _EXPORT.sub(r"\1", text)
    modules[path] = f"modules['{path}'] = (() => {{\n{body}\nreturn {{ {names} }};\n}})();\n"
