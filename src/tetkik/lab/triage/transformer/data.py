"""The training data of an encoder: labels in order, duplicate groups, and a split by label and group."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from tetkik.bundle.card import REFERENCE_COMPLAINTS
from tetkik.errors import DataError, TrainingError
from tetkik.lab.engine.duplicate_texts import duplicate_texts
from tetkik.lab.engine.options import DataName, EngineOptions
from tetkik.lab.triage.data import Complaints, in_order, is_missing, numbered
from tetkik.networks.huggingface import quiet_transformers
from tetkik.settings import settings
from tetkik.statistics.intervals import Ints
from tetkik.triage.transformer import Casing, TextReader, turkish_tokenizer

# The settings of one training of an encoder.


BIOBERTURK = "hazal/BioBERTurkcased-con-trM"
"""BERTurk trained on with Turkish biomedical text (Türkmen et al., J Healthc Inform Res 7, 2023, 433)."""
BERTURK = "dbmdz/bert-base-turkish-cased"
"""BERTurk, general Turkish text; `dbmdz/bert-base-turkish-uncased` works too."""
DEFAULT_BASE = BIOBERTURK


class Imbalance(StrEnum):
    """What is done about departments with few complaints."""

    NONE = "none"
    """Nothing: plain cross-entropy."""
    WEIGHTS = "weights"
    """Each row weighs the inverse of its label's frequency."""
    LOGIT_ADJUSTMENT = "logit_adjustment"
    """The log of the label's frequency is added to its logit while training (Menon et al., 2021)."""
    FOCAL = "focal"
    """Rows that are already right weigh less (Lin et al., 2017)."""


@dataclass(frozen=True, slots=True)
class TransformerOptions(EngineOptions):
    """How an encoder is fine-tuned.

    Attributes:
        learning_rate: of AdamW; it rises over the first tenth of the steps and falls to 0.
        patience: by the macro-F1 on validation.
        keep_fp32: a small bundle always does.
    """

    same_result: ClassVar[frozenset[str]] = EngineOptions.same_result | {"keep_fp32", "reference"}

    base: Annotated[
        str, Field(description="Transformer: a Hugging Face id or a path; without it BioBERTurk.")
    ] = DEFAULT_BASE
    data_name: DataName = "training table"
    batch_size: Annotated[int, Field(ge=1, description="Transformer: rows in one step.")] = 32
    learning_rate: Annotated[float, Field(ge=0, description="Transformer: highest learning rate.")] = 3e-5
    max_length: Annotated[int, Field(ge=8, description="Transformer: tokens read of a complaint.")] = 256
    imbalance: Annotated[
        Imbalance, Field(description="Transformer: what is done about rare departments.")
    ] = Imbalance.WEIGHTS
    seed: Annotated[int, Field(ge=0, description="Transformer: of the split and the weights.")] = 0
    keep_fp32: Annotated[
        bool, Field(description="Transformer: put the fp32 network into the bundle too.")
    ] = False
    reference: Annotated[
        int,
        Field(
            ge=0,
            description="Most held-out complaints that the reference for drift is taken from; 0 for none.",
        ),
    ] = REFERENCE_COMPLAINTS


# The encoder that training starts from: found, checked, and read with Turkish in mind.


_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*(/[\w.-]+)?$")
_WANTED = ["*.json", "*.txt", "*.model", "*.safetensors"]
_POSITIONS_AFTER_PAD = {"roberta", "xlm-roberta", "camembert", "xlm-roberta-xl"}


@dataclass(frozen=True, slots=True)
class Base:
    """An encoder on disk with its tokenizer."""

    name: str
    folder: Path
    tokenizer: str  # the text of its `tokenizer.json`, made safe for Turkish
    special: dict[str, str]  # its special tokens by role, such as `mask_token`
    pad_id: int
    max_length: int
    casing: Casing

    def reader(self) -> TextReader:
        return TextReader.from_json(self.tokenizer, self.max_length, self.pad_id)

    def preprocessing(self) -> dict[str, Any]:
        """What a manifest says of how texts are read."""
        return {
            "max_length": self.max_length,
            "pad_id": self.pad_id,
            "inputs": ["input_ids", "attention_mask"],
            "cased": self.casing.cased,
            "tokenizer_changed_for_turkish": self.casing.changed,
        }


