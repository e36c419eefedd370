"""`tetkik doctor`: what is installed, what is missing for what, which models and device."""

from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from tetkik.cli.advisories import AdvisoryReport, find_vulnerabilities, installed_parts
from tetkik.cli.console import language, out, print_json_line, t, warn
from tetkik.cli.options import TableAsJson, option
from tetkik.cli.release_check import Release, check_release
from tetkik.cli.system_report import Model, ObjectStorage, SystemReport, inspect_system
from tetkik.errors import UsageError

_GOOD, _ABSENT, _BAD = Text("✓", "green"), Text("–", "dim"), Text("✗", "red")


def doctor(
    as_json: TableAsJson = False,
    advisories: Annotated[
        Path | None,
        option(
            "Look for known vulnerabilities in this file, folder or zip of OSV advisories.", metavar="PATH"
        ),
    ] = None,
    release: Annotated[
        Path | None, option("Check the signed release in this folder.", metavar="FOLDER")
    ] = None,
    release_key: Annotated[
        Path | None, option("The public key (PEM) that the release has to be signed with.", metavar="FILE")
    ] = None,
) -> None:
    """Look at everything, change nothing; status 1 where something cannot be used or should not be."""
    if (release is None) != (release_key is None):
        raise UsageError("A release is checked with its key: give both --release and --release-key.")
    system = inspect_system()
    if advisories is not None:
        system = replace(system, advisories=find_vulnerabilities(advisories, installed_parts()))
    if release is not None and release_key is not None:
        system = replace(system, release=check_release(release, release_key))
    if as_json:
        print_json_line(system.as_json())
    else:
        _show(system)
    if not system.sound:
        raise typer.Exit(1)


def _show(system: SystemReport) -> None:
    out.print(f"Tetkik {system.tetkik}", style="bold", end="")
    out.print(f" · Python {system.python} · {system.platform}", style="dim", soft_wrap=True)
    _section(t("Parts"), _parts(system))
    _section(t("Models"), _models(system))
    _section(t("Reports"), _reports(system))
    _section(t("Device"), _device(system))
    if system.systems.probes or system.systems.faults:
        _section(t("The hospital's systems"), _systems(system))
    if system.object_storage is not None:
        _section(t("Object storage"), _object_storage(system.object_storage))
    if system.advisories is not None:
        _section(t("Advisories"), _advisories(system.advisories))
    if system.release is not None:
        _section(t("Signed release"), _release(system.release))
    _section(t("Settings"), _settings(system))
    out.print()
    for address in system.open_ray:
        warn(
            "The Ray cluster at {address} asks for no token: whoever reaches it can run code on this "
            "machine; "
            "start it again with RAY_AUTH_MODE=token.",
            address=address,
        )
    for name in system.unusable:
        warn("The built-in model {name} cannot be used; install Tetkik again.", name=name)
    for name in system.unknown_variables:
        warn("{name} is not a setting of Tetkik and has no effect; check its spelling.", name=name)


def _section(title: str, body: Table) -> None:
    out.print()
    out.print(title, style="bold")
    out.print(body)


