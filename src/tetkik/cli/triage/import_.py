"""`tetkik triage import`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from tetkik.cli.console import language, note, print_line, progress, t, writing
from tetkik.cli.options import BundleFolder, Licence, ModelName, argument, check_output_folder, option
from tetkik.errors import MissingExtra
from tetkik.values import DEPARTMENTS

if TYPE_CHECKING:
    from tetkik.lab.triage.transformer.import_classifier import Source


def import_model(
    model: Annotated[str, argument("A folder of transformers, or a Hugging Face id.", "MODEL")],
    *,
    folder: BundleFolder,
    labels: Annotated[
        str | None,
        option("Departments of the outputs in order: A,B,C or a file; without it the model's own labels."),
    ] = None,
    softmax: Annotated[
        bool, option("Take the labels to exclude one another, whatever the model says.")
    ] = False,
    max_length: Annotated[int, option("Longest text in tokens; what follows is cut.", min=8)] = 512,
    int8: Annotated[
        bool, option("Write the network in int8: smaller and faster, and not quite the same.")
    ] = False,
    name: ModelName = None,
    licence: Licence = "unknown",
) -> None:
    """A bundle that was not evaluated; its card says so."""
    check_output_folder(folder, name)
    try:
        from tetkik.lab.triage.transformer.import_classifier import (
            ImportOptions,
            import_classifier,
            open_source,
            read_labels,
        )
    except ImportError as error:
        raise MissingExtra(
            "Importing a network needs the package {name}; `{extra}`.", extra="torch", name=error.name
        ) from None
    given = None if labels is None else read_labels(labels)
    options = ImportOptions(given, softmax, max_length, int8, name, licence)
    found = open_source(model, options)
    _explain(found)
    with progress(t("import")) as report, writing(folder):
        bundle = import_classifier(found, folder, options, report)
    note(
        "Largest difference of a probability between torch and ONNX: {difference}.",
        difference=f"{bundle.manifest.training['largest_probability_difference_onnx_torch']:.1e}",
    )
    note("It was not evaluated: run `tetkik triage evaluate` on labelled complaints before you trust it.")
    print_line("The model is in {path}.", path=bundle.path)


def _explain(found: Source) -> None:
    """What was taken for granted, so that a wrong guess is seen before the model is used."""
    print_line(
        "Outputs: {activation}, for {reason}.",
        activation="softmax",
        reason=found.reason.in_language(language()),
    )
    for own, label in zip(found.own_labels, found.labels, strict=True):
        if own != label:
            print_line("{label} is taken for {department}.", label=own, department=label)
    if others := [label for label in found.labels if label not in DEPARTMENTS]:
        note("Not among the 15 departments, and kept: {labels}.", labels=", ".join(others))