def open_base(name: str, max_length: int, *, for_turkish: bool = True) -> Base:
    """Find the encoder `name` (a path, or a Hugging Face id) and read its tokenizer.

    A path needs no network. An id goes through the hub's own client: from its cache, or from the network
    where the setting `offline` is off. `max_length`, in tokens, is cut to what the encoder can take. Without
    `for_turkish` its tokenizer stays as the network was taught with it.

    Raises:
        TrainingError: not found, without safetensors weights, or not an encoder with a fast tokenizer.
    """
    from transformers import AutoConfig, AutoTokenizer

    folder = _folder(name)
    try:
        with quiet_transformers():
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        specification = tokenizer.backend_tokenizer.to_str()
    # Whatever a foreign folder holds must end in one sentence.
    except Exception as error:
        raise TrainingError(
            "The base model {base} has no configuration and tokenizer that transformers can read ({fault}); "
            "give an encoder with config.json and tokenizer.json or vocab.txt.",
            base=name,
            fault=type(error).__name__,
        ) from None
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    limit = getattr(config, "max_position_embeddings", None) or max_length
    if config.model_type in _POSITIONS_AFTER_PAD:
        limit -= pad_id + 1
    text, casing = specification, Casing(not getattr(tokenizer, "do_lower_case", False), changed=False)
    if for_turkish:
        text, casing = turkish_tokenizer(specification)
    special = {
        role: str(token) for role, token in tokenizer.special_tokens_map.items() if isinstance(token, str)
    }
    return Base(
        name, folder, text, special, pad_id, min(max_length, limit, tokenizer.model_max_length), casing
    )


def load_classifier(base: Base, labels: Sequence[str], seed: int) -> Any:
    """The encoder with a new head for `labels`, fp32, on the CPU.

    Only safetensors weights are read, and no code of the model's own is run.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(seed)
    try:
        with quiet_transformers():
            model = AutoModelForSequenceClassification.from_pretrained(
                base.folder,
                use_safetensors=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,
                num_labels=len(labels),
                id2label=dict(enumerate(labels)),
                label2id={label: index for index, label in enumerate(labels)},
                problem_type="single_label_classification",
            )
    except Exception as error:
        raise TrainingError(
            "The base model {base} cannot be loaded as a text classifier ({fault}); give an encoder "
            "such as {other}.",
            base=base.name,
            fault=type(error).__name__,
            other=BERTURK,
        ) from None
    return model.float()


def _folder(name: str) -> Path:
    path = Path(name).expanduser()
    if path.is_file():
        raise TrainingError(
            "The base model {base} is a file; give the folder of an encoder, with safetensors weights.",
            base=name,
        )
    if not path.is_dir():
        if name.startswith((".", "/", "~")) or not _HUB_ID.match(name):
            raise TrainingError("There is no base model at {base}; check the path.", base=name)
        path = _from_hub(name)
    if not list(path.glob("*.safetensors")):
        raise TrainingError(
            "The base model {base} has no safetensors weights, and training opens no pickle, which can run "
            "any code; `python -m tetkik.lab.triage.transformer.convert {base} FOLDER` makes a safe copy.",
            base=name,
        )
    return path


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    offline = settings().offline
    try:
        folder = Path(snapshot_download(name, allow_patterns=_WANTED, local_files_only=offline))
        if not list(folder.glob("*.safetensors")) and not offline:
            revision = _converted_revision(name)
            if revision is not None:
                folder = Path(snapshot_download(name, revision=revision, allow_patterns=_WANTED))
        return folder
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        raise TrainingError(
            "The base model {base} is not on this machine and could not be fetched ({fault}); set "
            "TETKIK_OFFLINE=false where there is a network, or give the path of a folder that holds it.",
            base=name,
            fault=type(error).__name__,
        ) from None


def _converted_revision(name: str) -> str | None:
    """The pull request in which the hub's own bot offers this model's weights as safetensors, if any."""
    from huggingface_hub import HfApi

    for request in HfApi().get_repo_discussions(name, author="SFconvertbot", discussion_type="pull_request"):
        if request.git_reference and "safetensors" in request.title:
            return str(request.git_reference)
    return None


PARTS = ("training", "validation", "test")
_SHARES = (0.8, 0.1, 0.1)


@dataclass(frozen=True, slots=True)
class Split:
    """Row numbers of the three parts, each (rows of the part,), int64, rising; together every row once."""

    training: Ints
    validation: Ints
    test: Ints


def stratified_split(labels: Sequence[str], groups: Ints, seed: int = 0) -> Split:
    """Split rows 80 to 10 to 10 so that each label is parted alike and each group, (rows,), stays whole.

    A group counts under its commonest label. Every label gets at least one group in each part; beyond that
    the groups go, in random order, to the part that lacks most rows.

    Raises:
        DataError: rows of one label only, or a label with fewer than three distinct rows.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for row, group in enumerate(groups.tolist()):
        members[group].append(row)
    by_label: dict[str, list[list[int]]] = defaultdict(list)
    for rows in members.values():
        counts = Counter(labels[row] for row in rows)
        by_label[max(sorted(counts), key=counts.__getitem__)].append(rows)
    _check(labels, by_label)
    random = np.random.default_rng(seed)
    parts: tuple[list[int], ...] = ([], [], [])
    for label in sorted(by_label):
        for part, rows in zip(parts, _share_out(by_label[label], random), strict=True):
            part.extend(rows)
    return Split(*(np.array(sorted(part), dtype=np.int64) for part in parts))


