"""The encoder that training starts from: found, checked, and read with Turkish in mind."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tetkik.errors import TrainingError
from tetkik.lab.triage.transformer.options import BERTURK
from tetkik.networks.huggingface import quiet_transformers
from tetkik.settings import settings
from tetkik.triage.transformer import Casing, TextReader, turkish_tokenizer

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
