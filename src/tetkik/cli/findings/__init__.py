"""`tetkik findings`: one module a command."""

from __future__ import annotations

import typer

from tetkik.cli.console import t
from tetkik.cli.findings.evaluate import calibrate, compare, evaluate, reference
from tetkik.cli.findings.export_feedback import export_feedback
from tetkik.cli.findings.import_ import import_checkpoint
from tetkik.cli.findings.predict import predict
from tetkik.cli.findings.quantize import quantize
from tetkik.cli.findings.sources import sources
from tetkik.cli.findings.train import train

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.command("predict", help=t("Radiographs in, findings out."))(predict)
app.command("train", help=t("Train a model on labelled images."))(train)
app.command("evaluate", help=t("Judge a model on labelled images."))(evaluate)
app.command("compare", help=t("Two models on several labelled sets at once."))(compare)
app.command("calibrate", help=t("Fit calibration and thresholds of a model to labelled images."))(calibrate)
app.command("import", help=t("Take in a checkpoint, or a model of transformers."))(import_checkpoint)
app.command("export-feedback", help=t("What radiologists said of findings, for retraining."))(export_feedback)
app.command("quantize", help=t("Write a model in int8."))(quantize)
app.command("reference", help=t("Give a model the reference that its drift is measured against."))(reference)
app.command("sources", help=t("What labelled sources hold together, and where they overlap."))(sources)
