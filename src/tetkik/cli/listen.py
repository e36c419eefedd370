"""`tetkik listen`: studies and orders of the hospital's systems come in, by DICOM and HL7."""

from __future__ import annotations

from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from tetkik.bundle.manifest import Task
from tetkik.bundle.store import resolve
from tetkik.cli.console import out, print_line
from tetkik.cli.options import option
from tetkik.cli.serve import refuse_root, use_time_zone
from tetkik.errors import MissingExtra, SettingError, TetkikError, UsageError
from tetkik.imaging.subprocess_worker import hide_process
from tetkik.language import Language, Sentence
from tetkik.settings import settings


def listen(
    check: Annotated[
        Path | None, option("Explain a file of systems in both languages, and start nothing.", metavar="FILE")
    ] = None,
    call: Annotated[bool, option("With --check: call every system, and say who does not answer.")] = False,
    allow_root: Annotated[bool, option("Run as root, in a container that has no other account.")] = False,
) -> None:
    """Take what the systems send until it is stopped; images wait on the disk for `tetkik serve`."""
    need_extra()
    if call and check is None:
        raise UsageError("--call is of --check; name the file: --check FILE --call.")
    if check is not None:
        explain(check, call=call)
        return
    hide_process()
    refuse_root(allowed=allow_root or settings().allow_root)
    from tetkik.integrations import listening
    from tetkik.integrations.importing import import_work
    from tetkik.integrations.systems import configuration_of
    from tetkik.records.database import open_records
    from tetkik.service.kit.logging import configure

    chosen = settings()
    configuration = configuration_of(chosen)
    if configuration is None or (configuration.listen is None and configuration.hl7 is None):
        raise SettingError(
            "There is nothing to listen for; set integrations to a file with [listen] or [hl7] "
            "(docs/how-to/integrations.md)."
        )
    configure()
    use_time_zone(chosen.hospital_time_zone)
    with ExitStack() as held:
        open_records(chosen).close()  # its faults are told here, once
        held.enter_context(listening.only_one(chosen))
        works = []
        if configuration.listen is not None:
            listener = configuration.listen
            made = held.enter_context(listening.bound(listener))
            works += [listening.dicom_work(chosen, configuration, made), import_work(chosen, configuration)]
            print_line(
                "DICOM: {ae_title} at {address}, port {port}",
                ae_title=listener.ae_title,
                address=listener.address,
                port=made.getsockname()[1],
            )
        if configuration.hl7 is not None:
            made = held.enter_context(listening.bound(configuration.hl7))
            works.append(listening.mllp_work(chosen, configuration, made))
            print_line(
                "HL7: {address}, port {port}",
                address=configuration.hl7.address,
                port=made.getsockname()[1],
            )
        listening.mind(works)


def need_extra() -> None:
    """Say what to install where the packages of the connections are missing; loads none of them."""
    for package in ("pynetdicom", "sqlalchemy"):
        if find_spec(package) is None:
            raise MissingExtra(
                "The connections need the package {package}; `{extra}`.",
                extra="integrations",
                package=package,
            )


def explain(file: Path, *, call: bool) -> None:
    """Print what a file means, in Turkish and in English; status 1 where something it names is not there."""
    from tetkik.integrations.listening import find_faults
    from tetkik.integrations.outbox import probe
    from tetkik.integrations.systems import explained, load_configuration

    configuration = load_configuration(file)
    faults: list[TetkikError] = [*find_faults(configuration, settings())]
    for model in sorted({route.model for route in configuration.routes} - {"", "none"}):
        try:
            resolve(model, Task.FINDINGS)
        except TetkikError as fault:
            faults.append(fault)
    silent = [one for one in probe(configuration, settings()) if not one.answers] if call else []
    lines: list[Sentence | TetkikError] = [
        *explained(configuration),
        *faults,
        *(one.sentence for one in silent),
    ]
    for number, language in enumerate(Language):
        if number:
            out.print()
        for line in lines:
            out.print(line.in_language(language), soft_wrap=True, highlight=False)
    if faults or silent:
        raise typer.Exit(1)
