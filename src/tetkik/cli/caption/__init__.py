"""`tetkik caption`: one module a command."""

from __future__ import annotations

import typer

from tetkik.cli.caption.evaluate import evaluate
from tetkik.cli.caption.predict import predict
from tetkik.cli.caption.prepare import prepare
from tetkik.cli.caption.train import train
from tetkik.cli.console import t

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.command("prepare", help=t("Captioned images in, shards for training out."))(prepare)
app.command("train", help=t("Train a captioner: an adapter on a published model."))(train)
app.command("evaluate", help=t("Judge a captioner on images that its training never opened."))(evaluate)
app.command("predict", help=t("Images in, captions out."))(predict)
