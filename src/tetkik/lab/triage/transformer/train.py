"""`tetkik triage train --kind transformer`: from complaints to a bundle."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray

from tetkik.bundle.card import CardSection, ComplaintReference, card_words, finish_bundle
from tetkik.bundle.manifest import Manifest, Task
from tetkik.bundle.store import Bundle, check_target, open_bundle, staged_folder, write_manifest
from tetkik.choices import Device
from tetkik.errors import MissingExtra, TrainingError
from tetkik.lab.engine.card import cell, made_today, markdown_table, model_id, read_card, rows_csv
from tetkik.lab.engine.checkpoint import WorkFolder, room_on_disk, tensors_as_bytes
from tetkik.lab.engine.exporters import ExportFailed, export_onnx, quiet_exporter
from tetkik.lab.engine.learned_rows import LearnedRows
from tetkik.lab.engine.processes import gathered, in_shares, main_first
from tetkik.lab.engine.session import Session, public_name, training_session
from tetkik.lab.engine.tuning import Column, choice, log_uniform, trials_table, tuned
from tetkik.lab.triage.data import Complaints, fingerprint
from tetkik.lab.triage.evaluation_page import warn_of_collapse
from tetkik.lab.triage.reference import ReferenceComplaints, make_reference
from tetkik.lab.triage.summaries import Judged, measured
from tetkik.lab.triage.transformer.data import (
    Base,
    Imbalance,
    TrainingData,
    TransformerOptions,
    identity,
    load_classifier,
    open_base,
    prepare_data,
)
from tetkik.language import Sentence, translate
from tetkik.settings import settings
from tetkik.triage.calibration import abstain_threshold, fit_temperature, softmax
from tetkik.triage.predict import load_triage
from tetkik.triage.transformer import FP32, Ints, OnnxNetwork, TextReader, padded
from tetkik.values.common import ProgressCallback

if TYPE_CHECKING:
    from tetkik.lab.engine.trainer import TrainingState
    from tetkik.lab.triage.transformer.trainer import Epoch


# A trained encoder as ONNX, fp32 and int8, each held against torch.


LARGEST_FP32_DIFFERENCE = 1e-4
"""A probability may differ by this much between torch and fp32 ONNX: rounding, not a different network."""
LARGEST_INT8_DIFFERENCE = 0.05
"""Above this, int8 is said to differ."""
_LONGEST = 1024
"""Tokens of the longest batch that is tried: beyond every window of local attention, and attention over 8,192
tokens takes gigabytes."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How far the exported networks are from torch."""

    fp32: float  # largest difference of a probability, torch against fp32 ONNX
    int8: float  # the same against int8 ONNX
    int8_same_label: float  # share of texts with the same first label in int8
    texts: int


class _Logits(torch.nn.Module):
    """A classifier with two inputs and one output."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits


def export_fp32(model: Any, file: Path) -> None:
    """Write a copy of the classifier `model`, of transformers, as ONNX with free batch and length.

    Attention is written out (`eager`), which ONNX Runtime fuses better than the pieces of torch's own.
    """
    network = copy.deepcopy(model).cpu().float().eval()
    if hasattr(network, "set_attn_implementation"):
        network.set_attn_implementation("eager")
    ids = torch.randint(1, network.config.vocab_size, (2, 16), generator=torch.Generator().manual_seed(0))
    shape = dict.fromkeys((0, 1), torch.export.Dim.DYNAMIC)
    shapes = {"input_ids": shape, "attention_mask": shape}
    try:
        export_onnx(_Logits(network), (ids, torch.ones_like(ids)), file, ["logits"], shapes)
    except ExportFailed as error:
        raise TrainingError(
            "This encoder cannot be exported to ONNX ({fault}); give another one, such as a BERT, RoBERTa "
            "or ELECTRA.",
            fault=str(error),
        ) from None


def quantise(source: Path, target: Path) -> None:
    """Write `source`, fp32 ONNX, with int8 weights and dynamic int8 activations.

    Weights are signed with a scale for each channel. They get 7 of the 8 bits: processors without VNNI add
    pairs of products in 16 bits, which 8-bit weights would overflow, so that the same bundle would answer
    differently there (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html). The
    head stays fp32.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with quiet_exporter():
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul", "Gather"],
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            extra_options={"MatMulConstBOnly": True},
        )


