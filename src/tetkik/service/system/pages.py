"""The administrator's overview: health and settings; nobody's name."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib import metadata, resources
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from pydantic import SecretStr

from tetkik import __version__
from tetkik.bundle import available
from tetkik.language import Sentence
from tetkik.records import metrics
from tetkik.records.migrate import version_of
from tetkik.records.people import after_restore
from tetkik.records.reports.agreement import queue
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.access.required_passkey import passkey_roles
from tetkik.service.kit.rendering.navigation import NavigationEntry
from tetkik.settings import Settings
from tetkik.values import Permission, Role

router = APIRouter(prefix="/admin")
NAVIGATION = (
    NavigationEntry("/admin", Permission.SYSTEM, "server", Sentence("System"), "g s", position=100, start=5),
)

BACKUP_DUE = timedelta(days=2)
_NAME = re.compile(r"^[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    version: str
    licence: str


@router.get("")
def system(ctx: Annotated[RequestContext, allowed(Permission.SYSTEM)]) -> HTMLResponse:
    with ctx.read() as tx:
        people, kept, trail = (
            metrics.count_accounts(tx),
            metrics.count_records(tx),
            metrics.summarize_trail(tx),
        )
        held = after_restore.count_suspended(tx)
        backup, waiting = metrics.last_backup(tx), queue(tx)
        schema, backup_due = version_of(tx.session.connection()), tx.now - BACKUP_DUE
    return ctx.render(
        "system/overview.html.jinja",
        people=people,
        passkeys_advised=Role.ADMINISTRATOR not in passkey_roles(ctx.settings),
        held=held,
        kept=kept,
        trail=trail,
        backup=backup,
        backup_due=backup_due,
        waiting=waiting,
        schema=schema,
        disk=shutil.disk_usage(ctx.records.folder),
        database=ctx.records.engine.dialect.name,
        bundles=available(),
        settings=shown_settings(ctx.settings),
        browser_parts=browser_parts(),
        python_parts=python_parts(),
        version=__version__,
    )


def shown_settings(settings: Settings) -> tuple[tuple[str, str], ...]:
    """Every setting with its value; of a secret only whether it is set."""
    shown = []
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        shown.append((name, "•••" if isinstance(value, SecretStr) else "" if value is None else str(value)))
    return tuple(shown)


@cache
def browser_parts() -> tuple[Part, ...]:
    """What the pages take from others, from the manifests beside it."""
    found = []
    for folder in resources.files("tetkik.service").joinpath("static", "vendor").iterdir():
        if folder.is_dir():
            manifest = json.loads(folder.joinpath("manifest.json").read_text("utf-8"))
            found += [Part(one["name"], one["version"], one["licence"]) for one in manifest["packages"]]
    return tuple(sorted(found, key=lambda part: part.name))


@cache
def python_parts() -> tuple[Part, ...]:
    """The Python packages that this one names and that are installed; not those of its own tests."""
    found = {}
    for requirement in metadata.requires("tetkik") or ():
        if 'extra == "dev"' in requirement:
            continue
        name = _NAME.match(requirement)
        try:
            about = metadata.metadata(name.group()) if name else None
        except metadata.PackageNotFoundError:
            continue
        if about is not None and about["Name"] != "tetkik":
            found[about["Name"].lower()] = Part(about["Name"], about["Version"], _licence(about))
    return tuple(found[name] for name in sorted(found))


def _licence(about: metadata.PackageMetadata) -> str:
    def field(key: str) -> str:
        return about[key].strip() if key in about else ""

    classified = [line for line in about.get_all("Classifier") or () if line.startswith("License ::")]
    names = ", ".join(line.rsplit("::", 1)[-1].strip() for line in classified)
    return field("License-Expression") or names or field("License").split("\n")[0][:60] or "–"
