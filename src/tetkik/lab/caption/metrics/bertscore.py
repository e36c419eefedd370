"""BERTScore (Zhang et al., ICLR 2020): words matched by the nearness of their contextual embeddings.

As the package bert-score computes it, without rescaling by a baseline. Its figures depend on the model and
the layer: compare only those of the same. ImageCLEF judges captions with microsoft/deberta-xlarge-mnli and
`idf`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tetkik.errors import InputError, MissingExtra, UsageError
from tetkik.networks.huggingface import quiet_transformers
from tetkik.settings import settings
from tetkik.statistics import Floats
from tetkik.values import ProgressCallback

if TYPE_CHECKING:
    from torch import Tensor

BEST_LAYERS = {
    "bert-base-uncased": 9,
    "bert-large-uncased": 18,
    "roberta-base": 10,
    "roberta-large": 17,
    "distilbert-base-uncased": 5,
    "allenai/scibert_scivocab_uncased": 8,
    "microsoft/deberta-base-mnli": 9,
    "microsoft/deberta-large-mnli": 18,
    "microsoft/deberta-xlarge-mnli": 40,
}
"""The layer that agrees best with people on WMT16, as the authors chose it; another model uses its last."""
_LONGEST = 512


@dataclass(frozen=True, slots=True)
class BertScoreOptions:
    """How BERTScore is computed; `layer` None takes the authors' choice for the model, or its last.

    With `idf` word pieces weigh by how rare they are among the references.
    """

    model: str
    layer: int | None = None
    idf: bool = False
    batch: int = 64


_Pieces = tuple[Any, Floats]
"""A text in word pieces: the unit embedding, (pieces, width), float32, and weight, (pieces,), of each."""


def bertscore_rows(
    systems: Sequence[Sequence[str]],
    references: Sequence[Sequence[str]],
    options: BertScoreOptions,
    progress: ProgressCallback = lambda *_: None,
) -> list[Floats]:
    """For each system the F-measure of each row, (n,), the best over its references."""
    tokenizer, model, layer = _opened(options)
    every = [text for of_one in references for text in of_one]
    rarity = _rarity([_ids(tokenizer, text) for text in every], options.idf)
    special = {tokenizer.cls_token_id, tokenizer.sep_token_id}
    texts = list(dict.fromkeys((*(text for candidates in systems for text in candidates), *every)))
    found: dict[str, _Pieces] = {}
    # Texts of like length together: less filling.
    texts.sort(key=len)
    for start in range(0, len(texts), options.batch):
        part = texts[start : start + options.batch]
        ids = [_ids(tokenizer, text) for text in part]
        for text, row, embedding in zip(part, ids, _embeddings(model, tokenizer, ids, layer), strict=True):
            weight = np.array(
                [rarity(piece) if options.idf or piece not in special else 0.0 for piece in row]
            )
            found[text] = (embedding, weight)
        progress("BERTScore", min(start + options.batch, len(texts)), len(texts))
    return [
        np.array(
            [
                max(_f_measure(found[candidate], found[reference]) for reference in of_one)
                for candidate, of_one in zip(candidates, references, strict=True)
            ]
        )
        for candidates in systems
    ]


def check_bertscore(options: BertScoreOptions) -> None:
    """Fail before the long work where BERTScore would fail after it; no weights are read."""
    with _from_hub(options.model):
        from transformers import AutoConfig, AutoTokenizer

        local = settings().offline
        AutoTokenizer.from_pretrained(options.model, local_files_only=local, trust_remote_code=False)
        config = AutoConfig.from_pretrained(options.model, local_files_only=local, trust_remote_code=False)
    _layer_of(config, options)


def _opened(options: BertScoreOptions) -> tuple[Any, Any, int]:
    with _from_hub(options.model):
        import torch
        from transformers import AutoModel, AutoTokenizer

        local = settings().offline
        tokenizer = AutoTokenizer.from_pretrained(
            options.model, local_files_only=local, trust_remote_code=False
        )
        model = AutoModel.from_pretrained(
            options.model, local_files_only=local, trust_remote_code=False, dtype=torch.float32
        )
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return tokenizer, model.to(device).eval(), _layer_of(model.config, options)


@contextmanager
def _from_hub(name: str) -> Iterator[None]:
    """Everything that can go wrong on the way to the model `name` in one sentence."""
    try:
        import torch  # noqa: F401 - a missing package is reported in one sentence
        import transformers  # noqa: F401
    except ImportError:
        raise MissingExtra(
            "BERTScore needs torch and transformers; `pip install 'tetkik[caption]'`."
        ) from None
    try:
        with quiet_transformers():
            yield
    except (OSError, ValueError) as error:
        raise InputError(
            "The BERTScore model {model} cannot be had ({fault}); give a folder in the Hugging Face layout, "
            "or set TETKIK_OFFLINE=false where there is a network.",
            model=name,
            fault=type(error).__name__,
        ) from None


def _layer_of(config: Any, options: BertScoreOptions) -> int:
    layers = int(config.num_hidden_layers)
    layer = options.layer if options.layer is not None else BEST_LAYERS.get(options.model, layers)
    if not 1 <= layer <= layers:
        raise UsageError(
            "The BERTScore model {model} has {layers} layers; --bertscore-layer cannot be {layer}.",
            model=options.model,
            layers=layers,
            layer=layer,
        )
    return layer


def _ids(tokenizer: Any, text: str) -> list[int]:
    longest = min(int(tokenizer.model_max_length), _LONGEST)
    ids: list[int] = tokenizer(text.strip(), truncation=True, max_length=longest)["input_ids"]
    return ids


def _rarity(references: Sequence[Sequence[int]], idf: bool) -> Any:
    """The weight of a word piece: log of (references + 1) over (references that have it + 1), or 1."""
    if not idf:
        return lambda piece: 1.0
    frequency = Counter(piece for row in references for piece in set(row))
    above = len(references) + 1
    return lambda piece: math.log(above / (frequency[piece] + 1))


def _embeddings(model: Any, tokenizer: Any, ids: Sequence[Sequence[int]], layer: int) -> list[Tensor]:
    """The unit embedding of each piece of each text, (pieces, width) each, float32, on the CPU."""
    import torch

    longest = max(len(row) for row in ids)
    filled = torch.full((len(ids), longest), int(tokenizer.pad_token_id or 0))
    mask = torch.zeros((len(ids), longest), dtype=torch.long)
    for place, row in enumerate(ids):
        filled[place, : len(row)] = torch.tensor(row)
        mask[place, : len(row)] = 1
    with torch.inference_mode():
        given = model(
            filled.to(model.device), attention_mask=mask.to(model.device), output_hidden_states=True
        )
        states = torch.nn.functional.normalize(given.hidden_states[layer].float(), dim=-1).cpu()
    return [states[place, : len(row)] for place, row in enumerate(ids)]


def _f_measure(candidate: _Pieces, reference: _Pieces) -> float:
    near = (candidate[0] @ reference[0].T).numpy().astype(np.float64)
    precision = _weighted(near.max(axis=1), candidate[1])
    recall = _weighted(near.max(axis=0), reference[1])
    # A text of the marks of beginning and end alone says nothing.
    if min(near.shape) <= 2 or precision + recall == 0 or math.isnan(precision + recall):
        return 0.0
    return 2 * precision * recall / (precision + recall)


def _weighted(best: Floats, weight: Floats) -> float:
    total = float(weight.sum())
    return float(best @ weight) / total if total > 0 else math.nan
