"""`tetkik findings import`: a checkpoint or a model of transformers becomes a bundle."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tetkik.bundle import (
    Bundle,
    CardSection,
    Manifest,
    Task,
    bundle_id,
    finish_bundle,
    open_bundle,
    sha256_of,
    staged_folder,
)
from tetkik.bundle.hub import looks_like_hub_id, user_path
from tetkik.errors import InputError, UsageError
from tetkik.findings.label_names import to_shared
from tetkik.findings.networks import FAMILIES
from tetkik.findings.networks.huggingface import (
    HuggingFaceNetwork,
    label_names,
    label_settings,
    open_classifier,
    read_preprocessing,
)
from tetkik.findings.operating_points import DEFAULT_THRESHOLD, UNCALIBRATED, default_thresholds
from tetkik.imaging.prepare import Preprocessing
from tetkik.lab.engine.card import library_versions, read_card
from tetkik.lab.findings.export import Exported, to_onnx, write_torch
from tetkik.networks.huggingface import model_folder
from tetkik.networks.network import Network
from tetkik.networks.state import family_of, fill, read_tensors, to_our_keys
from tetkik.values import FINDING_LABELS, NIH_LABELS, ProgressCallback

_LIBRARIES = ("torch", "transformers", "safetensors", "onnx", "onnxruntime", "numpy")
_CHECKPOINTS = ("*.safetensors", "*.pth", "*.pt", "*.bin")
"""The section of the card that stands only where there are such."""
_SETS = {"nih": NIH_LABELS, "all": FINDING_LABELS}


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How a model from elsewhere is taken in; None takes the model's own word, or the folder's name.

    `exclusive` says whether its labels exclude one another (softmax); `size` is the side of its input.
    """

    labels: tuple[str, ...] | None = None
    exclusive: bool | None = None
    size: int | None = None
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
    digest: str | None
    """SHA-256 of the checkpoint; None for a model of transformers."""


def read_label_list(text: str) -> tuple[str, ...]:
    """Labels from a file (one a line, comma-separated, or a JSON list), a comma list, or `nih` or `all`.

    Names that mean a shared label become it.
    """
    if text in _SETS:
        return _SETS[text]
    path = user_path(text)
    try:
        is_file = path.is_file()
    except OSError:  # a list of labels is longer than any name of a file
        is_file = False
    if is_file:
        try:
            text = path.read_text("utf-8-sig")
        except UnicodeDecodeError:
            raise InputError("{file} is not text in UTF-8; save it as UTF-8.", file=path) from None
    elif "," not in text and path.suffix in {".txt", ".json", ".csv"}:
        raise InputError("There is no file {file}; check the path.", file=path)
    names = [name.strip() for name in _split(text) if name.strip()]
    if not names or not all(name.isprintable() for name in names):
        raise UsageError(
            "--labels {labels} names no labels; give a comma list, or a file with one a line.", labels=path
        )
    labels = to_shared(names)
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise UsageError("--labels names {label} twice; each output needs a label of its own.", label=twice)
    return labels


def _split(text: str) -> list[str]:
    if text.lstrip().startswith("["):
        with suppress(ValueError):
            return [str(value) for value in json.loads(text)]
    return re.split(r"[,;\n]", text)


def import_model(source: str, folder: Path, options: ImportOptions, progress: ProgressCallback) -> Bundle:
    """Write the model `source` as a bundle, with ONNX and torch weights.

    Its scores are not calibrated: every label gets the threshold 0.4 on the score, and scores of 0.3 to 0.5
    count as uncertain. Nothing is evaluated, and the card says so.

    Args:
        source: a checkpoint file in torchvision's layout of one of our networks (or MONAI's DenseNet121), a
            folder that transformers wrote, or a Hugging Face id of either.

    Raises:
        InputError: the checkpoint cannot be read or does not fit.
        BundleError: the model of transformers cannot be read.
        UsageError: the labels do not fit.
        TrainingError: the network cannot be exported.
        OutputError: `folder` holds something else.
    """
    progress("reading", 0, 3)
    found = open_source(source, options)
    progress("exporting", 1, 3)
    with staged_folder(folder) as stage:
        shape = found.preprocessing
        exported = to_onnx(found.network, stage / "model.onnx", size=shape.size, channels=shape.channels)
        write_torch(found.network, stage)
        manifest = _manifest(found, exported, folder, options)
        finish_bundle(stage, manifest, *_card(manifest, found))
    progress("checking", 2, 3)
    bundle = open_bundle(folder, Task.FINDINGS)
    progress("checking", 3, 3)
    return bundle


