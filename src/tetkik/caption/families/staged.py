"""What every family has in common: stages from image to language model, of which the first are frozen."""

from __future__ import annotations

import hashlib
import math
import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tetkik.bundle.hub import from_hub, looks_like_hub_id, user_path
from tetkik.caption.image_spec import ImageSpec
from tetkik.caption.network import CaptionBatch, Cut, DecodingOptions, Generated
from tetkik.caption.options import Quantisation
from tetkik.errors import BundleCorrupt, BundleNotFound, UsageError
from tetkik.networks.huggingface import quiet_transformers

# Where a base lies: a folder in the layout of Hugging Face, or an id on its hub at one commit.


_LIGHT = ["*.json", "*.txt", "*.model"]
"""Configuration and tokenizer, without weights."""
_COMMIT = re.compile(r"^[0-9a-f]{40}$")


@dataclass(frozen=True, slots=True)
class BaseLocation:
    """A base that was found, by the name a bundle may give it; the commit is None for a folder."""

    folder: Path
    name: str
    revision: str | None
    given: str


def is_path(base: str) -> bool:
    """Whether `base` means a place on this computer rather than an id of the hub."""
    return user_path(base).exists() or not looks_like_hub_id(base)


def find_base(base: str, revision: str | None = None, *, weights: bool = True) -> BaseLocation:
    """Where `base` lies; from the hub's cache, or with the setting `offline` off from the hub.

    Without `weights` only configuration and tokenizer are fetched. A revision is a commit, tag or branch.
    """
    if not is_path(base):
        folder = from_hub(base, [*_LIGHT, "*.safetensors"] if weights else _LIGHT, revision)
        # The hub's cache names the folder of a snapshot by its commit.
        found = BaseLocation(folder, base, folder.name if _COMMIT.match(folder.name) else None, base)
    else:
        if revision is not None:
            raise UsageError(
                "{base} is a folder, which has no revisions; leave --revision out or give a Hugging Face id.",
                base=base,
            )
        folder = user_path(base)
        if not folder.is_dir():
            raise BundleNotFound(
                "There is no base model at {base}; give a folder in the layout of Hugging Face or an id such "
                "as Salesforce/blip2-opt-2.7b.",
                base=base,
            )
        found = BaseLocation(folder, folder.resolve().name, None, base)
    if not (found.folder / "config.json").is_file():
        raise BundleCorrupt(
            "{base} has no config.json, so it is no model of transformers; give a folder that "
            "save_pretrained wrote.",
            base=base,
        )
    if weights and not any(found.folder.glob("*.safetensors")):
        raise BundleCorrupt(
            "{base} has no weights as safetensors, and other files can run code when they are opened; choose "
            "a revision with safetensors, or convert it once where you trust it "
            "(save_pretrained of transformers writes safetensors).",
            base=base,
        )
    return found


# How tokens are drawn from a language model, and where a caption ends.


def generation_config(options: DecodingOptions, special: Mapping[str, int | None]) -> Any:
    """`GenerationConfig` for `options` and the tokens that a language model starts and ends with."""
    from transformers import GenerationConfig

    if options.sample and options.beams != 1:
        raise UsageError("Sampling takes no beams ({beams}); use --beams 1.", beams=options.beams)
    if options.min_tokens > options.max_tokens:
        raise UsageError(
            "A caption cannot have at least {least} tokens and at most {most}; correct one of them.",
            least=options.min_tokens,
            most=options.max_tokens,
        )
    drawn = {"temperature": options.temperature, "top_p": options.top_p, "top_k": 0} if options.sample else {}
    # With one beam there is no length to favour, and transformers would warn.
    beam = {"length_penalty": options.length_penalty} if options.beams > 1 else {}
    return GenerationConfig(
        num_beams=options.beams,
        do_sample=options.sample,
        max_new_tokens=options.max_tokens,
        min_new_tokens=options.min_tokens,
        no_repeat_ngram_size=options.no_repeat,
        repetition_penalty=options.repetition_penalty,
        **drawn,
        **beam,
        **special,
    )


@contextmanager
def drawing(seed: int, device: torch.device) -> Iterator[None]:
    """Draws from `seed` within; the state of the generators is as before afterwards."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def until_end(row: list[int], end: int, pad: int | None) -> tuple[list[int], bool]:
    """The tokens of a generated row before its end, and whether it had one rather than being cut off."""
    if end in row:
        return row[: row.index(end)], True
    while row and row[-1] == pad:
        row = row[:-1]
    return row, False


# What keeps a loss finite and memory small: fp32 where it matters, logits only where they are needed.


IGNORED = -100
"""A target that is not to be learned."""
CHUNK = 512
"""Tokens whose logits are in memory at once: with OPT's 50,272 words 103 MB in fp32."""
_CHANCES = ("dropout", "attention_dropout", "activation_dropout", "layerdrop")


