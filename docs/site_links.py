"""A hook of MkDocs: pages from the top of the repository join the site, links to its other files stay right.

The Markdown is written for reading on a forge, where `../CONTRIBUTING.md` and `../benchmarks/triage.py` are
files. In the site the first is a page, and the second a link to the repository.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parent.parent
PAGES = {
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "index.md",
    "README.tr.md": "turkce.md",
    "SECURITY.md": "reporting.md",
}
SHIM = "https://unpkg.com/iframe-worker/shim"
_LINK = re.compile(r"(?P<before>\]\()(?P<link>[^)\s#][^)\s]*)(?=\))")
_HTML = re.compile(r"(?P<before>\b(?:src|href)=\")(?P<link>[^\"#][^\"]*)(?=\")")
_FENCE = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from the top of the repository."""
    from mkdocs.structure.files import File

    for source, target in PAGES.items():
        if target != "index.md":
            text = (ROOT / source).read_text("utf-8")
            files.append(
                File.generated(
                    config, target, content=_relinked(text, "", target, config.extra["repository"])
                )
            )
    return files


def on_page_markdown(markdown: str, *, page: Any, config: MkDocsConfig, files: Files) -> str:
    """Links of the pages below docs/."""
    if page.file.generated_by:
        return markdown
    source = page.file.src_uri
    return _relinked(markdown, posixpath.dirname(f"docs/{source}"), source, config.extra["repository"])


def _relinked(markdown: str, folder: str, page: str, repository: str) -> str:
    """`markdown` of the file in `folder` of the repository, with links for `page` of the site."""

    def link(found: re.Match[str]) -> str:
        address = found["link"]
        if re.match(r"[a-z]+:", address):
            return found[0]
        path, _, anchor = address.partition("#")
        target = posixpath.normpath(posixpath.join(folder, path))
        if target in PAGES:
            target = PAGES[target]
        elif target.startswith("docs/"):
            target = target.removeprefix("docs/")
        else:
            return f"{found['before']}{repository}/blob/main/{target}"
        target = posixpath.relpath(target, posixpath.dirname(page) or ".")
        if found.re is _HTML:
            target = re.sub(r"\.md$", ".html", target)
        return found["before"] + target + (f"#{anchor}" if anchor else "")

    parts, end = [], 0
    for fence in _FENCE.finditer(markdown):
        parts += [_HTML.sub(link, _LINK.sub(link, markdown[end : fence.start()])), fence[0]]
        end = fence.end()
    return "".join([*parts, _HTML.sub(link, _LINK.sub(link, markdown[end:]))])


def on_post_page(output: str, *, page: Any, config: MkDocsConfig) -> str:
    """The theme fetches a script for its search from a public host; ours stands in its place."""
    return output.replace(SHIM, posixpath.relpath("assets/worker.js", posixpath.dirname(page.url) or "."))


def on_post_template(output: str, *, template_name: str, config: MkDocsConfig) -> str:
    """The same for the page of an address that is not there."""
    return output.replace(SHIM, "/assets/worker.js")