def open_source(source: str, options: ImportOptions) -> Source:
    """Read a network from a checkpoint, a folder or the hub; nothing is written. Errors as `import_model`."""
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
        tensors = read_tensors(file)
        family = family_of(tensors)
        tensors = to_our_keys(file, tensors, family)
        head = tensors.get("classifier.weight")
        if head is None or head.ndim != 2:
            raise InputError(
                "{file} has no single linear classifier of a {family}; give a checkpoint whose head is one "
                "linear layer.",
                file=file,
                family=family,
            )
        outputs = len(head)
        labels = options.labels
        if labels is None:
            if outputs != len(FINDING_LABELS):
                raise UsageError(
                    "{file} has {found} outputs and does not name them; name their labels in order with "
                    "--labels.",
                    file=file,
                    found=outputs,
                )
            labels = FINDING_LABELS
        _check_count(file, outputs, labels)
        network = FAMILIES[family].make(outputs, 0.0)
        fill(network, file, tensors, family, head=True)
    preprocessing = _sized(FAMILIES[family].preprocessing, options.size)
    return Source(name, family, network.eval(), labels, preprocessing, sha256_of(file))


@contextmanager
def _naming(file: Path, name: str) -> Iterator[None]:
    """Let an error name what the user named, not a file deep in the hub's cache."""
    try:
        yield
    except (InputError, UsageError) as error:
        values = {key: name if value == file else value for key, value in error.values.items()}
        raise type(error)(error.template, **values) from None


def _check_count(source: object, outputs: int, labels: Sequence[str]) -> None:
    if outputs != len(labels):
        raise UsageError(
            "{source} has {found} outputs and {named} labels were given; name as many labels as it has "
            "outputs, in their order.",
            source=source,
            found=outputs,
            named=len(labels),
        )


def _sized(preprocessing: Preprocessing, size: int | None) -> Preprocessing:
    if size is None:
        return preprocessing
    try:
        return Preprocessing.from_json({**preprocessing.as_json(), "size": size})
    except ValueError:
        raise UsageError("--size {size} cannot be used; give a number from 16 to 4096.", size=size) from None


def _from_transformers(name: str, folder: Path, options: ImportOptions) -> Source:
    network = open_classifier(str(folder), exclusive=options.exclusive)
    config = network.model.config
    labels = options.labels or label_names(config)
    _check_count(name, config.num_labels, labels)
    config.update(label_settings(labels, exclusive=network.exclusive))
    return Source(
        name, "huggingface", network, labels, _sized(read_preprocessing(folder), options.size), None
    )


def _manifest(found: Source, exported: Exported, folder: Path, options: ImportOptions) -> Manifest:
    return Manifest(
        id=options.id or bundle_id(folder.resolve().name) or "findings-imported",
        version="1.0",
        task=Task.FINDINGS,
        kind=found.kind,
        labels=found.labels,
        preprocessing=found.preprocessing.as_json(),
        thresholds=default_thresholds(found.labels),
        calibration=dict(UNCALIBRATED),
        training={
            "imported_from": Path(found.name).name if Path(found.name).exists() else found.name,
            "sha256_of_checkpoint": found.digest,
            "largest_score_difference_onnx_torch": exported.difference,
        },
        libraries=library_versions(_LIBRARIES),
        licence=options.licence,
        created=datetime.now(UTC).date().isoformat(),
    )


def _card(manifest: Manifest, found: Source) -> tuple[str, list[CardSection]]:
    low, high = manifest.calibration["band"]
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
