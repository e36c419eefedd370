"""`tetkik triage import`: a text classifier of transformers becomes a bundle that answers as it does."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tetkik.bundle import Bundle, Manifest, Task, finish_bundle, open_bundle, staged_folder
from tetkik.bundle.hub import user_path
from tetkik.errors import BundleCorrupt, InputError, UsageError
from tetkik.lab.engine.card import made_today, model_id, read_card
from tetkik.lab.engine.checkpoint import tensors_as_bytes
from tetkik.lab.engine.label_list import check_count, read_names
from tetkik.lab.engine.session import public_name
from tetkik.lab.triage.clean.text import departments
from tetkik.lab.triage.transformer.data import Base, open_base
from tetkik.lab.triage.transformer.train import LIBRARIES, check_parity, export_fp32, quantise, write_layout
from tetkik.language import Sentence
from tetkik.networks.huggingface import quiet_transformers
from tetkik.triage.transformer import TextReader
from tetkik.values import DEPARTMENTS, ProgressCallback

ABSTAIN = 0.5
"""Nothing is calibrated: the first department is named where it is more probable than all others together."""
_TEXTS = 64
_SINGLE = "single_label_classification"


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How a classifier is taken in; None takes the model's own word, or the folder's name.

    `softmax` takes the labels to exclude one another, whatever the model says. `max_length` is in tokens, cut
    to what the model can take.
    """

    labels: tuple[str, ...] | None = None
    softmax: bool = False
    max_length: int = 512
    int8: bool = False
    id: str | None = None
    licence: str = "unknown"


@dataclass(frozen=True, slots=True)
class Source:
    """A classifier read from elsewhere."""

    base: Base
    model: Any
    own_labels: tuple[str, ...]
    labels: tuple[str, ...]
    """Those that mean a department under its name."""
    reason: Sentence
    """Why its outputs are taken through a softmax."""


def read_labels(text: str) -> tuple[str, ...]:
    """Departments in the order of the outputs: a file (one a line, commas, or a JSON list), or A,B,C."""
    return tuple(read_names(text))


def open_source(name: str, options: ImportOptions) -> Source:
    """Read a classifier: a folder that transformers wrote, or a Hugging Face id. Nothing is written.

    Raises:
        InputError, BundleCorrupt, TrainingError: it cannot be read.
        UsageError: its labels do not fit, exclude nothing, or have no names.
    """
    path = user_path(name)
    if path.is_dir() and not list(path.glob("*.safetensors")):
        raise InputError(
            "{folder} has no safetensors weights, and no pickle is opened, which can run any code; write it "
            "again with save_pretrained of a transformers of today.",
            folder=name,
        )
    base = open_base(name, options.max_length, for_turkish=False)
    model = _load(base)
    config = model.config
    own = tuple(str(config.id2label[number]) for number in sorted(config.id2label))
    check_count(name, len(own), own if options.labels is None else options.labels)
    if options.labels is None and all(label.startswith("LABEL_") for label in own):
        raise UsageError(
            "{name} does not name its labels (LABEL_0 …, {count} in all); name them in order with --labels.",
            name=name,
            count=len(own),
        )
    reason = _reason(name, config, softmax=options.softmax)
    labels = _as_departments(options.labels or own)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: number for number, label in enumerate(labels)}
    config.problem_type = _SINGLE
    return Source(base, model, options.labels or own, labels, reason)


def _load(base: Base) -> Any:
    import torch
    from transformers import AutoModelForSequenceClassification

    try:
        with quiet_transformers():
            model, report = AutoModelForSequenceClassification.from_pretrained(
                base.folder,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                dtype=torch.float32,
            )
    # Whatever a foreign folder holds must end in one sentence.
    except Exception as error:
        raise BundleCorrupt(
            "{name} cannot be loaded as a text classifier ({fault}); give a folder that "
            "AutoModelForSequenceClassification opens.",
            name=base.name,
            fault=type(error).__name__,
        ) from None
    if report["missing_keys"]:
        raise BundleCorrupt(
            "{name} lacks weights of its network, such as {key}; give the fine-tuned model, not its "
            "encoder alone.",
            name=base.name,
            key=min(report["missing_keys"]),
        )
    return model.eval()


