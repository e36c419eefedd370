"""`tetkik models`: list, show, verify, import, export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tetkik import bundle
from tetkik.cli.console import out, t
from tetkik.settings import settings

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

_Model = Annotated[str, typer.Argument(help=t("A built-in or imported id, a path, or a Hugging Face id."))]
_Json = Annotated[bool, typer.Option("--json", help=t("Print JSON instead of a table."))]


@app.command("list", help=t("Every built-in and imported model."))
def list_models(as_json: _Json = False) -> None:
    """One line a bundle."""
    found = bundle.available()
    if as_json:
        for item in found:
            entry = {"id": item.manifest.id, "version": item.manifest.version, "task": item.manifest.task.value}
            out.print_json(json.dumps({**entry, "kind": item.manifest.kind, "path": str(item.path)}), indent=None)
        return
    table = Table(box=None, pad_edge=False)
    for title in ("id", "version", "task", "kind", "MB"):
        table.add_column(t(title))
    for item in found:
        size = sum((item.path / name).stat().st_size for name in item.manifest.files) / 1e6
        manifest = item.manifest
        table.add_row(manifest.id, manifest.version, manifest.task.value, manifest.kind, f"{size:.1f}")
    out.print(table)


@app.command("show", help=t("What a model says of itself."))
def show(model: _Model, as_json: _Json = False) -> None:
    """The manifest, and the measured figures as a table."""
    found = bundle.resolve(model)
    if as_json:
        out.print_json(found.manifest.model_dump_json())
        return
    manifest = found.manifest
    out.print(f"{manifest.name} · {manifest.task.value} · {manifest.kind} · {manifest.created}", style="bold")
    out.print(str(found.path), style="dim", markup=False, soft_wrap=True)
    out.print(", ".join(manifest.labels), markup=False)
    table = Table(box=None, pad_edge=False)
    for title in ("figure", "value", "95%", "n", "data", "split"):
        table.add_column(t(title))
    for metric in manifest.metrics:
        interval = "" if metric.low is None else f"{metric.low:.3f} - {metric.high:.3f}"
        table.add_row(metric.name, f"{metric.value:.3f}", interval, str(metric.n), metric.data, metric.split)
    out.print(table)


@app.command("verify", help=t("Check every hash of a model, or of all of them."))
def verify(model: Annotated[str | None, typer.Argument(help=t("Which model; all without it."))] = None) -> None:
    """One line a bundle; the first fault ends with its sentence."""
    names = [model] if model else [str(item.path) for item in bundle.available()]
    for name in names:
        found = bundle.resolve(name)
        out.print(t("{name}: {count} files, every hash matches.", name=found.manifest.name, count=len(found.manifest.files)))


@app.command("import", help=t("Take in a bundle: a folder, or the zip that export wrote."))
def import_model(
    source: Annotated[Path, typer.Argument(help=t("The folder or zip file."), metavar="SOURCE")],
) -> None:
    """Verified before anything is kept."""
    found = bundle.import_bundle(source, settings().models_dir)
    out.print(t("{name} is now at {path}.", name=found.manifest.name, path=found.path), soft_wrap=True, markup=False)


@app.command("export", help=t("Write a model as one zip file."))
def export_model(
    model: _Model,
    target: Annotated[Path, typer.Option("--out", help=t("The zip file to write."))],
) -> None:
    """The same bytes each time."""
    out.print(str(bundle.export_bundle(bundle.resolve(model), target)), markup=False, soft_wrap=True)