def _grid() -> Table:
    """A mark, a name, what there is to say, and a remark; nothing is cut short."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(4):
        grid.add_column(overflow="fold")
    return grid


def _parts(system: SystemReport) -> Table:
    grid = _grid()
    compiled = t("compiled: the light model counts its n-grams in C")
    slower = t(
        "not compiled: NumPy gives the same answers more slowly; install Tetkik again where there is a C "
        "compiler"
    )
    grid.add_row(*((_GOOD, "n-grams", compiled) if system.compiled_ngrams else (_ABSENT, "n-grams", slower)))
    grid.add_row(*_codecs(system))
    for extra in system.extras:
        if extra.missing:
            lacking = t(
                "{purpose}; missing: {names} (pip install 'tetkik[{extra}]')",
                purpose=t(extra.purpose),
                names=", ".join(extra.missing),
                extra=extra.name,
            )
            grid.add_row(_ABSENT, extra.name, lacking)
        else:
            grid.add_row(_GOOD, extra.name, t(extra.purpose))
    java = t("Java is there: captions are judged by METEOR too")
    without = t("there is no Java: captions are judged without METEOR")
    grid.add_row(*((_GOOD, "METEOR", java) if system.java is not None else (_ABSENT, "METEOR", without)))
    return grid


def _codecs(system: SystemReport) -> tuple[Text, str, str]:
    readable = ", ".join(t(name) for name, there in system.dicom.items() if there)
    if lacking := ", ".join(t(name) for name, there in system.dicom.items() if not there):
        sentence = t(
            "reads {names}; cannot read {lacking}: install Tetkik again", names=readable, lacking=lacking
        )
        return _BAD, "DICOM", sentence
    return _GOOD, "DICOM", t("reads {names}", names=readable)


def _models(system: SystemReport) -> Table:
    grid = _grid()
    for model in system.models:
        sound = t("{task}, {kind}: every hash matches", task=model.task, kind=model.kind)
        grid.add_row(_BAD if model.fault else _GOOD, model.id, _fault(model) or sound)
    grid.add_row(*_captioner(system))
    return grid


def _captioner(system: SystemReport) -> tuple[Text, str, str]:
    model = system.captioner
    if model is None:
        sentence = t("none is set: a report does without captions; `tetkik caption train` makes one")
        return _ABSENT, "caption", sentence
    if model.fault is not None:
        return _BAD, "caption", _fault(model)
    if not model.task:
        return _ABSENT, "caption", t("{model}: on a hub, where doctor does not look", model=model.id)
    return _GOOD, "caption", t("{model} is used for captions", model=model.id)


def _fault(model: Model) -> str:
    return model.fault.in_language(language()) if model.fault else ""


def _reports(system: SystemReport) -> Table:
    grid, found = _grid(), system.reports
    name, mark = found.language_model, _BAD
    if name is None:
        mark, sentence = _ABSENT, t("no language model is set: the built-in composer writes the drafts")
    elif found.missing is not None:
        sentence = t(
            "{name} is set, but {package} is missing (pip install 'tetkik[llm]')",
            name=name,
            package=found.missing,
        )
    elif not found.allowed:
        sentence = t(
            "{name} is outside this hospital and may not be asked; the setting is llm_outside", name=name
        )
    else:
        mark = _GOOD
        sentence = t("{name} writes the drafts, and where it fails the built-in composer", name=name)
    grid.add_row(mark, t("language model"), sentence)
    nameless = t("no name is set: documents have no head; the setting is hospital_name")
    grid.add_row(_GOOD if found.hospital else _ABSENT, t("hospital"), found.hospital or nameless)
    return grid


def _device(system: SystemReport) -> Table:
    grid = _grid()
    grid.add_row(_GOOD, "CPU", t("cores: {count}", count=system.device.cpu_cores))
    if system.device.torch_fault is not None:
        fault = t(
            "torch is installed but cannot be loaded ({fault}); install it again",
            fault=system.device.torch_fault,
        )
        grid.add_row(_BAD, "CUDA", fault)
    elif not system.device.torch:
        grid.add_row(_ABSENT, "CUDA", t("not looked for: torch is not installed, and only training needs it"))
    elif not system.device.cuda:
        grid.add_row(_ABSENT, "CUDA", t("none: training runs on the CPU"))
    for name, size in zip_longest(system.device.cuda, system.device.cuda_bytes):
        grid.add_row(_GOOD, "CUDA", name if size is None else f"{name}, {size / 2**30:.1f} GiB")
    return grid


def _systems(system: SystemReport) -> Table:
    grid = _grid()
    for fault in system.systems.faults:
        grid.add_row(_BAD, "", fault.in_language(language()))
    for one in system.systems.probes:
        answer = t("answers") if one.answers else t("does not answer")
        grid.add_row(
            _GOOD if one.answers else _ABSENT, one.name, answer, Text(f"{one.how} {one.address}", "dim")
        )
    return grid


def _object_storage(bucket: ObjectStorage) -> Table:
    grid = _grid()
    fault = bucket.fault and bucket.fault.in_language(language())
    grid.add_row(_BAD if fault else _GOOD, bucket.place, fault or t("answers, and its key may list it"))
    return grid


def _advisories(report: AdvisoryReport) -> Table:
    grid = _grid()
    for item in report.found:
        part = f"{item.part.name} {item.part.version}"
        fixed = t("fixed in {versions}", versions=", ".join(item.fixed)) if item.fixed else t("not fixed yet")
        grid.add_row(_BAD, part, f"{' '.join((item.id, *item.aliases))}: {item.summary}", Text(fixed, "dim"))
    compared = t(
        "{parts} packages compared with {advisories} advisories, the newest of {day}",
        parts=report.parts,
        advisories=report.advisories,
        day=report.newest[:10],
    )
    grid.add_row(
        _BAD if report.found else _GOOD,
        t("known vulnerabilities: {count}", count=len(report.found)),
        compared,
    )
    return grid


def _release(release: Release) -> Table:
    grid = _grid()
    signed = t("files as they were signed: {count}; the key is {key}", count=release.files, key=release.key)
    grid.add_row(_GOOD, release.wheel, signed)
    if release.installed:
        grid.add_row(_GOOD, t("installation"), t("has every file of this release, unchanged"))
    elif release.same_version:
        other = t("has this version and other files; install the release again, or find out who changed them")
        grid.add_row(_BAD, t("installation"), other)
    else:
        grid.add_row(_ABSENT, t("installation"), t("is of another version"))
    return grid


def _settings(system: SystemReport) -> Table:
    grid = _grid()
    for name, setting in system.settings.items():
        value = str(setting.value).lower() if isinstance(setting.value, bool) else str(setting.value)
        grid.add_row("", name, "–" if setting.value in {None, ""} else value, Text(t(setting.origin), "dim"))
    there = t("there") if system.config_file.is_file() else t("not there, and not needed")
    grid.add_row("", t("file"), str(system.config_file), Text(there, "dim"))
    return grid
