"""Judging a captioner on one split of a prepared folder.

The split that is asked for is opened and no other, but for the training split where baselines are wanted:
these are taken from it alone. Rows that the model saw in its training or validation are left out and counted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tetkik.caption.network import Cut, DecodingOptions, Generated
from tetkik.errors import DataError, UsageError
from tetkik.lab.caption.baselines import (
    Embeddings,
    Nearness,
    constant_caption,
    embedding,
    nearest_rows,
    pixel_embeddings,
)
from tetkik.lab.caption.decoded import decode_rows, model_identity
from tetkik.lab.caption.evaluation_page import interpret
from tetkik.lab.caption.figures import (
    CONSTANT,
    MODEL,
    NEAREST,
    CaptionEvaluation,
    Example,
    ExampleKind,
    Figure,
    Provenance,
    System,
)
from tetkik.lab.caption.metrics.scores import (
    BertScoreOptions,
    CaptionScores,
    Concepts,
    Wanted,
    check_bertscore,
    concept_dictionary,
    concept_f1_rows,
    replicates,
    score_systems,
)
from tetkik.lab.caption.prepare import match_learned
from tetkik.lab.caption.prepared import Split, group_numbers
from tetkik.lab.engine.options import LearnedTreatment
from tetkik.lab.engine.processes import ALONE
from tetkik.lab.engine.results import divide
from tetkik.language import Sentence
from tetkik.statistics import ClusterBootstrap, Floats, Ints, percentile_interval
from tetkik.values import ProgressCallback

if TYPE_CHECKING:
    from tetkik.bundle import Bundle
    from tetkik.caption.families.staged import StagedNetwork
    from tetkik.lab.caption.prepared import Prepared, PreparedPart

NEAREST_ROWS = ".nearest"
"""Folder in a prepared one for the nearest training images of a split."""
_EXAMPLES = 6
"""Images of each kind on the page."""


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """How a captioner is judged: on `limit` rows drawn at random; None for all.

    `bertscore` None leaves it out, and `bootstrap` are draws for the intervals; 0 for none.
    """

    split: Split = Split.TEST
    decoding: DecodingOptions = field(default_factory=DecodingOptions)
    batch_size: int = 8
    limit: int | None = None
    treatment: LearnedTreatment = LearnedTreatment.SEPARATE
    baselines: Nearness = Nearness.FEATURES
    meteor: bool = True
    bertscore: BertScoreOptions | None = None
    bootstrap: int = 1000
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    part: PreparedPart
    rows: Ints
    provenance: Provenance

    def of(self, values: Sequence[str]) -> tuple[str, ...]:
        return tuple(values[row] for row in self.rows.tolist())


@dataclass(frozen=True, slots=True, eq=False)
class DecodedCaptions:
    """The rows to judge, what the model made of each, and the nearest training row or None."""

    judged: _Rows
    made: list[Generated]
    training: PreparedPart | None
    near: Ints | None


def evaluate_captions(
    prepared: Prepared,
    network: StagedNetwork,
    bundle: Bundle,
    options: EvaluationOptions | None = None,
    progress: ProgressCallback = lambda *_: None,
) -> CaptionEvaluation:
    """Judge the captioner `network`, loaded from `bundle`, in one process; see `decode_captions`.

    Raises:
        InputError: the model of BERTScore cannot be had.
    """
    options = options or EvaluationOptions()
    decoded = decode_captions(prepared, network, bundle, options, progress)
    return judge_captions(prepared, bundle, decoded, options, progress)


def decode_captions(
    prepared: Prepared,
    network: StagedNetwork,
    bundle: Bundle,
    options: EvaluationOptions,
    progress: ProgressCallback = lambda *_: None,
    *,
    accelerator: Any = ALONE,
    folder: Path | None = None,
) -> DecodedCaptions:
    """The captions to judge and the nearest training images, found by all processes and the same in each.

    Captions are kept in `folder` as they come, the nearest images in the prepared folder.

    Raises:
        DataError: the split has no rows, was prepared for other images, or the model
            has seen all of it, or rows of it that are refused.
    """
    if prepared.image != network.image:
        raise DataError(
            "{folder} was prepared for images of another kind than {model} takes; prepare it again with "
            "--base of that model.",
            folder=prepared.folder,
            model=bundle.manifest.id,
        )
    judged = _chosen(prepared, bundle, options)
    made = decode_rows(
        accelerator,
        judged.rows,
        options.batch_size,
        lambda rows, place: _generate(network, judged.part.squares(rows), place, options.decoding),
        progress,
        folder=folder,
        identity={} if folder is None else _identity(network, bundle, judged, options),
    )
    # The training split is opened for baselines and for the names of its concepts.
    opened = options.baselines is not Nearness.NONE and options.split is not Split.TRAIN
    training = prepared.part(Split.TRAIN) if opened else None
    near = None
    if training is not None and len(training):
        near = _nearest(accelerator, network, prepared, training, judged, options, progress)
    return DecodedCaptions(judged, made, training, near)


def judge_captions(
    prepared: Prepared,
    bundle: Bundle,
    decoded: DecodedCaptions,
    options: EvaluationOptions,
    progress: ProgressCallback = lambda *_: None,
) -> CaptionEvaluation:
    """Figures of the model and of its baselines, in one process.

    Raises:
        InputError: the model of BERTScore cannot be had.
    """
    judged, made, training = decoded.judged, decoded.made, decoded.training
    captions = {MODEL: tuple(one.text for one in made)}
    if training is not None and decoded.near is not None:
        constant = constant_caption(training.captions, seed=options.seed, progress=progress)
        captions[CONSTANT] = (constant,) * len(judged.rows)
        captions[NEAREST] = tuple(training.captions[row] for row in decoded.near.tolist())
    references = judged.of(judged.part.captions)
    wanted = _wanted(prepared, judged, training, options)
    judgements = score_systems(list(captions.values()), [[text] for text in references], wanted, progress)
    scores = dict(zip(captions, judgements, strict=True))
    groups = group_numbers(judged.part.groups, judged.rows.tolist())
    draws = ClusterBootstrap(groups, options.bootstrap, options.seed)
    ceiling = None
    if (concepts := wanted.concepts) is not None:
        true = concept_f1_rows(references, concepts.of_rows, concepts.dictionary)
        ceiling = None if np.isnan(true).all() else float(np.nanmean(true))
    evaluation = CaptionEvaluation(
        model=bundle.manifest.name,
        data=prepared.source,
        provenance=judged.provenance,
        ids=judged.of(judged.part.ids),
        references=references,
        confidence=np.array([np.nan if one.confidence is None else one.confidence for one in made]),
        groups=len(np.unique(groups)),
        systems=systems_of(captions, scores, draws),
        ceiling=ceiling,
        examples=_examples(judged, scores[MODEL], options.seed),
        not_computed=_not_computed(scores[MODEL], draws, CONSTANT in captions, options, training),
        decoding=options.decoding,
        replicates=options.bootstrap if draws.possible else 0,
        seed=options.seed,
    )
    return replace(evaluation, interpretation=interpret(evaluation))


def check_rows(prepared: Prepared, bundle: Bundle, options: EvaluationOptions) -> None:
    """Refuse what cannot be judged, before the weights of `bundle` are read."""
    _chosen(prepared, bundle, options)
    if options.bertscore is not None:
        check_bertscore(options.bertscore)


def _chosen(prepared: Prepared, bundle: Bundle, options: EvaluationOptions) -> _Rows:
    """The rows to judge, after the check for what the model has seen."""
    part = prepared.part(options.split)
    if not len(part):
        raise DataError(
            "{folder} has no {split} rows; choose another --split, or prepare it with such rows.",
            folder=prepared.folder,
            split=options.split.value,
        )
    rows, learned = np.arange(len(part)), None
    # Training and validation rows are seen by their nature, and the reading of the figures says so.
    if options.split is Split.TEST:
        matches = [(bundle.manifest.name, match_learned(part, bundle))]
        new, (learned,) = divide(matches, len(part), options.treatment)
        rows = np.flatnonzero(new)
    left_out = len(part) - len(rows)
    limit = options.limit if options.limit is not None and options.limit < len(rows) else None
    if limit is not None:
        rows = np.sort(np.random.default_rng(options.seed).permutation(rows)[:limit])
    return _Rows(part, rows, Provenance(options.split, len(part), left_out, learned, limit))


def _generate(
    network: StagedNetwork,
    squares: NDArray[np.uint8],
    place: int,
    decoding: DecodingOptions,
) -> list[Generated]:
    """The captions of a batch, of which the first image stands at `place`."""
    import torch

    # Another seed for each batch, or the first images of all batches would share their luck.
    decoding = replace(decoding, seed=decoding.seed + place)
    try:
        with torch.inference_mode():
            pixels = torch.from_numpy(network.image.normalised(squares))
            features = network.frozen_features(pixels)
            return network.generate(features, decoding)
    except torch.cuda.OutOfMemoryError:
        raise UsageError(
            "{count} images at once are too many for the memory of this GPU; use a smaller --batch-size, or "
            "fewer --beams.",
            count=len(squares),
        ) from None


def _identity(
    network: StagedNetwork, bundle: Bundle, judged: _Rows, options: EvaluationOptions
) -> dict[str, Any]:
    """What a caption of a row follows from: captions of a run with the same may be taken up."""
    from tetkik.lab.caption.training.features import frozen_digest

    # A commit says what the weights are, and so does the manifest of a bundle with whole ones. In a folder
    # the language model is too large to be read for this.
    place, files = network.found, list[list[object]]()
    if place.revision is None and place.folder != bundle.path:
        sizes = [(file.name, file.stat()) for file in sorted(place.folder.glob("*.safetensors"))]
        files = [[name, stat.st_size, stat.st_mtime_ns] for name, stat in sizes]
    found = {
        **model_identity(bundle),
        "base": [network.base, network.revision, frozen_digest(network, Cut.PROJECTION), files],
        "numbers": [network.quantisation.value, str(network.embeddings.weight.dtype)],
        "decoding": asdict(options.decoding),
        "images": judged.part.digest,
    }
    if options.decoding.sample:
        # What is drawn depends on the place of a row.
        found["rows"] = [options.batch_size, hashlib.sha256(judged.rows.tobytes()).hexdigest()]
    return found


def _nearest(
    accelerator: Any,
    network: StagedNetwork,
    prepared: Prepared,
    training: PreparedPart,
    judged: _Rows,
    options: EvaluationOptions,
    progress: ProgressCallback,
) -> Ints:
    """The nearest training row of each row that is judged."""
    from tetkik.lab.caption.training.features import frozen_digest

    pixels = options.baselines is Nearness.PIXELS
    tower = None if pixels else [frozen_digest(network, Cut.VISION), network.image.as_json()]
    key = json.dumps([training.digest, judged.part.digest, tower], sort_keys=True)
    name = f"{options.split.value}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"
    found = nearest_rows(
        accelerator,
        training,
        judged.part,
        pixel_embeddings if pixels else partial(_features, network),
        options.batch_size,
        prepared.folder / NEAREST_ROWS / name,
        progress,
    )
    return found[judged.rows]


def _features(network: StagedNetwork, squares: NDArray[np.uint8]) -> Embeddings:
    """What the vision tower sees, (n, width): what lies behind it would lend what it learned."""
    import torch

    with torch.inference_mode():
        return embedding(network.vision_features(torch.from_numpy(network.image.normalised(squares))))


def _wanted(
    prepared: Prepared, judged: _Rows, training: PreparedPart | None, options: EvaluationOptions
) -> Wanted:
    of_rows = tuple(judged.part.concepts[row] for row in judged.rows.tolist())
    concepts, reason = None, Sentence("No row of this split has a concept.")
    if any(of_rows):
        if training is None:
            reason = Sentence("Its dictionary is made of the training split, which was not opened.")
        else:
            every = {concept for row in training.concepts for concept in row}
            dictionary = concept_dictionary(every, prepared.concept_names())
            reason = Sentence("The data does not say what its concepts are called.")
            if dictionary.concepts:
                concepts = Concepts(of_rows, dictionary)
    return Wanted(options.meteor, options.bertscore, concepts, reason)


def systems_of(
    captions: Mapping[str, tuple[str, ...]], scores: Mapping[str, CaptionScores], draws: ClusterBootstrap
) -> tuple[System, ...]:
    """Each system with intervals, a baseline with its paired difference to the model."""
    systems: list[System] = []
    drawn_of_model: dict[str, Floats] = {}
    for name, texts in captions.items():
        measures = list(scores[name].measures.values())
        drawn = replicates(measures, draws) if draws.possible else [None] * len(measures)
        figures: dict[str, Figure] = {}
        for measure, values in zip(measures, drawn, strict=True):
            if np.isnan(measure.value):
                continue
            figure = Figure(measure.value, None if values is None else percentile_interval(values))
            if systems and measure.name in systems[0].figures:
                over = systems[0].figures[measure.name].value - measure.value
                pairs = None if values is None else drawn_of_model[measure.name] - values
                figure = replace(
                    figure, over=over, over_ci=None if pairs is None else percentile_interval(pairs)
                )
            elif values is not None:
                drawn_of_model[measure.name] = values
            figures[measure.name] = figure
        systems.append(System(name, texts, scores[name], figures))
    return tuple(systems)


def _examples(judged: _Rows, scores: CaptionScores, seed: int) -> tuple[Example, ...]:
    """The best, the worst and some random rows, by CIDEr and then by ROUGE-L; none stands twice."""
    cider, rouge = (scores.measures[name].rows for name in ("cider", "rouge_l"))
    ranked = np.lexsort((rouge, cider))
    count = min(_EXAMPLES, len(ranked) // 3 or 1)
    rest = np.random.default_rng(seed).permutation(ranked[count:-count])[:count]
    chosen = {
        ExampleKind.BEST: ranked[::-1][:count],
        ExampleKind.WORST: ranked[:count] if len(ranked) > 1 else ranked[:0],
        ExampleKind.RANDOM: rest,
    }
    return tuple(
        Example(kind, row, square)
        for kind, rows in chosen.items()
        if len(rows)
        for row, square in zip(rows.tolist(), judged.part.squares(judged.rows[rows]), strict=True)
    )


def _not_computed(
    scores: CaptionScores,
    draws: ClusterBootstrap,
    baselines: bool,
    options: EvaluationOptions,
    training: PreparedPart | None,
) -> dict[str, Sentence]:
    without = dict(scores.without)
    for measure in scores.measures.values():
        if np.isnan(measure.value):
            without[measure.name] = Sentence("No row has a concept whose name is known.")
    if not draws.possible:
        without["ci"] = Sentence("An interval needs two cases or more, and a bootstrap.")
    if not baselines:
        if options.baselines is Nearness.NONE:
            without["baselines"] = Sentence("They were not asked for.")
        elif training is None:
            without["baselines"] = Sentence("On training rows they would know the answers.")
        else:
            without["baselines"] = Sentence("There are no training rows to take them from.")
    return without