def still(module: nn.Module) -> None:
    """No dropout in `module` from now on, in training mode too, which gradient checkpointing needs."""
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
        for name in _CHANCES:
            if isinstance(getattr(part, name, None), float):
                setattr(part, name, 0.0)


def token_losses(
    hidden: Tensor, head: Callable[[Tensor], Tensor], targets: Tensor, smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy, (tokens,), float32, of `hidden`, (tokens, width), and targets, (tokens,).

    Logits are made a chunk at a time and once more in the backward pass, so that never more than `CHUNK` rows
    of the vocabulary are kept; they are taken to float32 before the softmax, since fp16 overflows there.
    """

    def losses(part: Tensor, wanted: Tensor) -> Tensor:
        return nn.functional.cross_entropy(
            head(part).float(), wanted, reduction="none", label_smoothing=smoothing
        )

    if len(targets) <= CHUNK:
        return losses(hidden, targets)
    parts = zip(torch.split(hidden, CHUNK), torch.split(targets, CHUNK), strict=True)
    if torch.is_grad_enabled():
        return torch.cat([checkpoint(losses, part, wanted, use_reentrant=False) for part, wanted in parts])
    return torch.cat([losses(part, wanted) for part, wanted in parts])


def float_parameters(module: nn.Module) -> Iterator[nn.Parameter]:
    """The parameters of `module` that are not quantised."""
    return (weight for weight in module.parameters() if weight.is_floating_point())


def in_fp32(module: nn.Module) -> None:
    """Take the weights of `module` to fp32 in place."""
    for weight in float_parameters(module):
        weight.data = weight.data.float()


def numbers_of(module: nn.Module) -> torch.dtype:
    """What `module` computes in; where peft has put one that learns in its place, what that computes in."""
    learning = getattr(module, "modules_to_save", None)
    if learning is not None and len(learning):
        module = next(iter(learning.values()))
    return next(module.parameters()).dtype


def count(weight: nn.Parameter) -> int:
    """Numbers in a weight; a 4-bit one is packed, two or more in a byte."""
    packed = getattr(weight, "quant_state", None)
    return int(packed.shape.numel()) if packed is not None else weight.numel()


# Captions as token numbers and back.


TOKENIZER = "tokenizer.json"


class CaptionTokenizer:
    """The tokenizer of a language model, for captions; the SHA-256 of its file tells it from others."""

    def __init__(self, tokenizer: Any, fingerprint: str) -> None:
        self.tokenizer = tokenizer
        self.fingerprint = fingerprint
        # `<image>` is special without being one of the tokenizer's named ones.
        added = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
        special = (added | set(tokenizer.all_special_ids)) - {tokenizer.unk_token_id}
        self._special = np.array(sorted(special), np.int32)

    @classmethod
    def open(cls, folder: Path, name: str) -> CaptionTokenizer:
        from transformers import AutoTokenizer

        try:
            with quiet_transformers():
                tokenizer = AutoTokenizer.from_pretrained(
                    folder, local_files_only=True, trust_remote_code=False
                )
        # Whatever a foreign folder holds must end in one sentence.
        except Exception as error:
            raise BundleCorrupt(
                "{name} has no tokenizer that transformers can read ({fault}); give a folder with its "
                "tokenizer.json.",
                name=name,
                fault=type(error).__name__,
            ) from None
        file = folder / TOKENIZER
        content = file.read_bytes() if file.is_file() else tokenizer.backend_tokenizer.to_str().encode()
        return cls(tokenizer, hashlib.sha256(content).hexdigest())

    def encode(self, captions: Sequence[str]) -> list[NDArray[np.int32]]:
        """Token numbers of each caption, without special tokens, even where a caption spells one out."""
        if not captions:
            return []
        rows = self.tokenizer(
            list(captions), add_special_tokens=False, return_attention_mask=False, verbose=False
        )["input_ids"]
        return [self._plain(np.array(row, np.int32)) for row in rows]

    def decode(self, row: Iterable[int]) -> str:
        """The text of token numbers, without special tokens, runs of white space as one space."""
        numbers = self._plain(np.fromiter(row, np.int32)).tolist()
        text: str = self.tokenizer.decode(numbers, clean_up_tokenization_spaces=False)
        return " ".join(text.split())

    def _plain(self, row: NDArray[np.int32]) -> NDArray[np.int32]:
        return row[~np.isin(row, self._special)]


@dataclass(frozen=True, slots=True)
class Stage:
    """A step from the image towards the language model; `shape` is (tokens, width) of its output."""

    cut: Cut
    parts: tuple[str, ...]
    run: Callable[[Tensor], Tensor]
    shape: tuple[int, int]


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """Numbers that a language model starts, ends and fills up with."""

    start: int | None
    end: int
    pad: int


class StagedNetwork(ABC):
    """An image-text model of some family, loaded.

    peft puts its layers in the place of those of `core`; `model` may be a `PeftModel` around it. `prompt`,
    the words before the caption, may be set before anything is encoded.
    """

    family: ClassVar[str]
    usual: ClassVar[str]
    """Name of the class of transformers."""
    default_prompt: ClassVar[str] = ""
    least: ClassVar[int] = 4
    """The first main version of transformers with which it is as it was trained."""
    language: ClassVar[str]
    """Name of the language model in `core`."""
    bridge: ClassVar[str | None] = None
    """Name of the Q-Former in `core`, where there is one."""
    projection: ClassVar[str]
    """Name of the projection into the language model in `core`."""
    processor: ClassVar[str]
    """Name of the processor of transformers."""
    image_processor: ClassVar[str]
    kept_whole: ClassVar[tuple[str, ...]]
    """Modules that are never quantised."""

    def __init__(
        self,
        core: Any,
        tokenizer: CaptionTokenizer,
        image: ImageSpec,
        found: BaseLocation,
        quantisation: Quantisation = Quantisation.NONE,
    ) -> None:
        self.core = core
        self.model = core
        self.words = tokenizer
        self.image = image
        self.found = found
        self.base, self.revision, self.fingerprint = found.name, found.revision, tokenizer.fingerprint
        self.quantisation = quantisation
        self.prompt = self.default_prompt
        self.special = self._special_tokens()
        self.dropped = False
        """Whether `drop_frozen` was called."""

    # What a family says of itself.

    @abstractmethod
    def stages(self) -> tuple[Stage, ...]:
        """From the image to the language model, in order; the last ends at `Cut.PROJECTION`."""

    @staticmethod
    @abstractmethod
    def settle(core: Any) -> None:
        """Take what must not be fp16 to fp32, in the loaded model `core`."""

    def more_of_processor(self) -> dict[str, Any]:
        """What its processor is to know besides its class."""
        return {}

    def more_of_images(self) -> dict[str, Any]:
        """What its image processor is to know besides the `ImageSpec`."""
        return {}

    def adapter_targets(self) -> tuple[str, ...]:
        """The query and value projections of the language model, which get an adapter by default."""
        return ("q_proj", "v_proj")

    @abstractmethod
    def _special_tokens(self) -> SpecialTokens:
        """From its configuration."""

    @abstractmethod
    def hidden(self, image: Tensor, ids: Tensor, mask: Tensor, targets: Tensor) -> Tensor:
        """The last layer at the places from which `targets` are predicted, (tokens to learn, width).

        `image` are features at `Cut.PROJECTION`, (n, tokens, width); the others are (n, length), int64.
        """

    @abstractmethod
    def _compose(self, row: Sequence[int], ended: bool) -> tuple[list[int], int]:
        """A caption with prompt and special tokens, and how many of its tokens stand before the caption."""

    @abstractmethod
    def _generate(self, image: Tensor, config: Any) -> Tensor:
        """New tokens only, (n, length), int64, from features at `Cut.PROJECTION`."""

    # What follows for all.

    @property
    def device(self) -> torch.device:
        device: torch.device = next(self.language_model.parameters()).device
        return device

    @property
    def language_model(self) -> nn.Module:
        """The language model, whose layers peft may have replaced."""
        module: nn.Module = attrgetter(self.language)(self.core)
        return module

    def part(self, name: str) -> nn.Module | nn.Parameter:
        found: nn.Module | nn.Parameter = attrgetter(name)(self.core)
        return found

    @property
    def cut(self) -> Cut:
        """Where the frozen part ends: before the first stage with a weight that learns.

        A frozen projection that only makes features larger comes after it as well: for OPT-6.7B they are
        32 x 768 numbers before it and 32 x 4096 behind it, and one linear layer in a step costs nothing.
        """
        stages = self.stages()
        frozen = list(
            takewhile(lambda stage: not any(learns(self.part(name)) for name in stage.parts), stages)
        )
        if len(frozen) == len(stages) and math.prod(frozen[-1].shape) > math.prod(frozen[-2].shape):
            frozen.pop()
        return frozen[-1].cut if frozen else Cut.NOTHING

    def frozen_features(self, pixels: Tensor) -> Tensor:
        """The output of the frozen part, (n, tokens, width); with `Cut.NOTHING` the pixels themselves."""
        frozen, _ = self._halves()
        features = pixels.to(self.device)
        with torch.no_grad(), self.judging():
            for stage in frozen:
                features = stage.run(features)
        return features

    def vision_features(self, pixels: Tensor) -> Tensor:
        """The output of the vision tower alone, (n, tokens, width), whatever learns."""
        with torch.no_grad(), self.judging():
            return self.stages()[0].run(pixels.to(self.device))

    def feature_shape(self) -> tuple[int, int]:
        """(tokens, width) of one image's features; with `Cut.NOTHING` (3, size * size), of its pixels."""
        cut = self.cut
        return next(
            (stage.shape for stage in self.stages() if stage.cut is cut),
            (3, self.image.size * self.image.size),
        )

    def drop_frozen(self) -> None:
        """Free the memory of the stages before the cut."""
        for stage in self._halves()[0]:
            for name in stage.parts:
                part = self.part(name)
                if isinstance(part, nn.Module):
                    part.to("meta")
        self.dropped = True

    @property
    def adapted(self) -> bool:
        return self.model is not self.core

    def checkpoint_activations(self) -> None:
        """Compute activations of what learns again in the backward pass instead of storing them."""
        # It tells of a Q-Former that has no embeddings of words.
        with quiet_transformers():
            for part in (*self.learning_parts().values(), self.language_model):
                # Its name from transformers 5 on, and the one before.
                for name in ("activation_checkpointing_enable", "gradient_checkpointing_enable"):
                    if hasattr(part, name):
                        getattr(part, name)({"use_reentrant": False})
                        break

    def trainable(self) -> TrainableModel:
        """The module that learns: from the features at the cut to the loss."""
        return TrainableModel(self)

    def encode(self, captions: Sequence[str]) -> list[NDArray[np.int32]]:
        """Token numbers of each caption, without prompt and special tokens."""
        return self.words.encode(captions)

    def batch(self, rows: Sequence[NDArray[np.int32]]) -> CaptionBatch:
        """Encoded captions with prompt, special tokens and filling, on the CPU."""
        return self.batch_of([(row.tolist(), True) for row in rows])

    def generate(self, features: Tensor, options: DecodingOptions) -> list[Generated]:
        """A caption for each image, from its features at the cut."""
        with torch.no_grad(), self.judging():
            image = self.to_language(features.to(self.device))
            rows = self.draw(image, options)
            sure = self._confidence(image, rows)
        return [
            Generated(self.words.decode(row), confidence)
            for (row, _), confidence in zip(rows, sure, strict=True)
        ]

    def draw(self, image: Tensor, options: DecodingOptions) -> list[tuple[list[int], bool]]:
        """The tokens of a caption for each of `image`, features at `Cut.PROJECTION`, and whether it ended."""
        special = {"pad_token_id": self.special.pad, "eos_token_id": self.special.end}
        config = generation_config(options, special)
        with (
            torch.no_grad(),
            self.judging(),
            drawing(options.seed, self.device),
            warnings.catch_warnings(),
        ):
            # Penalties count new tokens only, which is what is wanted: a prompt is not repeated.
            warnings.filterwarnings("ignore", message="Passing `.*` with `inputs_embeds`")
            tokens = self._generate(image, config)
        return [until_end(row, self.special.end, self.special.pad) for row in tokens.tolist()]

    def logits(self, hidden: Tensor) -> Tensor:
        """(tokens, vocabulary) from (tokens, width)."""
        head = self.core.get_output_embeddings()
        answer: Tensor = head(hidden.to(head.weight.dtype))
        cap = getattr(self.core.config.text_config, "final_logit_softcapping", None)
        return answer if cap is None else torch.tanh(answer / cap) * cap

    def _project(self, features: Tensor) -> Tensor:
        projection = attrgetter(self.projection)(self.core)
        answer: Tensor = projection(features.to(numbers_of(projection)))
        return answer

    def _read(self, image: Tensor, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """What a decoder-only language model reads: the image, then the words; and the mask of both."""
        read = torch.cat([image, self.embeddings(ids)], dim=1)
        return read, torch.cat([mask.new_ones(image.shape[:2]), mask], dim=1)

    def to_language(self, features: Tensor) -> Tensor:
        """From features at the cut to those at `Cut.PROJECTION`, in the numbers of the language model."""
        for stage in self._halves()[1]:
            features = stage.run(features)
        return features.to(self.embeddings.weight.dtype)

    @property
    def embeddings(self) -> nn.Embedding:
        found: nn.Embedding = self.language_model.get_input_embeddings()  # type: ignore[operator]
        return found

    @contextmanager
    def judging(self) -> Iterator[None]:
        """Evaluation mode within; each module is as before afterwards."""
        training = [module for module in self.core.modules() if module.training]
        self.core.eval()
        try:
            yield
        finally:
            for module in training:
                module.training = True

    def _halves(self) -> tuple[list[Stage], list[Stage]]:
        """The stages before the cut and those after it."""
        stages, cut = self.stages(), self.cut
        first = next((i + 1 for i, stage in enumerate(stages) if stage.cut is cut), 0)
        return list(stages[:first]), list(stages[first:])

    def learning_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        return {name: self.part(name) for stage in self._halves()[1] for name in stage.parts}

    def batch_of(self, rows: Sequence[tuple[Sequence[int], bool]]) -> CaptionBatch:
        """As `batch`, for captions some of which have no end."""
        composed = [self._compose(row, ended) for row, ended in rows]
        length = max((len(row) for row, _ in composed), default=0)
        ids = torch.full((len(composed), length), self.special.pad)
        mask = torch.zeros_like(ids)
        targets = torch.full_like(ids, IGNORED)
        for number, (row, before) in enumerate(composed):
            ids[number, : len(row)] = torch.tensor(row)
            mask[number, : len(row)] = 1
            targets[number, before : len(row)] = torch.tensor(row[before:])
        return CaptionBatch(ids, mask, targets)

    def _beginnings(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """What stands before each caption, (n, length), and its mask."""
        row = torch.tensor([self._compose([], False)[0]], dtype=torch.long, device=image.device)
        ids = row.expand(len(image), -1)
        return ids, torch.ones_like(ids)

    def _confidence(self, image: Tensor, rows: Sequence[tuple[list[int], bool]]) -> list[float | None]:
        """Geometric mean of the probabilities of each row's tokens, its end among them.

        Judged in one pass over the finished captions: the model's own probabilities, whatever the decoding
        did to them, and no logits of every step are kept.
        """
        batch = self.batch_of(rows)
        if not (batch.targets != IGNORED).any():
            return [None] * len(rows)
        ids, mask, targets = (part.to(image.device) for part in (batch.ids, batch.mask, batch.targets))
        losses = token_losses(
            self.hidden(image, ids, mask, targets), self.logits, targets[targets != IGNORED]
        )
        sizes = (batch.targets != IGNORED).sum(dim=1).tolist()
        return [
            math.exp(-float(part.double().mean())) if len(part) else None
            for part in torch.split(losses, sizes)
        ]


def learns(part: nn.Module | nn.Parameter) -> bool:
    if isinstance(part, nn.Parameter):
        return part.requires_grad
    return any(weight.requires_grad for weight in part.parameters())


class TrainableModel(nn.Module):
    """What is wrapped for several GPUs: everything after the cut.

    Called with features at the cut, (n, tokens, width), and a `CaptionBatch`'s parts on the same device, it
    gives the sum of the cross-entropy over the tokens to learn, a float32 scalar.
    """

    def __init__(self, network: StagedNetwork) -> None:
        super().__init__()
        # Not a module, so that the frozen part before the cut is not among the weights here.
        self.network = network
        for name, part in network.learning_parts().items():
            if isinstance(part, nn.Parameter):
                self.register_parameter(name.replace(".", "_"), part)
            else:
                self.add_module(name.replace(".", "_"), part)
        self.add_module("language_model", network.language_model)
        # Gemma's layer for logits stands beside its language model.
        self.add_module("head", network.core.get_output_embeddings())

    def forward(
        self, features: Tensor, ids: Tensor, mask: Tensor, targets: Tensor, smoothing: float = 0.0
    ) -> Tensor:
        network = self.network
        hidden = network.hidden(network.to_language(features), ids, mask, targets)
        return token_losses(hidden, network.logits, targets[targets != IGNORED], smoothing).sum()
