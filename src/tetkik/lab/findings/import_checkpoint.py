"""`tetkik findings import`: a checkpoint or a model of transformers becomes a bundle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tetkik.bundle import (
    Bundle,
    CardSection,
    Manifest,
    Task,
    finish_bundle,
    open_bundle,
    sha256_of,
    staged_folder,
)
from tetkik.bundle.hub import looks_like_hub_id, user_path
from tetkik.errors import InputError, UsageError
from tetkik.findings.label_names import to_shared
from tetkik.findings.networks import FAMILIES
from tetkik.findings.networks.checkpoint import Checkpoint, read_checkpoint
from tetkik.findings.networks.huggingface import (
    Activation,
    HuggingFaceNetwork,
    activation_of,
    activation_of_labels,
    label_names,
    label_settings,
    open_classifier,
    read_preprocessing,
)
from tetkik.findings.operating_points import DEFAULT_THRESHOLD, UNCALIBRATED, default_thresholds
from tetkik.imaging.prepare import Preprocessing, Resample
from tetkik.lab.engine.card import made_today, model_id, read_card
from tetkik.lab.engine.label_list import check_count, read_names, twice
from tetkik.lab.findings.export import Exported, to_onnx, write_torch
from tetkik.language import Sentence
from tetkik.networks.huggingface import model_folder
from tetkik.networks.network import Network
from tetkik.values import FINDING_LABELS, NIH_LABELS, Fit, ProgressCallback

_LIBRARIES = ("torch", "transformers", "safetensors", "onnx", "onnxruntime", "numpy")
_CHECKPOINTS = ("*.safetensors", "*.pth", "*.pt", "*.bin")
XRV_LABELS = to_shared(
    (
        *("Atelectasis", "Consolidation", "Infiltration", "Pneumothorax", "Edema", "Emphysema", "Fibrosis"),
        *("Effusion", "Pneumonia", "Pleural_Thickening", "Cardiomegaly", "Nodule", "Mass", "Hernia"),
        *("Lung Lesion", "Fracture", "Lung Opacity", "Enlarged Cardiomediastinum"),
    )
)
"""The outputs of torchxrayvision's models, in its order."""
_SETS = {"nih": NIH_LABELS, "all": FINDING_LABELS, "xrv": XRV_LABELS}
_XRV = Preprocessing(mean=(0.5,), std=(1 / 2048,), fit=Fit.CROP, resample=Resample.GAUSSIAN)
"""Torchxrayvision's images are -1024 to 1024, their middle square."""
_CALIBRATION = dict(UNCALIBRATED)
_OWN_CALIBRATION = {key: value for key, value in UNCALIBRATED.items() if key != "band"}
_XRV_SIZES = {"resnet50": 512}
_SIZES = {"efficientnet_b1": 240, "efficientnet_b2": 288, "efficientnet_b3": 300, "efficientnet_b4": 380}
"""Sides that torchvision takes where they are not 224; whether a checkpoint was trained so is open."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How a model from elsewhere is taken in; None takes the model's own word, or the folder's name.

    `exclusive` says whether its labels exclude one another (softmax). `size` is the side of its input,
    `resize` the side before its middle is cut out; `mean` and `std` are of values from 0 to 1. `head` are the
    layers of its head, `ignore` the keys of a checkpoint that its outputs do not depend on.
    """

    labels: tuple[str, ...] | None = None
    exclusive: bool | None = None
    size: int | None = None
    resize: int | None = None
    fit: Fit | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    head: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()
    id: str | None = None
    licence: str = "unknown"


@dataclass(frozen=True, slots=True)
class Source:
    """A network read from elsewhere, with what is known of it."""

    name: str
    kind: str
    """Its family, or `huggingface`."""
    network: Network | HuggingFaceNetwork
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    prepared_as: Sentence
    """Where the preprocessing is known from."""
    activation: Activation
    digest: str | None = None
    """SHA-256 of the checkpoint; None for a model of transformers."""
    hidden_layers: tuple[str, ...] = ()
    head_assumed: bool = False
    """Whether a layer of the head that has no weights was taken for a dropout."""
    left_out: tuple[str, ...] = ()
    thresholds: Mapping[str, float] | None = None
    """The checkpoint's own, on the score; None where it has none."""


def read_label_list(text: str) -> tuple[str, ...]:
    """Labels from a file (one a line, commas, or a JSON list), a comma list, or `nih`, `all` or `xrv`.

    Names that mean a shared label become it.
    """
    if text in _SETS:
        return _SETS[text]
    names = read_names(text)
    labels = to_shared(names)
    if len(set(labels)) < len(labels):
        raise twice(next(label for label in labels if labels.count(label) > 1))
    return labels


