"""Options that several commands have, each declared once.

Modules are imported before the language is known, so a help text is marked here and translated when the
command is built (`translation.Command`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def marked(template: str) -> str:
    """A help text that is translated later."""
    return template


TableAsJson = Annotated[bool, typer.Option("--json", help=marked("Print JSON instead of a table."))]
LinesAsJson = Annotated[bool, typer.Option("--json", help=marked("Print one JSON object a line."))]
FiguresAsJson = Annotated[bool, typer.Option("--json", help=marked("Print the figures as one JSON object."))]
AnswerAsJson = Annotated[bool, typer.Option("--json", help=marked("Print one JSON object."))]
_MODEL = marked("A built-in or imported id, a path, or a Hugging Face id.")
Model = Annotated[str | None, typer.Option("--model", help=_MODEL)]
NeededModel = Annotated[str, typer.Option("--model", help=_MODEL)]
Replicates = Annotated[
    int, typer.Option("--bootstrap", min=0, help=marked("Replicates for the intervals; 0 for none."))
]
EvaluationFolder = Annotated[
    Path | None,
    typer.Option("--out", help=marked("A folder for the pictures, metrics.json and report.html.")),
]
BundleFolder = Annotated[Path, typer.Option("--out", help=marked("The folder of the bundle to write."))]
ZipFile = Annotated[Path, typer.Option("--out", help=marked("The zip file to write."))]
ModelName = Annotated[
    str | None, typer.Option("--id", help=marked("Name of the model; without it the folder's name."))
]
CopyName = Annotated[
    str | None, typer.Option("--id", help=marked("Name of the new model; without it the old one."))
]
Paths = Annotated[
    str | None,
    typer.Option("--input", help=marked("A text file with one path a line, or -."), metavar="FILE"),
]
Since = Annotated[
    str | None, typer.Option("--from", help=marked("From this day on: 2026-11-21."), metavar="DAY")
]
Licence = Annotated[str, typer.Option("--licence", help=marked("Licence of the weights, for the card."))]
Resume = Annotated[
    bool, typer.Option("--resume", help=marked("Go on with an interrupted training of the same data."))
]
