"""Any `AutoModelForImageClassification` of transformers as a network, and its image processor as ours."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tetkik.errors import BundleCorrupt, BundleMismatch, MissingExtra
from tetkik.findings.label_names import to_shared
from tetkik.language import Sentence
from tetkik.networks.huggingface import model_folder, quiet_transformers, read_config
from tetkik.networks.network import as_feature_map, one_against_rest
from tetkik.values import NIH_LABELS

MULTI_LABEL = "multi_label_classification"
_REGRESSION = "regression"
SIGMOID, SOFTMAX = "sigmoid", "softmax"
_TOGETHER = 7
"""So many of the 14 findings of NIH among a model's labels say that they can occur together."""
_TOLERANCE = 1e-3


class HuggingFaceNetwork(nn.Module):
    """An image classifier of transformers.

    Where its labels are `exclusive` (it ends in a softmax) its logits are given as log-odds, so that their
    sigmoids are the softmax.
    """

    def __init__(self, model: Any, *, exclusive: bool = False) -> None:
        super().__init__()
        self.model = model
        self.exclusive = exclusive

    @property
    def classifier(self) -> nn.Linear:
        """The last linear layer with one output a label: (images, c) to (images, labels)."""
        outputs = self.model.config.num_labels
        layers = [part for part in self.model.modules() if isinstance(part, nn.Linear)]
        return next(part for part in reversed(layers) if part.out_features == outputs)

    def features(self, image: torch.Tensor) -> torch.Tensor:
        """The encoder's last features as a map, (images, c, h, w)."""
        return as_feature_map(self.model.base_model(pixel_values=image).last_hidden_state)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits: (images, labels)."""
        logits: torch.Tensor = self.model(pixel_values=image).logits
        return one_against_rest(logits) if self.exclusive else logits

    def logits_and_maps(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (images, labels) and the classifier applied to the features (images, labels, h, w).

        Only where `has_maps` says so is the mean of a map, plus the label's bias, its logit.
        """
        features = self.features(image)
        maps = nn.functional.conv2d(features, self.classifier.weight[:, :, None, None])
        return self.classifier(features.mean(dim=(2, 3))), maps

    @torch.no_grad()
    def has_maps(self, image: torch.Tensor) -> bool:
        """Whether the head is a mean over the map and one linear layer.

        It is tried on noise of the shape of `image`, so the network must be in evaluation mode.
        """
        if self.exclusive:
            return False
        noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0)).to(image)
        try:
            logits = self(noise)
            difference = (self.logits_and_maps(noise)[0] - logits).abs().max()
            spread = (logits - self.classifier.bias).abs().max()
        # Encoders without `last_hidden_state`, with features of another size, with several inputs.
        except (AttributeError, RuntimeError, StopIteration, TypeError, ValueError):
            return False
        return bool(difference <= _TOLERANCE * spread)


def open_classifier(name: str, *, exclusive: bool | None = None) -> HuggingFaceNetwork:
    """The classifier `name` (a folder or a Hugging Face id) with its own head, in evaluation mode.

    Weights are read from safetensors, or by torch's restricted unpickler; no code of the model's own runs.

    Args:
        exclusive: whether its labels exclude one another; None reads it from its configuration, as
            `activation_of` says.

    Raises:
        BundleNotFound: none such.
        BundleMismatch: not an image classifier.
        BundleCorrupt: its weights do not fit it.
        MissingExtra: it needs the package timm.
    """
    folder = model_folder(name)
    model = _load(name, folder, check_configuration(name, folder))
    if exclusive is None:
        exclusive = activation_of(model.config).exclusive
    return HuggingFaceNetwork(model, exclusive=exclusive and model.config.num_labels > 1).eval()


def open_for_training(name: str, labels: Sequence[str]) -> HuggingFaceNetwork:
    """The classifier `name` with one independent output for each of `labels`, in training mode.

    Its head is kept where it has these labels in this order, and new otherwise.
    """
    folder = model_folder(name)
    config = check_configuration(name, folder)
    named = label_settings(labels)
    model = _load(name, folder, config, num_labels=len(labels), ignore_mismatched_sizes=True, **named)
    if label_names(config) != tuple(labels):
        network = HuggingFaceNetwork(model)
        network.classifier.reset_parameters()
        nn.init.zeros_(network.classifier.bias)
    return HuggingFaceNetwork(model).train()


def label_settings(labels: Sequence[str], *, exclusive: bool = False) -> dict[str, Any]:
    """What the configuration of a classifier says of its labels."""
    return {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: number for number, label in enumerate(labels)},
        "problem_type": "single_label_classification" if exclusive else MULTI_LABEL,
    }


