"""`tetkik caption evaluate`."""

from __future__ import annotations

import shutil
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tetkik.cli.caption.options import Base, BatchSize, Model, Quantised, SearchDecoding
from tetkik.cli.console import progress, t, writing
from tetkik.cli.options import LearnedRowsOption, Replicates, TableAsJson, argument, option, with_options
from tetkik.cli.tables import deliver
from tetkik.errors import UsageError
from tetkik.lab.caption.baselines import Nearness
from tetkik.lab.caption.prepared import Split
from tetkik.lab.engine.options import LearnedTreatment

if TYPE_CHECKING:
    from tetkik.lab.caption.metrics.scores import BertScoreOptions

BertModel = Annotated[
    str | None,
    option(
        "Compute BERTScore with this Hugging Face id or folder.", "--bertscore-model", metavar="ID_OR_PATH"
    ),
]
BertLayer = Annotated[
    int | None,
    option("Layer of that model. Default: its authors' choice, or the last.", "--bertscore-layer", min=1),
]
BertIdf = Annotated[
    bool, option("Weigh word pieces by how rare they are in the true captions.", "--bertscore-idf")
]


@with_options
def evaluate(
    data: Annotated[Path, argument("A folder written by `tetkik caption prepare`.", "DIR")],
    *,
    split: Annotated[Split, option("The part of the data.")] = Split.TEST,
    model: Model = None,
    base: Base = None,
    folder: Annotated[
        Path | None, option("A folder for metrics.json, captions.csv, the pictures and report.html.", "--out")
    ] = None,
    as_json: TableAsJson = False,
    learned_rows: LearnedRowsOption = LearnedTreatment.SEPARATE,
    limit: Annotated[int | None, option("Judge so many rows, drawn at random.", min=1)] = None,
    decoding: SearchDecoding,
    batch_size: BatchSize = 8,
    quantisation: Quantised = None,
    baselines: Annotated[
        Nearness, option("By what the nearest training image is found; none: no baselines.")
    ] = Nearness.FEATURES,
    no_meteor: Annotated[bool, option("Leave out METEOR, which starts Java.")] = False,
    bertscore_model: BertModel = None,
    bertscore_layer: BertLayer = None,
    bertscore_idf: BertIdf = False,
    bootstrap: Replicates = 1000,
    seed: Annotated[int, option("Of the bootstrap and of every draw.", min=0)] = 0,
) -> None:
    """Figures with intervals beside two baselines, what they say, and with --out a page of images."""
    from tetkik.caption.predict import captioner_bundle, load_caption
    from tetkik.lab.caption.decoded import work_folder
    from tetkik.lab.caption.evaluate import EvaluationOptions, check_rows, decode_captions, judge_captions
    from tetkik.lab.caption.evaluation_page import view
    from tetkik.lab.caption.prepared import open_prepared
    from tetkik.lab.engine.charts import check_target
    from tetkik.lab.engine.precision import launched_accelerator
    from tetkik.lab.engine.session import silence

    options = EvaluationOptions(
        split=split,
        decoding=decoding.chosen(seed),
        batch_size=batch_size,
        limit=limit,
        treatment=learned_rows,
        baselines=baselines,
        meteor=not no_meteor,
        bertscore=_bertscore(bertscore_model, bertscore_layer, bertscore_idf),
        bootstrap=bootstrap,
        seed=seed,
    )
    if folder is not None:
        check_target(folder)
    prepared = open_prepared(data)
    bundle = captioner_bundle(model)
    # Before gigabytes of weights are read.
    check_rows(prepared, bundle, options)
    work = None if folder is None else work_folder(folder)
    with launched_accelerator() as accelerator, ExitStack() as stack:
        main = accelerator.is_main_process
        # None where there is one process, which takes a GPU where there is one.
        device = getattr(accelerator, "device", None)
        network = load_caption(bundle, base=base, quantisation=quantisation, device=device).network
        report = stack.enter_context(progress(t("evaluate"))) if main else silence
        with nullcontext() if work is None else writing(work):
            decoded = decode_captions(
                prepared, network, bundle, options, report, accelerator=accelerator, folder=work
            )
        # Of several processes one counts words.
        if not main:
            return
        evaluation = judge_captions(prepared, bundle, decoded, options, report)
    deliver(view(evaluation), as_json=as_json, folder=folder)
    if work is not None:
        shutil.rmtree(work, ignore_errors=True)


def _bertscore(model: str | None, layer: int | None, idf: bool) -> BertScoreOptions | None:
    from tetkik.lab.caption.metrics.scores import BertScoreOptions

    if model is None:
        if layer is not None or idf:
            raise UsageError("--bertscore-layer and --bertscore-idf need --bertscore-model.")
        return None
    return BertScoreOptions(model, layer, idf)