def import_model(found: Source, folder: Path, options: ImportOptions, progress: ProgressCallback) -> Bundle:
    """Write a model as a bundle, with ONNX and torch weights.

    Its scores are not calibrated: without thresholds of its own every label gets 0.4 on the score, and scores
    of 0.3 to 0.5 count as uncertain. Nothing is evaluated, and the card says so.

    Raises:
        TrainingError: the network cannot be exported.
        OutputError: `folder` holds something else.
    """
    progress("exporting", 0, 2)
    with staged_folder(folder) as stage:
        shape = found.preprocessing
        exported = to_onnx(found.network, stage / "model.onnx", size=shape.size, channels=shape.channels)
        write_torch(found.network, shape, stage)
        manifest = _manifest(found, exported, folder, options)
        finish_bundle(stage, manifest, *_card(manifest, found))
    progress("checking", 1, 2)
    bundle = open_bundle(folder, Task.FINDINGS)
    progress("checking", 2, 2)
    return bundle


def open_source(source: str, options: ImportOptions) -> Source:
    """Read a network from elsewhere; nothing is written.

    Args:
        source: a checkpoint file in torchvision's layout of one of our networks (or MONAI's DenseNet, or
            torchxrayvision's), a folder that transformers wrote, or a Hugging Face id of either.

    Raises:
        InputError: the checkpoint cannot be read or does not fit.
        BundleError: the model of transformers cannot be read.
        UsageError: the labels do not fit, or the file does not say what an option can.
    """
    path = user_path(source)
    if path.is_file():
        return _from_checkpoint(source, path, options)
    if not path.is_dir() and not looks_like_hub_id(source):
        raise InputError("There is no file {file}; check the path.", file=source)
    path = model_folder(source)
    if (path / "manifest.json").is_file():
        raise UsageError(
            "{source} is a bundle already; `tetkik models import {source}` takes it in.", source=source
        )
    if (path / "config.json").is_file():
        return _from_transformers(source, path, options)
    checkpoints = sorted(file for pattern in _CHECKPOINTS for file in path.glob(pattern))
    if len(checkpoints) != 1:
        raise InputError(
            "{folder} holds {count} checkpoints and no config.json; name the one file that is meant.",
            folder=source,
            count=len(checkpoints),
        )
    return _from_checkpoint(source, checkpoints[0], options)


def _from_checkpoint(name: str, file: Path, options: ImportOptions) -> Source:
    with _naming(file, name):
        found = read_checkpoint(file, options.ignore, options.head)
        points = found.operating_points
        xrv = found.xrv and found.outputs == len(XRV_LABELS)
        labels = options.labels
        if labels is None:
            labels = XRV_LABELS if xrv else FINDING_LABELS
            if found.outputs != len(labels):
                raise UsageError(
                    "{file} has {found} outputs and does not name them; name their labels in order with "
                    "--labels.",
                    file=file,
                    found=found.outputs,
                )
        check_count(file, found.outputs, labels)
        activation = _activation(file, labels, options, xrv=xrv)
        preprocessing, prepared_as = _prepared(file, found, options)
        thresholds = None if points is None else _thresholds(file, labels, points)
    found.network.exclusive = activation.exclusive
    return Source(
        name,
        found.family,
        found.network,
        labels,
        preprocessing,
        prepared_as,
        activation,
        sha256_of(file),
        found.hidden_layers,
        found.head_assumed,
        found.left_out,
        thresholds,
    )


def _activation(file: Path, labels: Sequence[str], options: ImportOptions, *, xrv: bool) -> Activation:
    if (stated := _stated(file, labels, options)) is not None:
        return stated
    if xrv:
        return Activation(exclusive=False, reason=Sentence("torchxrayvision does so"))
    found = activation_of_labels(labels)
    if found is None:
        raise UsageError(
            "{file}: a checkpoint does not say whether its labels can occur together; give --activation "
            "sigmoid where they can, softmax where one excludes the others.",
            file=file,
        )
    return found


def _stated(source: object, labels: Sequence[str], options: ImportOptions) -> Activation | None:
    """What `--activation` says."""
    if options.exclusive is None:
        return None
    if options.exclusive and len(labels) == 1:
        raise UsageError(
            "{source} has one output, of which softmax makes 1 for every image; give --activation sigmoid.",
            source=source,
        )
    return Activation(options.exclusive, Sentence("--activation says so"))


