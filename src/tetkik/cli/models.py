"""`tetkik models`: list, show, verify, import, export, push."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tetkik import bundle
from tetkik.cli.console import (
    for_each,
    note,
    out,
    print_json_line,
    print_line,
    shown,
    t,
    warn,
    writing,
)
from tetkik.cli.options import TableAsJson, ZipFile, argument
from tetkik.cli.tables import listing
from tetkik.cli.tables import table as figures
from tetkik.settings import settings

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

_Model = Annotated[str, argument("A built-in or imported id, a path, or a Hugging Face id.", "MODEL")]


@app.command("list", help=t("Every built-in and imported model."))
def list_models(as_json: TableAsJson = False) -> None:
    """One line a bundle."""
    found = bundle.available()
    if as_json:
        for item in found:
            print_json_line(_entry(item))
    elif found:
        out.print(_listing(found))
    else:
        note("There is no model yet; `tetkik models import` takes one in.")
    if broken := len(bundle.bundle_folders()) - len(found):
        warn("Broken models left out: {count}; `tetkik models verify` says why.", count=broken)


def _entry(item: bundle.Bundle) -> dict[str, str]:
    manifest = item.manifest
    return {
        "id": manifest.id,
        "version": manifest.version,
        "task": manifest.task.value,
        "kind": manifest.kind,
        "path": str(item.path),
    }


def _listing(found: list[bundle.Bundle]) -> Table:
    table = listing(t("id"), t("version"), t("task"), t("kind"))
    table.add_column("MB", justify="right")
    for item in found:
        files = [item.path / name for name in item.manifest.files]
        size = sum(file.stat().st_size for file in files if file.is_file()) / 1e6
        manifest = item.manifest
        table.add_row(manifest.id, manifest.version, manifest.task.value, manifest.kind, f"{size:.1f}")
    return table


@app.command("show", help=t("What a model says of itself."))
def show(model: _Model, as_json: TableAsJson = False) -> None:
    """The manifest, and the measured figures as a table."""
    found = bundle.resolve(model)
    if as_json:
        out.print_json(found.manifest.model_dump_json())
        return
    manifest = found.manifest
    head = f"{manifest.name} · {manifest.task.value} · {manifest.kind} · {manifest.created}"
    out.print(head, style="bold", soft_wrap=True)
    out.print(str(found.path), style="dim", soft_wrap=True)
    out.print()
    out.print(", ".join(manifest.labels))
    reference = bundle.read_reference(found)
    if reference is not None:
        data, split = shown(reference.data), shown(bundle.in_own_language(reference.split))
        words = (
            t(
                "Reference for drift: {n} images of {data}; {split}.",
                n=reference.total,
                data=data,
                split=split,
            )
            if isinstance(reference, bundle.ImageReference)
            else t(
                "Reference for drift: {n} complaints of {data}; {split}.",
                n=reference.total,
                data=data,
                split=split,
            )
        )
        out.print()
        out.print(words, soft_wrap=True, markup=False)
    if manifest.metrics:
        out.print()
        out.print(_figures(manifest))


def _figures(manifest: bundle.Manifest) -> Table:
    table = figures(t("figure"), t("value"), t("95%"), "n")
    table.columns[0].no_wrap = True
    for title in (t("data"), t("split")):
        table.add_column(title)
    for metric in manifest.metrics:
        interval = "–" if metric.low is None else f"{metric.low:.3f} … {metric.high:.3f}"
        words = shown(metric.name), shown(metric.data), shown(bundle.in_own_language(metric.split))
        table.add_row(words[0], f"{metric.value:.3f}", interval, str(metric.n), *words[1:])
    return table


@app.command("verify", help=t("Check every hash of a model, or of all of them."))
def verify(
    model: Annotated[str | None, argument("Which model; all without it.", "[MODEL]")] = None,
) -> None:
    """One line a bundle; the others are checked though one is broken."""
    if model is not None:
        _say_sound(bundle.resolve(model))
        return
    for_each(bundle.bundle_folders(), lambda path: _say_sound(bundle.open_bundle(path)))


def _say_sound(found: bundle.Bundle) -> None:
    count = len(found.manifest.files)
    print_line("{name}: {count} files, every hash matches.", name=found.manifest.name, count=count)


@app.command("import", help=t("Take in a bundle: a folder, or the zip that export wrote."))
def import_model(
    source: Annotated[Path, argument("The folder or zip file.", "SOURCE")],
) -> None:
    """Verified before anything is kept."""
    with writing(settings().models_dir):
        found = bundle.import_bundle(source, settings().models_dir)
    print_line("{name} is now at {path}.", name=found.manifest.name, path=found.path)


@app.command("export", help=t("Write a model as one zip file."))
def export_model(
    model: _Model,
    target: ZipFile,
) -> None:
    """The same bytes each time."""
    found = bundle.resolve(model)
    with writing(target):
        out.print(shown(bundle.export_bundle(found, target)), soft_wrap=True)


@app.command("push", help=t("Put a model into a folder in a hub's layout, or send it to a hub."))
def push_model(
    model: _Model,
    target: Annotated[str, argument("The folder, or a Hugging Face id (owner/name).", "TARGET")],
) -> None:
    """What the manifest names, and nothing that lies beside it."""
    found = bundle.resolve(model)
    with writing(Path(target)):
        place = bundle.push_bundle(found, target)
    print_line("{name} is now at {path}.", name=found.manifest.name, path=place)
