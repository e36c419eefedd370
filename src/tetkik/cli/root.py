"""The command `tetkik` and its groups; only the one that is called is loaded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

from tetkik import __version__
from tetkik.cli.console import out, t
from tetkik.cli.translation import Root, translated
from tetkik.values import DISCLAIMER

_COMMANDS = {
    "demo": ("demo:demo", t("The main job, end to end, on built-in examples or your own.")),
    "doctor": ("doctor:doctor", t("What is installed, what is missing, which models and device.")),
    "triage": ("triage:app", t("From a complaint to a department, with its urgency.")),
    "findings": ("findings:app", t("From a radiograph to its findings, with heatmaps.")),
    "caption": ("caption:app", t("From a radiology image to a caption in English.")),
    "report": ("report:app", t("From findings to a draft report, checked and documented.")),
    "bulk": ("bulk:app", t("Whole archives and tables into Parquet, also on a Ray cluster.")),
    "deidentify": ("deidentify:deidentify", t("DICOM files in, the same without what identifies out.")),
    "hl7": ("hl7:app", t("Messages of the hospital's systems: check them before they come.")),
    "trial": ("trial:app", t("A silent trial: a model unseen beside the signed reports.")),
    "models": ("models:app", t("Model bundles: list, show, verify, import, export, push.")),
    "serve": ("serve:serve", t("The reading room: cases, worklist, reports, in a browser.")),
    "worker": ("serve:worker", t("Reads the images that wait for a model, beside tetkik serve.")),
    "listen": ("listen:listen", t("The hospital's systems: studies and orders come in by DICOM and HL7.")),
    "sign-agent": (
        "sign_agent:sign_agent",
        t("Beside a signature card: signs PDFs of reports, for pages of one server."),
    ),
    "phone": ("phone:phone", t("For phones: the Android package and the iOS profile of an address.")),
    "users": ("users:app", t("Who works here: add, list, roles, disable, reset, unlock.")),
    "audit": ("audit:app", t("Who did what: verify, list, export the trail.")),
    "backup": ("backup:backup", t("Everything that the hospital keeps in one encrypted file.")),
    "restore": ("backup:restore", t("A backup given back to an empty installation.")),
    "keys": ("keys:app", t("The master key: which it is, and replacing it.")),
    "retention": ("privacy:retention", t("Do now what is due: the service does it once a day.")),
    "privacy": ("privacy:app", t("A patient's own data: export, erase.")),
}
"""Where a command, or a group of them, stands in this package, and its line in the help."""


def build_app(words: Sequence[str] | None = None) -> typer.Typer:
    """The command with the group that the first of `words` names, or with all where it names none.

    Options alone ask for the page of help or the version, and need no more of a command than its line there.
    """
    loads = (
        words is None or any(not word.startswith("-") for word in words) or "_TETKIK_COMPLETE" in os.environ
    )
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
    app.callback()(_root)
    for name in _COMMANDS.keys() & set(words[:1] if words else ()) or _COMMANDS:
        (module, _, attribute), line = _COMMANDS[name][0].partition(":"), _COMMANDS[name][1]
        if loads:
            loaded = getattr(import_module(f"tetkik.cli.{module}"), attribute)
        else:
            loaded = typer.Typer() if attribute == "app" else lambda: None
        if isinstance(loaded, typer.Typer):
            app.add_typer(loaded, name=name, help=line)
        else:
            app.command(name, help=line)(loaded)
    return translated(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"tetkik {__version__}")
        raise typer.Exit


def _root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help=t("Print the version and stop."), callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Options of the command itself."""
