"""`tetkik triage`: one module a command."""

from __future__ import annotations

import typer

from tetkik.cli.console import t
from tetkik.cli.triage.clean import clean
from tetkik.cli.triage.collect import collect
from tetkik.cli.triage.evaluate import compare, evaluate, reference
from tetkik.cli.triage.export_feedback import export_feedback
from tetkik.cli.triage.import_ import import_model
from tetkik.cli.triage.predict import predict
from tetkik.cli.triage.train import train

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.command("predict", help=t("Complaints in, departments and urgency out."))(predict)
app.command("train", help=t("Train a model on a table of complaints."))(train)
app.command("evaluate", help=t("Judge a model on a labelled table."))(evaluate)
app.command("compare", help=t("Two models on one table, with McNemar's test."))(compare)
app.command("import", help=t("Take in a text classifier of transformers."))(import_model)
app.command("reference", help=t("Give a model the reference that its drift is measured against."))(reference)
app.command("collect", help=t("Crawl a question-and-answer site, with permission."))(collect)
app.command("clean", help=t("Files of any kind into one clean table."))(clean)
app.command("export-feedback", help=t("What people at the desk decided, for retraining."))(export_feedback)