def label_names(config: Any) -> tuple[str, ...]:
    """The model's own labels in the order of its outputs, those that mean a shared one under its name."""
    names = [str(config.id2label[number]) for number in sorted(config.id2label)]
    return to_shared(
        [name if name.strip() and name.isprintable() else f"LABEL_{i}" for i, name in enumerate(names)]
    )


@dataclass(frozen=True, slots=True)
class Activation:
    """What makes probabilities of a network's outputs, and why that was chosen."""

    exclusive: bool
    """Softmax, over labels that exclude one another; otherwise sigmoid, of each label by itself."""
    reason: Sentence

    @property
    def name(self) -> str:
        return SOFTMAX if self.exclusive else SIGMOID


def activation_of_labels(labels: Sequence[str]) -> Activation | None:
    """The activation that labels speak for by themselves; None where they do not."""
    together = len(set(labels) & set(NIH_LABELS))
    if together >= _TOGETHER:
        reason = Sentence(
            "{count} of the labels are findings of NIH, which occur together", {"count": together}
        )
        return Activation(exclusive=False, reason=reason)
    if len(labels) == 1:
        return Activation(exclusive=False, reason=Sentence("there is one label"))
    return None


def activation_of(config: Any, labels: Sequence[str] | None = None) -> Activation:
    """Whether the model's labels exclude one another; `labels` where they are called otherwise than in it.

    Its configuration says so (`problem_type`). Where it says nothing, transformers' own pipeline would take
    a softmax; but a model that names half of the 14 findings of NIH, which occur together, was taught them
    independently.
    """
    problem = config.problem_type
    if problem == _REGRESSION:
        raise BundleMismatch("The model measures quantities (problem_type is regression); give a classifier.")
    if problem is not None:
        reason = Sentence("its problem_type is {problem}", {"problem": problem})
        return Activation(exclusive=problem != MULTI_LABEL, reason=reason)
    return activation_of_labels(labels or label_names(config)) or Activation(
        exclusive=True, reason=Sentence("its problem_type is not set, and transformers takes this one then")
    )


def check_configuration(name: str, folder: Path) -> Any:
    """The configuration of the image classifier in `folder`."""
    from transformers import AutoModelForImageClassification

    config = open_configuration(name, folder)
    if type(config) not in AutoModelForImageClassification._model_mapping:
        raise BundleMismatch(
            "{name} is a model of the type {kind}, which is no image classifier; give one that "
            "AutoModelForImageClassification opens.",
            name=name,
            kind=config.model_type,
        )
    return config


def open_configuration(name: str, folder: Path) -> Any:
    """The configuration of the model in `folder`, of any kind that transformers knows.

    Raises:
        BundleCorrupt: transformers cannot read it.
        MissingExtra: it needs the package timm.
    """
    from transformers import AutoConfig

    values = read_config(folder)
    kind = values.get("model_type", "timm_wrapper" if "architecture" in values else None)
    if kind == "timm_wrapper" and importlib.util.find_spec("timm") is None:
        raise MissingExtra(
            "{name} is a network of timm, and the package timm is not installed; `pip install timm` together "
            "with a torchvision that fits your torch, or choose a model that transformers has itself.",
            name=name,
        )
    try:
        with quiet_transformers():
            return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    # Whatever a foreign folder holds must end in one sentence.
    except Exception as error:
        raise BundleCorrupt(
            "{name} has a config.json that transformers cannot read ({fault}); it may need a newer "
            "transformers, or code of its own, which Tetkik does not run; choose another model.",
            name=name,
            fault=type(error).__name__,
        ) from None


def load_weights(factory: Any, folder: Path, **changes: Any) -> tuple[Any, dict[str, Any]]:
    """A network by one of transformers' factories, in fp32, and the report of loading; no foreign code."""
    with quiet_transformers():
        model, report = factory.from_pretrained(
            folder,
            output_loading_info=True,
            weights_only=True,
            trust_remote_code=False,
            # Written out, so that heatmaps can see it and the exporter needs no special case.
            attn_implementation="eager",
            dtype=torch.float32,
            **changes,
        )
    return model, report


def _load(name: str, folder: Path, config: Any, **changes: Any) -> Any:
    from transformers import AutoModelForImageClassification

    try:
        model, report = load_weights(AutoModelForImageClassification, folder, **changes)
    except Exception as error:
        raise BundleCorrupt(
            "{name} is an image classifier ({kind}) whose weights cannot be loaded ({fault}); give a folder "
            "that save_pretrained wrote, with safetensors.",
            name=name,
            kind=config.model_type,
            fault=type(error).__name__,
        ) from None
    if report["missing_keys"] and not changes:
        raise BundleCorrupt(
            "{name} lacks weights of its network, such as {key}; give the fine-tuned model, not its "
            "encoder alone.",
            name=name,
            key=min(report["missing_keys"]),
        )
    return model
