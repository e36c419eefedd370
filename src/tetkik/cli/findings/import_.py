"""`tetkik findings import`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from tetkik.bundle import Bundle
from tetkik.cli.console import note, print_line, progress, t, writing
from tetkik.cli.options import BundleFolder, Licence, ModelName, argument, check_output_folder, option
from tetkik.errors import MissingExtra
from tetkik.values import FINDING_LABELS


class Kind(StrEnum):
    """Whether labels can occur together."""

    MULTI = "multi"
    SINGLE = "single"


def import_checkpoint(
    checkpoint: Annotated[
        str,
        argument(
            "A checkpoint file (state dict, safetensors), a folder of transformers, or a Hugging Face id.",
            "CHECKPOINT",
        ),
    ],
    *,
    folder: BundleFolder,
    labels: Annotated[
        str | None,
        option("Labels of the outputs in order: A,B,C, a file, nih or all; without it the model's own."),
    ] = None,
    kind: Annotated[
        Kind | None,
        option("Whether labels occur together (multi) or exclude one another (single).", "--labels-are"),
    ] = None,
    size: Annotated[
        int | None, option("Side of the input in pixels; without it the model's own, or 224.")
    ] = None,
    name: ModelName = None,
    licence: Licence = "unknown",
) -> None:
    """A bundle that was not evaluated; its card says so."""
    check_output_folder(folder, name)
    try:
        from tetkik.lab.findings.import_checkpoint import ImportOptions, import_model, read_label_list
    except ImportError as error:
        raise MissingExtra(
            "Importing a network needs the package {name}; `pip install 'tetkik[torch]'`.", name=error.name
        ) from None
    options = ImportOptions(
        labels=None if labels is None else read_label_list(labels),
        exclusive=None if kind is None else kind is Kind.SINGLE,
        size=size,
        id=name,
        licence=licence,
    )
    with progress(t("import")) as report, writing(folder):
        bundle = import_model(checkpoint, folder, options, report)
    _show(bundle)


def _show(bundle: Bundle) -> None:
    manifest = bundle.manifest
    shared = sum(label in FINDING_LABELS for label in manifest.labels)
    print_line(
        "{kind}, {count} labels, {shared} of them shared; input {size} x {size}.",
        kind=manifest.kind,
        count=len(manifest.labels),
        shared=shared,
        size=manifest.preprocessing["size"],
    )
    note(
        "Largest difference of a score between torch and ONNX: {difference}.",
        difference=f"{manifest.training['largest_score_difference_onnx_torch']:.1e}",
    )
    note("It was not evaluated: run `tetkik findings evaluate` on labelled images before you trust it.")
    print_line("The model is in {path}.", path=bundle.path)