def _prepared(file: Path, found: Checkpoint, options: ImportOptions) -> tuple[Preprocessing, Sentence]:
    # As torchvision prepares an 8-bit image through Pillow.
    base = replace(FAMILIES[found.family].preprocessing, eight_bit=True)
    why = Sentence(
        "mean and deviation as with the ImageNet weights of its family, the rest as is usual; a checkpoint "
        "does not say"
    )
    if found.xrv and found.channels == 1:
        base = replace(_XRV, size=_XRV_SIZES.get(found.family, _XRV.size))
        why = Sentence("as torchxrayvision does")
    elif found.channels != len(base.mean) and (options.mean is None or options.std is None):
        raise UsageError(
            "{file} takes images of {channels} channel and does not say how they are scaled; give --mean and "
            "--std of values from 0 to 1, such as --mean 0 --std 1.",
            file=file,
            channels=found.channels,
        )
    elif found.family in _SIZES and options.size is None:
        raise UsageError(
            "{file} is of {family} and does not say on what side it was trained; give --size, such as --size "
            "{size}, which is torchvision's, or --size 224.",
            file=file,
            family=found.family,
            size=_SIZES[found.family],
        )
    return _changed(base, options, found.channels), why


def _thresholds(file: Path, labels: Sequence[str], points: Sequence[float | None]) -> dict[str, float]:
    thresholds = {label: point for label, point in zip(labels, points, strict=True) if point is not None}
    if not thresholds or not all(0 < point < 1 for point in thresholds.values()):
        raise InputError(
            "{file}: its op_threshs are no thresholds between 0 and 1; leave them out with --ignore "
            "op_threshs.",
            file=file,
        )
    return thresholds


@contextmanager
def _naming(file: Path, name: str) -> Iterator[None]:
    """Let an error name what the user named, not a file deep in the hub's cache."""
    try:
        yield
    except (InputError, UsageError) as error:
        values = {key: name if value == file else value for key, value in error.values.items()}
        raise type(error)(error.template, **values) from None


def _changed(preprocessing: Preprocessing, options: ImportOptions, channels: int) -> Preprocessing:
    """`preprocessing` with what the options say otherwise."""
    given: dict[str, Any] = {
        "size": options.size,
        "resized": options.resize,
        "fit": options.fit,
        "mean": _of_channels(options.mean, channels),
        "std": _of_channels(options.std, channels),
    }
    try:
        return replace(preprocessing, **{key: value for key, value in given.items() if value is not None})
    except ValueError as error:
        raise UsageError(
            "--size, --resize, --fit, --mean and --std cannot be used so ({fault}); correct them.",
            fault=error,
        ) from None


def _of_channels(values: tuple[float, ...] | None, channels: int) -> tuple[float, ...] | None:
    return values * channels if values is not None and len(values) == 1 else values


def _from_transformers(name: str, folder: Path, options: ImportOptions) -> Source:
    network = open_classifier(str(folder), exclusive=False)
    preprocessing = read_preprocessing(folder)
    config = network.model.config
    labels = options.labels or label_names(config)
    check_count(name, config.num_labels, labels)
    found = activation_of(config, labels)
    activation = _stated(name, labels, options) or found
    network.exclusive = activation.exclusive and len(labels) > 1
    config.update(label_settings(labels, exclusive=network.exclusive))
    return Source(
        name,
        "huggingface",
        network,
        labels,
        _changed(preprocessing, options, preprocessing.channels),
        Sentence("as its image processor does"),
        activation,
    )


def _manifest(found: Source, exported: Exported, folder: Path, options: ImportOptions) -> Manifest:
    return Manifest(
        **made_today(model_id(options.id, folder, "findings-imported"), options.licence, _LIBRARIES),
        task=Task.FINDINGS,
        kind=found.kind,
        labels=found.labels,
        preprocessing=found.preprocessing.as_json(),
        thresholds=default_thresholds(found.labels) if found.thresholds is None else dict(found.thresholds),
        calibration=_CALIBRATION if found.thresholds is None else _OWN_CALIBRATION,
        training={
            "activation": found.activation.name,
            "hidden_layers": list(found.hidden_layers),
            "left_out": list(found.left_out),
            "imported_from": Path(found.name).name if Path(found.name).exists() else found.name,
            "sha256_of_checkpoint": found.digest,
            "largest_score_difference_onnx_torch": exported.difference,
        },
    )


def _card(manifest: Manifest, found: Source) -> tuple[str, list[CardSection]]:
    low, high = manifest.calibration.get("band", (None, None))
    return read_card(
        "tetkik.lab.findings",
        found=found,
        origin=manifest.training["imported_from"],
        threshold=DEFAULT_THRESHOLD,
        low=low,
        high=high,
        difference=manifest.training["largest_score_difference_onnx_torch"],
        own=[label for label in found.labels if label not in FINDING_LABELS],
    )
