"""Options that several commands of the lab share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tetkik.cli.console import t

_MODEL = t("A built-in or imported id, a path, or a Hugging Face id.")

OptionalModel = Annotated[str | None, typer.Option("--model", help=_MODEL)]
NeededModel = Annotated[str, typer.Option("--model", help=_MODEL)]
AsJson = Annotated[bool, typer.Option("--json", help=t("Print JSON instead of a table."))]
Replicates = Annotated[
    int, typer.Option("--bootstrap", min=0, help=t("Replicates for the intervals; 0 for none."))
]
EvaluationFolder = Annotated[
    Path | None, typer.Option("--out", help=t("A folder for the pictures, metrics.json and report.html."))
]
BundleFolder = Annotated[Path, typer.Option("--out", help=t("The folder of the bundle to write."))]
BundleName = Annotated[
    str | None, typer.Option("--id", help=t("Name of the new model; without it the old one."))
]
