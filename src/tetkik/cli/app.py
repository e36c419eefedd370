"""The command `tetkik` and its groups."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tetkik import __version__
from tetkik.cli import (
    audit,
    backup,
    caption,
    deidentify,
    demo,
    doctor,
    findings,
    hl7,
    keys,
    listen,
    models,
    phone,
    privacy,
    report,
    serve,
    sign_agent,
    triage,
    trial,
    users,
    worker,
)
from tetkik.cli.console import out, t
from tetkik.cli.translation import Root, translated
from tetkik.values import DISCLAIMER

app = typer.Typer(
    name="tetkik",
    cls=Root,
    help=t(
        "From a complaint in Turkish to the right department, from a radiograph to its findings and a "
        "draft of its report. {disclaimer}",
        disclaimer=t(DISCLAIMER["en"]),
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("demo", help=t("The main job, end to end, on built-in examples or your own."))(demo.demo)
app.command("doctor", help=t("What is installed, what is missing, which models and device."))(doctor.doctor)
app.add_typer(triage.app, name="triage", help=t("From a complaint to a department, with its urgency."))
app.add_typer(findings.app, name="findings", help=t("From a radiograph to its findings, with heatmaps."))
app.add_typer(caption.app, name="caption", help=t("From a radiology image to a caption in English."))
app.add_typer(report.app, name="report", help=t("From findings to a draft report, checked and documented."))
app.command("deidentify", help=t("DICOM files in, the same without what identifies out."))(
    deidentify.deidentify
)
app.add_typer(hl7.app, name="hl7", help=t("Messages of the hospital's systems: check them before they come."))
app.add_typer(trial.app, name="trial", help=t("A silent trial: a model unseen beside the signed reports."))
app.add_typer(models.app, name="models", help=t("Model bundles: list, show, verify, import, export, push."))
app.command("serve", help=t("The reading room: cases, worklist, reports, in a browser."))(serve.serve)
app.command("worker", help=t("Reads the images that wait for a model, beside tetkik serve."))(worker.worker)
app.command("listen", help=t("The hospital's systems: studies and orders come in by DICOM and HL7."))(
    listen.listen
)
app.command("sign-agent", help=t("Beside a signature card: signs PDFs of reports, for pages of one server."))(
    sign_agent.sign_agent
)
app.command("phone", help=t("For phones: the Android package and the iOS profile of an address."))(
    phone.phone
)
app.add_typer(users.app, name="users", help=t("Who works here: add, list, roles, disable, reset, unlock."))
app.add_typer(audit.app, name="audit", help=t("Who did what: verify, list, export the trail."))
app.command("backup", help=t("Everything that the hospital keeps in one encrypted file."))(backup.backup)
app.command("restore", help=t("A backup given back to an empty installation."))(backup.restore)
app.add_typer(keys.app, name="keys", help=t("The master key: which it is, and replacing it."))
app.command("retention", help=t("Do now what is due: the service does it once a day."))(privacy.retention)
app.add_typer(privacy.app, name="privacy", help=t("A patient's own data: export, erase."))
translated(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"tetkik {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help=t("Print the version and stop."), callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Options of the command itself."""


def main() -> None:
    for stream in (sys.stdout, sys.stderr):
        # A Windows or C locale must not turn ğ into an error.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    app(prog_name="tetkik")
