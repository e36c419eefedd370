"""`tetkik findings import`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from tetkik.bundle import Bundle
from tetkik.cli.console import language, note, print_line, progress, t, warn, writing
from tetkik.cli.options import BundleFolder, Licence, ModelName, argument, check_output_folder, option
from tetkik.errors import MissingExtra, UsageError
from tetkik.values import FINDING_LABELS, Fit

if TYPE_CHECKING:
    from tetkik.imaging.prepare import Preprocessing
    from tetkik.lab.findings.import_checkpoint import Source


class Activation(StrEnum):
    """What makes probabilities of the outputs."""

    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"


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
        option("Labels of the outputs in order: A,B,C, a file, nih, all or xrv; without it the model's own."),
    ] = None,
    activation: Annotated[
        Activation | None,
        option("Sigmoid where labels occur together, softmax where they exclude one another."),
    ] = None,
    head: Annotated[
        str | None,
        option("All layers after the mean of the features, such as linear,relu,dropout,linear."),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        option("A key of the checkpoint, or its beginning, that the outputs do not depend on; repeatable."),
    ] = None,
    size: Annotated[
        int | None, option("Side of the input in pixels; without it the model's own, or 224.")
    ] = None,
    resize: Annotated[
        int | None, option("Side to which images are brought before their middle is cut out.")
    ] = None,
    fit: Annotated[Fit | None, option("How an oblong image becomes a square.")] = None,
    mean: Annotated[str | None, option("Mean of each channel, of values from 0 to 1, such as 0.5.")] = None,
    std: Annotated[str | None, option("Standard deviation of each channel, of values from 0 to 1.")] = None,
    name: ModelName = None,
    licence: Licence = "unknown",
) -> None:
    """A bundle that was not evaluated; its card says so."""
    check_output_folder(folder, name)
    try:
        from tetkik.lab.findings.import_checkpoint import (
            ImportOptions,
            import_model,
            open_source,
            read_label_list,
        )
        from tetkik.networks.state import parse_layers
    except ImportError as error:
        raise MissingExtra(
            "Importing a network needs the package {name}; `{extra}`.", extra="torch", name=error.name
        ) from None
    options = ImportOptions(
        labels=None if labels is None else read_label_list(labels),
        exclusive=None if activation is None else activation is Activation.SOFTMAX,
        size=size,
        resize=resize,
        fit=fit,
        mean=_numbers("--mean", mean),
        std=_numbers("--std", std),
        head=None if head is None else parse_layers(head),
        ignore=tuple(ignore or ()),
        id=name,
        licence=licence,
    )
    found = open_source(checkpoint, options)
    _explain(found)
    with progress(t("import")) as report, writing(folder):
        bundle = import_model(found, folder, options, report)
    _show(bundle)


def _numbers(name: str, text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(
            "{name} {text} is no number, nor one for each channel; write 0.5, or 0.485,0.456,0.406.",
            name=name,
            text=text,
        ) from None


def _explain(found: Source) -> None:
    """What was taken for granted, so that a wrong guess is seen before the model is used."""
    chosen = found.activation
    print_line(
        "Outputs: {activation}, for {reason}.",
        activation=chosen.name,
        reason=chosen.reason.in_language(language()),
    )
    print_line(
        "Images: {steps}, {filter}; mean {mean}, deviation {std}, {why}.",
        steps=_steps(found.preprocessing),
        filter=found.preprocessing.resample,
        mean=_listed(found.preprocessing.mean),
        std=_listed(found.preprocessing.std),
        why=found.prepared_as.in_language(language()),
    )
    if found.hidden_layers:
        print_line("Head: {layers}, linear.", layers=", ".join(found.hidden_layers))
    if found.head_assumed:
        note(
            "The layer before the last linear one has no weights and was taken for a dropout; name it with "
            "--head where it is an activation."
        )
    if found.left_out:
        note("Not used: {keys}.", keys=", ".join(found.left_out))
    if all(label.startswith("LABEL_") for label in found.labels):
        warn("The model does not name its labels (LABEL_0 …); name them with --labels.")


def _steps(shape: Preprocessing) -> str:
    resized = shape.resized or shape.size
    if shape.fit is Fit.PAD:
        return t("the longer side to {side}, the rest black", side=resized)
    if shape.fit is Fit.SQUASH and resized == shape.size:
        return t("both sides to {side}", side=resized)
    if shape.fit is Fit.SQUASH:
        return t("both sides to {side} and the middle {size} kept", side=resized, size=shape.size)
    return t("the shorter side to {side} and the middle {size} kept", side=resized, size=shape.size)


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.6g}" for value in dict.fromkeys(values))


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
