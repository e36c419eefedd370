"""`tetkik triage train --kind transformer`: from complaints to a bundle."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tetkik.bundle import (
    Bundle,
    ComplaintReference,
    Manifest,
    Task,
    bundle_id,
    open_bundle,
    reference_section,
    render_card,
    staged_folder,
    write_manifest,
    write_reference,
)
from tetkik.errors import MissingExtra, as_fault_of
from tetkik.lab.engine.output import check_target, public_name, silence
from tetkik.lab.engine.precision import accelerator_for
from tetkik.lab.triage.card import library_versions, measured
from tetkik.lab.triage.data import Complaints
from tetkik.lab.triage.reference import ReferenceComplaints, make_reference
from tetkik.lab.triage.transformer.options import TransformerOptions
from tetkik.lab.triage.transformer.prepare import Prepared, identity, prepare
from tetkik.language import translate
from tetkik.settings import settings
from tetkik.statistics import Floats
from tetkik.triage.predict import load_triage
from tetkik.values import ProgressCallback

if TYPE_CHECKING:
    from tetkik.lab.engine.checkpoint import WorkFolder
    from tetkik.lab.triage.transformer.base import Base
    from tetkik.lab.triage.transformer.export import Parity
    from tetkik.lab.triage.transformer.plan import Progress
    from tetkik.lab.triage.transformer.tune import Trial

_SMALL = 64 << 20
"""An fp32 export up to this size always stays in the bundle."""
_PARITY_TEXTS = 256


def train_transformer(
    complaints: Complaints, out: Path, options: TransformerOptions, progress: ProgressCallback
) -> Bundle:
    """Fine-tune an encoder on complaints and write it as a bundle.

    Rows are split by label and duplicate group into 80% training, 10% validation and 10% test. Epoch,
    temperature, abstention and settings tried are chosen on validation; test is used once, at the end, with
    the int8 network that ships. Started under `accelerate launch`, every process calls this alike.

    Args:
        complaints: texts with their labels.
        out: the bundle's folder; beside it `.NAME.training` keeps checkpoints until the bundle is written.
        options: the settings.
        progress: told how far it is; called in the main process only.

    Raises:
        DataError: one label only, too few rows of a label, or rows without a label.
        TrainingError: the base cannot be used, or training cannot go on; a subclass says that Ctrl-C came.
        OutputError: `out` holds something else, or the disk is full.
        MissingExtra: torch or its companions are not installed.
    """
    _need_libraries()
    check_target(out)
    prepared = prepare(complaints, options.seed)

    from tetkik.lab.engine.checkpoint import WorkFolder, room_on_disk

    with accelerator_for(options.precision, threads=options.threads, find_unused=True, autocast=True) as (
        accelerator,
        _,
    ):
        main = accelerator.is_main_process
        work = WorkFolder.beside(out)
        if main:
            with as_fault_of(out):
                work.begin(identity(prepared, options), options.resume)
        accelerator.wait_for_everyone()
        told = progress if main else silence
        try:
            trained = fine_tune(accelerator, prepared, options, work, told)
            if main:
                with room_on_disk(out.parent):
                    _write(prepared, trained, out, work, told)
        except BaseException:
            if main and not work.has_progress():
                work.remove()
            raise
        if main:
            work.remove()
        accelerator.wait_for_everyone()
    return open_bundle(out, Task.TRIAGE)


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained network with its story."""

    model: Any
    base: Base
    options: TransformerOptions
    progress: Progress
    trials: tuple[Trial, ...]


