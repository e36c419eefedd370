"""Options that commands of several groups take: each has one name, one help text, and one place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tetkik.cli.console import t
from tetkik.language import Language
from tetkik.training.precision import Precision

# What is printed

AsJson = Annotated[bool, typer.Option("--json", help=t("Print JSON instead of a table."))]
AsJsonLines = Annotated[bool, typer.Option("--json", help=t("Print one JSON object a line."))]
AsJsonFigures = Annotated[bool, typer.Option("--json", help=t("Print the figures as one JSON object."))]
AsJsonObject = Annotated[bool, typer.Option("--json", help=t("Print one JSON object."))]
Pictures = Annotated[
    Path | None, typer.Option("--out", help=t("A folder for the pictures, metrics.json and report.html."))
]

# What is read

Images = Annotated[
    list[str] | None,
    typer.Argument(help=t("Images, folders of them, or quoted patterns."), metavar="IMAGE"),
]
ImageList = Annotated[
    str | None,
    typer.Option("--input", help=t("A text file with one path a line, or -."), metavar="FILE"),
]
PriorFindings = Annotated[
    Path | None,
    typer.Option(
        "--prior", help=t("The findings of an earlier image of the same patient."), metavar="F.json"
    ),
]
Model = Annotated[
    str | None,
    typer.Option("--model", help=t("A built-in or imported id, a path, or a Hugging Face id.")),
]
ReportLanguage = Annotated[
    Language | None,
    typer.Option(
        "--language", help=t("Language of the report: tr or en. Default: the setting report_language.")
    ),
]
FromDay = Annotated[
    str | None, typer.Option("--from", help=t("From this day on: 2026-11-21."), metavar="DAY")
]
ToDay = Annotated[str | None, typer.Option("--to", help=t("Up to this day, it included."), metavar="DAY")]

# A bundle that is made

BundleFolder = Annotated[Path, typer.Option("--out", help=t("The folder of the bundle to write."))]
BundleName = Annotated[
    str | None, typer.Option("--id", help=t("Name of the model; without it the folder's name."))
]
Licence = Annotated[str, typer.Option("--licence", help=t("Licence of the weights, for the card."))]
DataName = Annotated[str, typer.Option("--data-name", help=t("What the card calls the data."))]

# A training

Resume = Annotated[
    bool, typer.Option("--resume", help=t("Go on with an interrupted training of the same data."))
]
PlanOnly = Annotated[
    bool, typer.Option("--plan", help=t("Only say how much memory the training would need."))
]
Trials = Annotated[
    int, typer.Option("--tune", min=0, help=t("How many settings to try first, on validation."))
]
Epochs = Annotated[int, typer.Option("--epochs", min=1, help=t("Most passes over the data."))]
Patience = Annotated[int, typer.Option("--patience", min=1, help=t("Epochs without a gain before it stops."))]
NumberFormat = Annotated[Precision, typer.Option("--precision", help=t("Numbers to train in."))]
Accumulation = Annotated[
    int, typer.Option("--accumulation", min=1, help=t("Parts of a step, to save memory."))
]
Threads = Annotated[int, typer.Option("--threads", min=0, help=t("CPU threads; 0 leaves torch's choice."))]
