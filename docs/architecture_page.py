"""What docs/architecture.md shows of the code: its layers, who imports whom, and three ways through it.

The layers are those of the contract in pyproject.toml, the imports those of the import graph.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

import grimp

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "tetkik"
REPOSITORY = "../src/tetkik"
ROW, EDGE = 25, 24
"""Height of a row, and the space around the drawing, in pixels."""
LEGEND = (
    "One row for each package, the highest layer first.",
    "A dot: it imports the package of that column.",
)
LABEL = 130
"""Width that the name of the lowest package needs."""


def layers() -> list[list[str]]:
    """The packages of each layer, the highest first; those that are not there yet are left out."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (contract,) = (item for item in contracts if item.get("containers") == ["tetkik"])
    found = [re.findall(r"\w+", layer) for layer in contract["layers"]]
    there = [[name for name in layer if _file(name) is not None] for layer in found]
    return [layer for layer in there if layer]


def imports(packages: Sequence[str]) -> set[tuple[str, str]]:
    """Which package imports which."""
    graph = grimp.build_graph("tetkik", cache_dir=None)
    found = set()
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            pair = tuple(([*name.split("."), ""])[1] for name in (module, imported))
            if pair[0] != pair[1] and set(pair) <= set(packages):
                found.add((pair[0], pair[1]))
    return found


def drawing(rows: Sequence[Sequence[str]], pairs: set[tuple[str, str]]) -> str:
    """The layers as a matrix: names on the diagonal, a dot where the package of the row imports another."""
    names = [name for layer in rows for name in layer]
    place = {name: number for number, name in enumerate(names)}
    width = EDGE + LABEL + ROW * len(names) + EDGE
    height = EDGE + ROW * len(names) + EDGE
    left = EDGE + LABEL
    parts = []
    start = 0
    for number, layer in enumerate(rows):
        if number % 2 == 0:
            top, size = EDGE + start * ROW, len(layer) * ROW
            parts.append(f'<rect class="band" x="0" y="{top}" width="{width}" height="{size}"/>')
        start += len(layer)
    for name, number in place.items():
        x, y = left + number * ROW + ROW / 2, EDGE + number * ROW + ROW / 2
        parts.append(f'<path class="guide" d="M{x:g} {EDGE} V{y - ROW / 2:g}"/>')
        parts.append(f'<rect class="own" x="{x - 7:g}" y="{y - 7:g}" width="14" height="14" rx="3"/>')
        parts.append(f'<text x="{x - 15:g}" y="{y + 4.5:g}">{name}</text>')
    for one, other in sorted(pairs, key=lambda pair: (place[pair[0]], place[pair[1]])):
        x, y = left + place[other] * ROW + ROW / 2, EDGE + place[one] * ROW + ROW / 2
        kind = "dot" if place[one] < place[other] else "dot up"
        label = f"{one} imports {other}"
        parts.append(f'<circle class="{kind}" cx="{x:g}" cy="{y:g}" r="4.5"><title>{label}</title></circle>')
    for number, line in enumerate(LEGEND):
        parts.append(
            f'<text class="legend" x="{EDGE}" y="{height - 2 * EDGE - 18 * (2 - number)}">{line}</text>'
        )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}" role="img" aria-label="The packages of Tetkik by layer, and their imports">',
            "<!-- Written by docs/generate.py from the code. -->",
            "<style>",
            "text { font: 14px system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; fill: #16252b;",
            "  text-anchor: end }",
            ".legend { text-anchor: start; font-size: 12px; opacity: 0.75 }",
            ".ground { fill: #fff } .band { fill: #eef4f5 } .own { fill: #1c7a84 } .dot { fill: #5aa9b1 }",
            ".up { fill: #c22f2a } .guide { stroke: #c9d6d9; fill: none }",
            "@media (prefers-color-scheme: dark) {",
            "  text { fill: #e4edef } .ground { fill: #141f23 } .band { fill: #1b2a2f }",
            "  .own { fill: #5fc3cd } .dot { fill: #3f959e } .guide { stroke: #2d4147 } }",
            "</style>",
            f'<rect class="ground" width="{width}" height="{height}" rx="8"/>',
            *parts,
            "</svg>",
            "",
        ]
    )


def rows_of_packages(packages: Sequence[str]) -> list[tuple[str, str]]:
    """Each package with the first sentence of its docstring."""
    rows = []
    for name in packages:
        file = _file(name)
        assert file is not None
        says = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
        rows.append((f"`{name}`", re.split(r"(?<=\.)\s", " ".join(says.split()))[0]))
    return rows


def steps(way: str) -> list[tuple[str, str]]:
    """The steps of a way, each with a link to its module.

    Raises:
        FileNotFoundError: the module of a step does not exist.
    """
    rows = []
    for step in tomllib.loads((ROOT / "docs" / "ways.toml").read_text("utf-8"))[way]:
        path = step["module"]
        if not (SOURCE / path).is_file():
            raise FileNotFoundError(f"docs/ways.toml: {path}")
        rows.append((step["step"], f"[`{path}`]({REPOSITORY}/{path})"))
    return rows


def _file(name: str) -> Path | None:
    candidates = (SOURCE / name / "__init__.py", SOURCE / f"{name}.py")
    return next((file for file in candidates if file.is_file()), None)
