"""`tetkik report`: one module a command."""

from __future__ import annotations

import typer

from tetkik.cli.console import t
from tetkik.cli.report import passages
from tetkik.cli.report.draft import check, draft, teach
from tetkik.cli.report.evaluate import evaluate

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.command("draft", help=t("From an image or its findings to a draft report and its documents."))(draft)
app.command("check", help=t("Any report, sentence by sentence, against the findings."))(check)
app.command("evaluate", help=t("Drafts against signed reports: figures with intervals."))(evaluate)
app.command("teach", help=t("An example report for chosen findings; an exercise about no patient."))(teach)
app.add_typer(
    passages.app, name="passages", help=t("What a draft may cite: search it, add the hospital's own.")
)