def fine_tune(
    accelerator: Any,
    prepared: Prepared,
    options: TransformerOptions,
    work: WorkFolder,
    progress: ProgressCallback,
) -> Trained:
    """Try settings where asked to, then train: everything up to the network of the best epoch.

    Args:
        accelerator: an `accelerate.Accelerator`.
        prepared: the rows and their split.
        options: the settings.
        work: where checkpoints go.
        progress: told how far it is.
    """
    from tetkik.lab.triage.transformer.base import load_classifier, open_base
    from tetkik.lab.triage.transformer.loop import FineTuner
    from tetkik.lab.triage.transformer.plan import Rows
    from tetkik.lab.triage.transformer.tune import tuned

    with accelerator.main_process_first():
        base = open_base(options.base, options.max_length)
    reader = base.reader()
    training, validation = (
        Rows(tuple(reader.read(prepared.texts(rows))), prepared.truth[rows])
        for rows in (prepared.split.training, prepared.split.validation)
    )

    def run(settings_tried: TransformerOptions) -> tuple[float, int]:
        model = load_classifier(base, prepared.labels, settings_tried.seed)
        tuner = FineTuner(
            accelerator, model, (training, validation), base.pad_id, options=settings_tried, work=None
        )
        state = tuner.run(lambda _, done, total: progress("trial", done, total))
        accelerator.free_memory()
        return state.best_f1, state.best_epoch

    trials: tuple[Trial, ...] = ()
    if options.tune:
        options, trials = tuned(options, work, run, keep=accelerator.is_main_process)
    model = load_classifier(base, prepared.labels, options.seed)
    tuner = FineTuner(accelerator, model, (training, validation), base.pad_id, options=options, work=work)
    state = tuner.run(progress)
    return Trained(accelerator.unwrap_model(model), base, options, state, trials)


def _write(
    prepared: Prepared, trained: Trained, out: Path, work: WorkFolder, progress: ProgressCallback
) -> None:
    """Export, calibrate, measure and write the bundle."""
    from tetkik.lab.engine.checkpoint import tensors_as_bytes
    from tetkik.lab.engine.log import rows_csv
    from tetkik.lab.triage.transformer import report
    from tetkik.lab.triage.transformer.export import check_parity, export_fp32, quantise
    from tetkik.lab.triage.transformer.plan import Epoch

    base, options, validation = trained.base, trained.options, prepared.split.validation
    with staged_folder(out) as stage:
        progress("export", 0, 4)
        _write_layout(trained, stage)
        (stage / "model.safetensors").write_bytes(tensors_as_bytes(trained.model.state_dict()))
        fp32 = work.path / "model-fp32.onnx"
        export_fp32(trained.model, fp32)
        progress("export", 1, 4)
        quantise(fp32, stage / "model.onnx")
        progress("export", 2, 4)
        texts = prepared.texts(validation[:_PARITY_TEXTS])
        parity = check_parity(
            trained.model,
            base.reader(),
            fp32=fp32,
            int8=stage / "model.onnx",
            texts=texts,
            max_length=base.max_length,
        )
        _warn_of_int8(parity.int8)
        if options.keep_fp32 or fp32.stat().st_size <= _SMALL:
            for file in work.path.glob("model-fp32.onnx*"):
                (stage / file.name).write_bytes(file.read_bytes())
        progress("export", 3, 4)
        calibrated = _calibrate(prepared, stage, base)
        name = options.id or bundle_id(out.resolve().name) or "triage-transformer"
        manifest = _manifest(prepared, trained, name, parity, calibrated)
        (stage / "epochs.csv").write_text(rows_csv(trained.progress.epochs, Epoch), encoding="utf-8")
        sections = report.card_sections(
            public_name(options.base),
            prepared.counts(),
            prepared.labels,
            trained.progress.epochs,
            trained.progress.best_epoch,
            parity=parity,
            trials=trained.trials,
        )
        summary = (
            "Names the hospital department for a complaint in free Turkish text, with a calibrated "
            "probability for each."
        )
        write_manifest(stage, manifest)
        reference = _reference(prepared, stage, options)
        if reference is not None:
            write_reference(stage, reference)
            sections.append(reference_section(reference))
        (stage / "README.md").write_text(render_card(manifest, summary, sections), encoding="utf-8")
        write_manifest(stage, manifest)
        progress("export", 4, 4)