def check_parity(
    model: Any, reader: TextReader, *, fp32: Path, int8: Path, texts: Sequence[str], max_length: int
) -> Parity:
    """Hold both exports against torch: on `texts` one by one, and on batches of several shapes."""
    network = copy.deepcopy(model).cpu().float().eval()
    onnx_fp32, onnx_int8 = (OnnxNetwork(file.parent, file, reader) for file in (fp32, int8))
    rows = reader.read(texts)
    reference = np.concatenate([_torch(network, [row], reader.pad_id) for row in rows])
    exact = _difference(reference, np.concatenate([onnx_fp32.logits_together([row]) for row in rows]))
    for batch in _shapes(network.config.vocab_size, max_length):
        exact = max(
            exact, _difference(_torch(network, batch, reader.pad_id), onnx_fp32.logits_together(batch))
        )
    if exact > LARGEST_FP32_DIFFERENCE:
        raise TrainingError(
            "The exported network differs from the one in torch by {difference:.1e} in a probability; give "
            "another model.",
            difference=exact,
        )
    quantised = np.concatenate([onnx_int8.logits_together([row]) for row in rows])
    same = float((quantised.argmax(axis=1) == reference.argmax(axis=1)).mean())
    return Parity(exact, _difference(reference, quantised), same, len(rows))


def _shapes(vocabulary: int, max_length: int) -> Iterator[list[Ints]]:
    """Batches of made-up tokens: single and several, short and long, even and uneven."""
    random = np.random.default_rng(0)
    long = min(max_length, _LONGEST)
    for lengths in ((1,), (long,), (3, long), (5, 5, 9, 2)):
        yield [random.integers(1, vocabulary, min(length, max_length)) for length in lengths]


@torch.no_grad()
def _torch(network: Any, rows: Sequence[Ints], pad_id: int) -> NDArray[np.float32]:
    ids, mask = (torch.from_numpy(part) for part in padded(rows, pad_id))
    logits: NDArray[np.float32] = network(input_ids=ids, attention_mask=mask).logits.numpy()
    return logits