def _check(labels: Sequence[str], by_label: dict[str, list[list[int]]]) -> None:
    names = sorted(set(labels))
    if len(names) < 2:
        raise DataError(
            "All {count} rows have the label {label}; training needs complaints of at least two departments.",
            count=len(labels),
            label=names[0] if names else "?",
        )
    for name in names:
        if len(by_label.get(name, ())) < len(PARTS):
            raise DataError(
                "The label {label} has {count} distinct rows, and training, validation and test need one "
                "each; add rows of it or leave the label out.",
                label=name,
                count=len(by_label.get(name, ())),
            )


def _share_out(groups: list[list[int]], random: np.random.Generator) -> list[list[int]]:
    """The rows of one label's groups in three parts."""
    wanted = np.array(_SHARES) * sum(map(len, groups))
    parts: list[list[int]] = [[], [], []]
    order = [groups[index] for index in random.permutation(len(groups))]
    # The smallest groups are set aside first, so that a large one cannot fill validation or test alone.
    order.sort(key=len)
    for part, rows in zip((1, 2, 0), order[:3], strict=True):
        parts[part].extend(rows)
    for rows in (order[3 + index] for index in random.permutation(len(order) - 3)):
        lacking = wanted - np.array([len(part) for part in parts])
        parts[int(lacking.argmax())].extend(rows)
    return parts


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Complaints with their labels and their split."""

    complaints: Complaints
    labels: tuple[str, ...]  # the built-in departments in their order, then any others by name
    truth: Ints  # (rows,), index of each row's label
    groups: Ints  # (rows,), duplicate group of each row
    split: Split

    def counts(self) -> list[tuple[str, Ints]]:
        """For each part its name and its rows by label, (labels,)."""
        parts = (self.split.training, self.split.validation, self.split.test)
        return [
            (name, np.bincount(self.truth[rows], minlength=len(self.labels)).astype(np.int64))
            for name, rows in zip(PARTS, parts, strict=True)
        ]

    def texts(self, rows: Ints) -> list[str]:
        return [self.complaints.texts[row] for row in rows]


def prepare_data(complaints: Complaints, seed: int) -> TrainingData:
    """Number the labels, find duplicates, split."""
    if bad := sum(map(is_missing, complaints.labels)):
        raise DataError(
            "{count} rows have no label; give each a department or leave those rows out.", count=bad
        )
    groups = duplicate_texts(complaints.texts)
    split = stratified_split(complaints.labels, groups, seed=seed)
    labels = in_order(complaints.labels)
    return TrainingData(complaints, labels, numbered(complaints.labels, labels), groups, split)


def identity(data: TrainingData, options: TransformerOptions) -> dict[str, Any]:
    """What must be the same for a training to be resumed; of the data only a digest."""
    digest = hashlib.sha256()
    for text, label in zip(data.complaints.texts, data.complaints.labels, strict=True):
        digest.update(f"{len(text)}:{text}{len(label)}:{label}".encode())
    return {"options": options.as_json(), "rows": len(data.complaints), "data": digest.hexdigest()}