def _reference(prepared: Prepared, stage: Path, options: TransformerOptions) -> ComplaintReference | None:
    """How answers and complaints are spread on validation: no weight was fitted on those rows.

    The test rows stay for the figures alone.
    """
    if not options.reference:
        return None
    rows = prepared.complaints.only(prepared.split.validation)
    split = "validation, 10% by label and duplicate group; epoch and temperature were chosen on it"
    held = ReferenceComplaints(rows.texts, rows.labels, split).some(options.reference, options.seed)
    return make_reference(load_triage(open_bundle(stage, Task.TRIAGE)), held, options.data_name)


@dataclass(frozen=True, slots=True)
class _Calibrated:
    temperature: float
    abstain: float
    test_probabilities: Floats


def _manifest(
    prepared: Prepared, trained: Trained, name: str, parity: Parity, calibrated: _Calibrated
) -> Manifest:
    """Everything that the bundle says of itself, but for the hashes of its files."""
    from tetkik.lab.triage.transformer import report

    base, options, test = trained.base, trained.options, prepared.split.test
    return Manifest(
        id=name,
        version="1.0",
        licence=options.licence,
        task=Task.TRIAGE,
        kind="transformer",
        labels=prepared.labels,
        preprocessing={
            "max_length": base.max_length,
            "pad_id": base.pad_id,
            "inputs": ["input_ids", "attention_mask"],
            "cased": base.casing.cased,
            "tokenizer_changed_for_turkish": base.casing.changed,
        },
        thresholds={"abstain": calibrated.abstain},
        calibration={"method": "temperature", "temperature": calibrated.temperature},
        metrics=measured(
            calibrated.test_probabilities,
            prepared.truth[test],
            prepared.groups[test],
            data=options.data_name,
            split=f"test, 10% by label and duplicate group, seed {options.seed}",
        ),
        training={
            **options.as_json(),
            "base": public_name(options.base),
            "best_epoch": trained.progress.best_epoch,
            "rows": {name: int(numbers.sum()) for name, numbers in prepared.counts()},
            "rows_left_out": prepared.complaints.left_out,
            "onnx_difference": {"fp32": parity.fp32, "int8": parity.int8, "texts": parity.texts},
        },
        libraries=library_versions(report.LIBRARIES),
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )


def _calibrate(prepared: Prepared, stage: Path, base: Base) -> _Calibrated:
    """Temperature and abstention from validation, and the probabilities on test, all of the int8 network."""
    from tetkik.triage.calibration import abstain_threshold, fit_temperature, softmax
    from tetkik.triage.transformer.model import OnnxNetwork

    network = OnnxNetwork(stage, stage / "model.onnx", base.reader())
    validation, test = prepared.split.validation, prepared.split.test
    logits = network.logits(prepared.texts(validation))
    temperature = fit_temperature(logits, prepared.truth[validation])
    threshold = abstain_threshold(softmax(logits, temperature).max(axis=1))
    return _Calibrated(temperature, threshold, softmax(network.logits(prepared.texts(test)), temperature))


def _write_layout(trained: Trained, stage: Path) -> None:
    """The Hugging Face layout, for `from_pretrained`, with the tokenizer that was trained with."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(trained.base.tokenizer),
        model_max_length=trained.base.max_length,
        model_input_names=["input_ids", "attention_mask"],
        **trained.base.special,
    )
    tokenizer.save_pretrained(stage)
    trained.model.config.save_pretrained(stage)


def _need_libraries() -> None:
    try:
        import accelerate  # noqa: F401
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingExtra(
            "Training a transformer needs the package {name}; `pip install 'tetkik[torch]'`.", name=error.name
        ) from None


def _warn_of_int8(difference: float) -> None:
    from tetkik.lab.triage.transformer.export import LARGEST_INT8_DIFFERENCE
    from tetkik.lab.triage.transformer.loop import log

    if difference > LARGEST_INT8_DIFFERENCE:
        log.warning(
            translate(
                "The int8 network differs from the trained one by up to {difference:.2f} in a probability; "
                "its figures on test are those of int8, and `--keep-fp32` keeps the exact network beside it.",
                settings().language,
                difference=difference,
            )
        )
