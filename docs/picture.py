"""Draw the pictures of the README from what `tetkik demo` really prints.

    python docs/picture.py

Writes `assets/demo.svg` (English) and `assets/demo.tr.svg` (Turkish). The pictures stand alone: no font is
fetched from anywhere.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

FOLDER = Path(__file__).parent / "assets"
PICTURES = {"en": "demo.svg", "tr": "demo.tr.svg"}
WIDTH = 100
"""Columns of the terminal."""
FONTS = "'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace"
# Background, text, then the eight colours of a terminal from black to white, and the eight bright ones.
THEME = TerminalTheme(
    (24, 28, 33),
    (222, 226, 230),
    [
        (24, 28, 33),
        (210, 70, 64),
        (118, 196, 128),
        (230, 190, 86),
        (96, 154, 214),
        (186, 140, 200),
        (92, 184, 190),
        (222, 226, 230),
    ],
    [
        (130, 138, 146),
        (236, 104, 98),
        (140, 210, 148),
        (240, 206, 116),
        (130, 180, 232),
        (206, 168, 218),
        (126, 206, 212),
        (255, 255, 255),
    ],
)


def printed(language: str) -> str:
    """What `tetkik demo` prints on a terminal of `WIDTH` columns, colours included."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("TETKIK_")}
    terminal = {"FORCE_COLOR": "1", "NO_COLOR": "", "TERM": "xterm", "COLORTERM": "", "COLUMNS": str(WIDTH)}
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run(
            [sys.executable, "-c", "from tetkik.cli import main; main()", "demo"],
            # No settings of this machine: the folder has no tetkik.toml.
            env={**own, **terminal, "TETKIK_LANGUAGE": language, "XDG_CONFIG_HOME": folder},
            cwd=folder,
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
    return result.stdout


def picture(language: str) -> str:
    """The SVG."""
    console = Console(record=True, width=WIDTH, file=StringIO(), legacy_windows=False)
    # With an empty line at the end, or the frame would cut the descenders of the last line.
    console.print(Text.from_ansi(printed(language).rstrip()), end="\n\n")
    svg = console.export_svg(title="tetkik demo", theme=THEME, unique_id=f"demo-{language}")
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    return re.sub(r"font-family: (?:Fira Code|arial)[^;]*;", f"font-family: {FONTS};", svg)


def main() -> None:
    """Write both pictures."""
    FOLDER.mkdir(exist_ok=True)
    for language, name in PICTURES.items():
        (FOLDER / name).write_text(picture(language), encoding="utf-8")
        print(FOLDER / name)


if __name__ == "__main__":
    main()