def _difference(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    return float(np.abs(softmax(left) - softmax(right)).max())


if TYPE_CHECKING:
    State = TrainingState[Epoch]

log = logging.getLogger("tetkik.lab.triage")

_SMALL = 64 << 20
"""An fp32 export up to this size always stays in the bundle."""
_PARITY_TEXTS = 256
_FP32, _INT8 = FP32, "model.onnx"
_EPOCHS = ("training loss", "validation loss", "accuracy", "macro-F1", "macro-precision")
LIBRARIES = ("torch", "transformers", "accelerate", "tokenizers", "onnx", "onnxruntime", "numpy")


def train_transformer(
    complaints: Complaints, out: Path, options: TransformerOptions, progress: ProgressCallback
) -> Bundle:
    """Fine-tune an encoder on complaints and write it as a bundle.

    Rows are split by label and duplicate group into 80% training, 10% validation and 10% test. Epoch,
    temperature, abstention and settings tried are chosen on validation; test is used once, at the end, with
    the int8 network that ships. Started under `torchrun`, every process calls this alike; the main one tells
    its progress. Beside `out`, `.NAME.training` keeps checkpoints until the bundle is written.

    Raises:
        DataError: one label only, too few rows of a label, or rows without a label.
        TrainingError: the base cannot be used, or training cannot go on; a subclass says that Ctrl-C came.
        OutputError: `out` holds something else, or the disk is full.
        MissingExtra: torch or its companions are not installed.
    """
    for name in ("accelerate", "onnx", "onnxscript", "torch", "transformers"):
        if find_spec(name) is None:
            raise MissingExtra(
                "Training a transformer needs the package {name}; `{extra}`.", extra="torch", name=name
            )
    check_target(out)
    data = prepare_data(complaints, options.seed)
    with training_session(out, options, partial(identity, data), progress, find_unused=True) as session:
        trained = fine_tune(session.accelerator, data, session.options, session.work, session.progress)
        judged = _judge(session, data, trained)
        if session.main:
            with room_on_disk(out.parent):
                _write(data, trained, judged, out, session)
    return open_bundle(out, Task.TRIAGE)


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained network with its log."""

    model: Any
    base: Base
    options: TransformerOptions
    state: State
    trials: tuple[TransformerTrial, ...]


def fine_tune(
    accelerator: Any,
    data: TrainingData,
    options: TransformerOptions,
    work: WorkFolder,
    progress: ProgressCallback,
) -> Trained:
    """Try settings where asked to, then train: everything up to the network of the best epoch."""
    from tetkik.lab.triage.transformer.trainer import EncodedSplit, TransformerTrainer

    with main_first(accelerator):
        base = open_base(options.base, options.max_length)
    reader = base.reader()
    training, validation = (
        EncodedSplit(tuple(reader.read(data.texts(rows))), data.truth[rows])
        for rows in (data.split.training, data.split.validation)
    )

    def train(
        tried: TransformerOptions, work: WorkFolder | None, report: ProgressCallback
    ) -> tuple[Any, State]:
        model = load_classifier(base, data.labels, tried.seed)
        trainer = TransformerTrainer(
            accelerator, model, (training, validation), base.pad_id, options=tried, work=work
        )
        return model, trainer.run(report)

    def run(tried: TransformerOptions) -> TransformerTrial:
        _, state = train(tried, None, lambda _, done, total: progress("trial", done, total))
        accelerator.free_memory()
        score = state.epochs[state.best_epoch - 1].macro_f1
        kind = tried.imbalance.value
        return TransformerTrial(tried.learning_rate, tried.epochs, kind, score, state.best_epoch)

    trials: tuple[TransformerTrial, ...] = ()
    if options.tune:
        options, trials = tuned(
            options,
            draw,
            run,
            lambda trial: trial.macro_f1,
            TransformerTrial,
            work,
            keep=accelerator.is_main_process,
        )
    model, state = train(options, work, progress)
    return Trained(model, base, options, state, trials)


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """The int8 network that ships: how far it is from the trained one, and its logits, (rows, labels)."""

    parity: Parity
    validation: NDArray[np.float32]
    test: NDArray[np.float32]


def _export(session: Session[TransformerOptions], data: TrainingData, trained: Trained) -> Parity:
    """Write `model-fp32.onnx` and `model.onnx`, in int8, into the work folder, and hold them against torch.

    The main process does, the others wait.
    """

    base, folder = trained.base, session.work.path
    found: list[Parity] = []
    if session.main:
        with room_on_disk(folder):
            session.progress("export", 0, 4)
            export_fp32(trained.model, folder / _FP32)
            session.progress("export", 1, 4)
            quantise(folder / _FP32, folder / _INT8)
        session.progress("export", 2, 4)
        parity = check_parity(
            trained.model,
            base.reader(),
            fp32=folder / _FP32,
            int8=folder / _INT8,
            texts=data.texts(data.split.validation[:_PARITY_TEXTS]),
            max_length=base.max_length,
        )
        if parity.int8 > LARGEST_INT8_DIFFERENCE:
            _warn_of_int8(parity.int8)
        found = [parity]
    return gathered(session.accelerator, found)[0]


def _judge(session: Session[TransformerOptions], data: TrainingData, trained: Trained) -> _Judged:
    """Export, then ask the int8 network, each process for its share: on the CPU it takes its time."""
    folder, parity = session.work.path, _export(session, data, trained)
    network = OnnxNetwork(folder, folder / _INT8, trained.base.reader())
    validation, test = (
        in_shares(session.accelerator, rows, lambda mine: network.logits(data.texts(mine)))
        for rows in (data.split.validation, data.split.test)
    )
    return _Judged(parity, validation, test)


def _write(
    data: TrainingData, trained: Trained, judged: _Judged, out: Path, session: Session[TransformerOptions]
) -> None:
    """Calibrate, measure and write the bundle."""
    from tetkik.lab.triage.transformer.trainer import Epoch

    options, work = trained.options, session.work.path
    with staged_folder(out) as stage:
        write_layout(trained.base, trained.model, stage)
        (stage / "model.safetensors").write_bytes(tensors_as_bytes(trained.model.state_dict()))
        (stage / _INT8).write_bytes((work / _INT8).read_bytes())
        if options.keep_fp32 or (work / _FP32).stat().st_size <= _SMALL:
            for file in work.glob(f"{_FP32}*"):
                (stage / file.name).write_bytes(file.read_bytes())
        session.progress("export", 3, 4)
        name = model_id(options.id, out, "triage-transformer")
        manifest = _manifest(data, trained, name, judged)
        learned = data.texts(np.concatenate([data.split.training, data.split.validation]))
        LearnedRows.of(fingerprint(data.complaints), learned).after(trained.base.folder).write(stage)
        (stage / "epochs.csv").write_text(rows_csv(trained.state.epochs, Epoch), encoding="utf-8")
        write_manifest(stage, manifest)  # for the reference, which the finished model is asked for
        reference = _reference(data, stage, options)
        finish_bundle(stage, manifest, *_card(data, trained, judged.parity), reference)
        session.progress("export", 4, 4)


def _card(data: TrainingData, trained: Trained, parity: Parity) -> tuple[str, list[CardSection]]:
    """The summary and the sections that only the training knows."""
    counts, state = data.counts(), trained.state
    rows = [(label, *(part[index] for _, part in counts)) for index, label in enumerate(data.labels)]
    epochs = []
    for row in state.epochs:
        number, *figures = astuple(row)
        epochs.append((f"**{number}**" if number == state.best_epoch else number, *map(cell, figures)))
    return read_card(
        "tetkik.lab.triage.transformer",
        rows=markdown_table(
            card_words("label", *(name for name, _ in counts)),
            [*rows, (*card_words("all"), *(np.sum(part) for _, part in counts))],
        ),
        base=public_name(trained.options.base),
        epochs=markdown_table(card_words("epoch", *_EPOCHS), epochs),
        parity=parity,
        trials=trials_table(trained.trials),
    )


def _reference(data: TrainingData, stage: Path, options: TransformerOptions) -> ComplaintReference | None:
    """How answers and complaints are spread on validation: no weight was fitted on those rows."""
    if not options.reference:
        return None
    rows = data.complaints.only(data.split.validation)
    parts = ("validation, 10% by label and duplicate group", "epoch and temperature were chosen on it")
    split = tuple(map(Sentence, parts))
    held = ReferenceComplaints(rows.texts, rows.labels, split).some(options.reference, options.seed)
    # Not by the setting `device`: a network in int8 is for the processor.
    triage = load_triage(open_bundle(stage, Task.TRIAGE), device=Device.CPU)
    return make_reference(triage, held, options.data_name)


def _manifest(data: TrainingData, trained: Trained, name: str, found: _Judged) -> Manifest:
    """Everything that the bundle says of itself, but for the hashes of its files.

    Temperature and abstention are from validation, the figures from test, all of the int8 network.
    """
    base, options, test = trained.base, trained.options, data.split.test
    temperature = fit_temperature(found.validation, data.truth[data.split.validation])
    probabilities = softmax(found.test, temperature)
    judged = Judged(data.labels, data.truth[test], probabilities, data.groups[test])
    warn_of_collapse(judged)
    return Manifest(
        **made_today(name, options.licence, LIBRARIES),
        task=Task.TRIAGE,
        kind="transformer",
        labels=data.labels,
        preprocessing=base.preprocessing(),
        thresholds={"abstain": abstain_threshold(softmax(found.validation, temperature).max(axis=1))},
        calibration={"method": "temperature", "temperature": temperature},
        metrics=measured(
            judged,
            data=options.data_name,
            split=(Sentence("test, 10% by label and duplicate group, seed {seed}", {"seed": options.seed}),),
        ),
        training={
            **options.as_json(),
            "base": public_name(options.base),
            "best_epoch": trained.state.best_epoch,
            "rows": {name: int(numbers.sum()) for name, numbers in data.counts()},
            "rows_left_out": data.complaints.left_out,
            "onnx_difference": {
                "fp32": found.parity.fp32,
                "int8": found.parity.int8,
                "texts": found.parity.texts,
            },
        },
    )


def write_layout(base: Base, model: Any, stage: Path) -> None:
    """The Hugging Face layout, for `from_pretrained`, with the tokenizer of `base`."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(base.tokenizer),
        model_max_length=base.max_length,
        model_input_names=["input_ids", "attention_mask"],
        **base.special,
    )
    tokenizer.save_pretrained(stage)
    model.config.save_pretrained(stage)


def _warn_of_int8(difference: float) -> None:
    log.warning(
        translate(
            "The int8 network differs from the trained one by up to {difference:.2f} in a probability; "
            "its figures on test are those of int8, and `--keep-fp32` keeps the exact network beside it.",
            settings().language,
            difference=difference,
        )
    )


_RATES = (1e-5, 1e-4)


@dataclass(frozen=True, slots=True)
class TransformerTrial:
    """One setting and how it did on validation."""

    learning_rate: Annotated[float, Column("learning rate", ".2g")]
    epochs: Annotated[int, Column("epochs")]
    imbalance: Annotated[str, Column("imbalance")]
    macro_f1: Annotated[float, Column("macro-F1 on validation", ".3f")]
    best_epoch: Annotated[int, Column("best epoch")]


def draw(options: TransformerOptions, random: np.random.Generator) -> TransformerOptions:
    """Other settings to try."""
    rate = log_uniform(random, *_RATES)
    return replace(options, learning_rate=rate, imbalance=choice(random, list(Imbalance)))