def _reason(name: str, config: Any, *, softmax: bool) -> Sentence:
    problem = config.problem_type
    if config.num_labels < 2 or problem == "regression":
        raise UsageError(
            "{name} has no classes that could be departments ({count} output); give a classifier with one "
            "output a department.",
            name=name,
            count=config.num_labels,
        )
    if softmax:
        return Sentence("--softmax says so")
    if problem is None:
        return Sentence("its problem_type is not set, and transformers takes this one then")
    if problem == _SINGLE:
        return Sentence("its problem_type is {problem}", {"problem": problem})
    raise UsageError(
        "{name} judges each label by itself (problem_type is {problem}), and departments exclude one "
        "another; give --softmax to rank them by its outputs all the same.",
        name=name,
        problem=problem,
    )


def _as_departments(names: Sequence[str]) -> tuple[str, ...]:
    """Each name that means a department replaced by it; where two mean the same, the second stays."""
    known = departments()
    found: list[str] = []
    for name in names:
        department = known.match(name)
        found.append(department if department is not None and department not in found else name)
    return tuple(found)


def import_classifier(
    found: Source, folder: Path, options: ImportOptions, progress: ProgressCallback
) -> Bundle:
    """Write a classifier as a bundle. It is held against torch first; nothing of it is evaluated.

    Raises:
        TrainingError: it cannot be exported, or the export answers otherwise.
        OutputError: `folder` holds something else.
    """
    reader = found.base.reader()
    progress("export", 0, 3)
    with staged_folder(folder) as stage:
        write_layout(found.base, found.model, stage)
        (stage / "model.safetensors").write_bytes(tensors_as_bytes(found.model.state_dict()))
        shipped = stage / "model.onnx"
        fp32 = stage / "model-fp32.onnx" if options.int8 else shipped
        export_fp32(found.model, fp32)
        progress("export", 1, 3)
        if options.int8:
            quantise(fp32, shipped)
        parity = check_parity(
            found.model,
            reader,
            fp32=fp32,
            int8=shipped,
            texts=_texts(reader),
            max_length=found.base.max_length,
        )
        progress("export", 2, 3)
        if options.int8:
            for file in stage.glob("model-fp32.onnx*"):
                file.unlink()
        difference = parity.int8 if options.int8 else parity.fp32
        manifest = _manifest(found, folder, options, difference)
        card = read_card(
            "tetkik.lab.triage",
            origin=manifest.training["imported_from"],
            count=len(found.labels),
            own=[label for label in found.labels if label not in DEPARTMENTS],
            renamed=[pair for pair in zip(found.own_labels, found.labels, strict=True) if pair[0] != pair[1]],
            abstain=ABSTAIN,
            numbers="int8" if options.int8 else "fp32",
            difference=difference,
            texts=parity.texts,
        )
        finish_bundle(stage, manifest, *card)
    progress("export", 3, 3)
    return open_bundle(folder, Task.TRIAGE)


def _manifest(found: Source, folder: Path, options: ImportOptions, difference: float) -> Manifest:
    base = found.base
    return Manifest(
        **made_today(model_id(options.id, folder, "triage-imported"), options.licence, LIBRARIES),
        task=Task.TRIAGE,
        kind="transformer",
        labels=found.labels,
        preprocessing=base.preprocessing(),
        thresholds={"abstain": ABSTAIN},
        calibration={"method": "temperature", "temperature": 1.0},
        training={
            "imported_from": public_name(base.name),
            "own_labels": list(found.own_labels),
            "numbers": "int8" if options.int8 else "fp32",
            "largest_probability_difference_onnx_torch": difference,
        },
    )


def _texts(reader: TextReader) -> list[str]:
    """Made-up texts of words that the vocabulary holds whole."""
    pieces = (piece.lstrip("▁Ġ") for piece in sorted(reader.tokenizer.get_vocab()))
    words = [piece for piece in pieces if piece.isalpha() and len(piece) > 2] or list(DEPARTMENTS)
    draw = random.Random(0)  # noqa: S311 - it guards nothing
    return [" ".join(draw.choices(words, k=draw.randint(1, 40))) for _ in range(_TEXTS)]
