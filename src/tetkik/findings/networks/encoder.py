"""A pretrained image encoder under heads of ours: one of transformers, or the stages of a network of ours."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tetkik.bundle import Bundle
from tetkik.errors import BundleCorrupt, BundleError, BundleMismatch, UsageError
from tetkik.findings.networks import FAMILIES, IMAGENET, build
from tetkik.findings.networks.huggingface import load_weights, open_configuration, read_preprocessing
from tetkik.findings.onnx_model import preprocessing_of
from tetkik.imaging.prepare import Preprocessing
from tetkik.networks.huggingface import model_folder
from tetkik.networks.network import as_feature_map

ENCODER = "encoder"
"""The kind of a bundle that holds an encoder with heads."""
HEADS = "heads.safetensors"
_QUERIES = 4
_OPEN_CLIP = "open_clip_config.json"


class Pooling(StrEnum):
    """How a head sums up the patches of an image."""

    LINEAR = "linear"
    """Their mean, beside the encoder's own summary of the image where it has one."""
    ATTENTION = "attention"
    """Weighted means, with weights that are learned."""


class Encoder(nn.Module):
    """Summary and patches of an image.

    The summary is the encoder's class token, or what its trained pooling gives (SigLIP); a network whose
    features are a map, or whose pooling is the mean of the patches, has none.

    Attributes:
        model: of transformers, or the `features` of one of our networks.
        summary: the width of the summary, 0 for none.
        width: of a patch.
    """

    def __init__(self, model: Any, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.model = model.requires_grad_(requires_grad=False).eval()
        self._pooler = self._class_token = False
        shape = (2, preprocessing.channels, preprocessing.size, preprocessing.size)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            output = self._output(noise)
            patches = _patches(output.last_hidden_state)
            # The pooling of a ViT is a layer of its pretraining task; its class token says more.
            own = getattr(output, "pooler_output", None)
            if output.last_hidden_state.ndim == 3:
                summed = own is not None and not torch.allclose(own, patches.mean(dim=1), atol=1e-4)
                self._pooler = summed and not hasattr(getattr(model, "pooler", None), "dense")
                self._class_token = not self._pooler and patches.shape[1] < output.last_hidden_state.shape[1]
            summary, again = self(noise)
        if not torch.allclose(patches, again, rtol=1e-3, atol=1e-3):
            raise _Unsteady
        self.summary, self.width = summary.shape[1], patches.shape[2]

    def _output(self, image: Tensor) -> Any:
        if isinstance(self.model, nn.Sequential):
            return _Output(self.model(image))
        return self.model(pixel_values=image)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The summary (images, summary) and the patches in rows (images, patches, width)."""
        output = self._output(image)
        hidden: Tensor = output.last_hidden_state
        patches = _patches(hidden)
        if self._pooler:
            return output.pooler_output, patches
        return hidden[:, 0] if self._class_token else patches.new_zeros(len(patches), 0), patches

    def fingerprint(self) -> str:
        """SHA-256 of the weights and of what else the answer depends on."""
        digest = hashlib.sha256(repr(self.model).encode())
        digest.update(
            b"" if isinstance(self.model, nn.Sequential) else self.model.config.to_json_string().encode()
        )
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


class _Unsteady(Exception):
    """It answers the same image differently each time."""


class _Output:
    """What the stages of our networks give, named as transformers does."""

    def __init__(self, features: Tensor) -> None:
        self.last_hidden_state = features


def _patches(hidden: Tensor) -> Tensor:
    return as_feature_map(hidden).flatten(2).transpose(1, 2)


class Head(nn.Module):
    """Logits of what an encoder gives, each number standardised over the training rows.

    The head of `LINEAR` reads summary and mean of the patches in one row, (images, summary + width). That of
    `ATTENTION` reads the patches, (images, patches, width), and each of a few learned queries gives a mean of
    them (Ilse et al., "Attention-based deep multiple instance learning", ICML 2018).
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, pooling: Pooling, summary: int, width: int, labels: int) -> None:
        super().__init__()
        attention = pooling is Pooling.ATTENTION
        read = width if attention else summary + width
        self.register_buffer("mean", torch.zeros(read))
        self.register_buffer("deviation", torch.ones(read))
        self.queries = nn.Linear(read, _QUERIES, bias=False) if attention else None
        self.classifier = nn.Linear(_QUERIES * read if attention else read, labels)
        if self.queries is not None:
            nn.init.normal_(self.queries.weight, std=0.01)
        # A number that is the same in all training rows never gets a weight.
        nn.init.zeros_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Logits: (images, labels)."""
        scaled = (embeddings - self.mean) / self.deviation
        if self.queries is not None:
            weights = self.queries(scaled).softmax(dim=1)
            scaled = (weights.transpose(1, 2) @ scaled).flatten(1)
        logits: Tensor = self.classifier(scaled)
        return logits

    def maps(self, patches: Tensor) -> Tensor:
        """What each patch gives to each logit, (images, labels, patches): their mean, plus the bias."""
        scaled = (patches - self.mean) / self.deviation
        if self.queries is None:
            return nn.functional.linear(scaled, self.classifier.weight).transpose(1, 2)
        weights = self.queries(scaled).softmax(dim=1) * patches.shape[1]
        each = self.classifier.weight.reshape(len(self.classifier.weight), _QUERIES, -1)
        return torch.einsum("npq,lqc,npc->nlp", weights, each, scaled)


class EncoderNetwork(nn.Module):
    """An encoder and the mean logit of its heads, all of one pooling."""

    def __init__(self, encoder: Encoder, heads: Sequence[nn.Module], pooling: Pooling) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleList(heads)
        self.pooling = pooling

    @property
    def classifier(self) -> nn.Module:
        """The last layer of the first head."""
        layer: nn.Module = self.heads[0].classifier  # type: ignore[assignment]
        return layer

    def embed(self, image: Tensor) -> Tensor:
        """What the heads read."""
        return embed(self.encoder, self.pooling, image)

    def forward(self, image: Tensor) -> Tensor:
        """Logits: (images, labels)."""
        embeddings = self.embed(image)
        return torch.stack([head(embeddings) for head in self.heads]).mean(dim=0)

    def has_maps(self, _image: Tensor) -> bool:
        """Whether the logits come from the patches alone."""
        return self.pooling is Pooling.ATTENTION or not self.encoder.summary

    def logits_and_maps(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (images, labels) and maps (images, labels, h, w), whose mean plus a bias is the logit."""
        _, patches = self.encoder(image)
        embeddings = patches if self.pooling is Pooling.ATTENTION else patches.mean(dim=1)
        heads: list[Any] = list(self.heads)
        maps = torch.stack([head.maps(patches) for head in heads]).mean(dim=0)
        side = round(patches.shape[1] ** 0.5)
        logits = torch.stack([head(embeddings) for head in heads]).mean(dim=0)
        return logits, maps.reshape(*maps.shape[:2], side, side)


def embed(encoder: Encoder, pooling: Pooling, image: Tensor) -> Tensor:
    """What a head of that pooling reads of images."""
    summary, patches = encoder(image)
    return patches if pooling is Pooling.ATTENTION else torch.cat((summary, patches.mean(dim=1)), dim=1)


def encoder_preprocessing(name: str) -> Preprocessing:
    """How the encoder `name`, as `open_encoder` takes it, wants images: by its own image processor."""
    return FAMILIES[name].preprocessing if name in FAMILIES else read_preprocessing(_folder(name))


def open_encoder(name: str, preprocessing: Preprocessing, weights: str | None = None) -> Encoder:
    """The encoder `name`, frozen.

    Args:
        name: a Hugging Face id or a folder of transformers, of which a model of images and texts gives its
            vision tower; or one of our networks, whose `weights` are a file or `imagenet`.

    Raises:
        BundleError: none such, damaged, or no encoder of images.
        UsageError: no such weights.
        MissingExtra: it needs the package timm.
    """
    if name in FAMILIES:
        return Encoder(build(name, ("",), weights=weights).features, preprocessing)
    if weights not in (None, IMAGENET):
        raise UsageError(
            "{name} is taken with its own weights; leave --weights out, or name one of {families}.",
            name=name,
            families=", ".join(FAMILIES),
        )
    return _encoder(name, _load(name, _folder(name)), preprocessing)


def _folder(name: str) -> Path:
    folder = model_folder(name)
    if (folder / _OPEN_CLIP).is_file() and not (folder / "config.json").is_file():
        raise BundleMismatch(
            "{name} is a model of open_clip, which Tetkik does not open; give an encoder that transformers "
            "has itself, or this one converted to a folder of transformers.",
            name=name,
        )
    return folder


def restored_encoder(bundle: Bundle) -> EncoderNetwork:
    """The network of a bundle of the kind `encoder`."""
    try:
        return _restored(bundle)
    except BundleError:
        raise
    # Of the manifest, of safetensors, and of torch.
    except Exception as error:
        raise BundleCorrupt(
            "{path}: encoder and heads cannot be put together ({fault}); train it again.",
            path=bundle.path,
            fault=type(error).__name__,
        ) from None


def _restored(bundle: Bundle) -> EncoderNetwork:
    training, preprocessing = bundle.manifest.training, preprocessing_of(bundle)
    if "config.json" in bundle.manifest.files:
        encoder = _encoder(str(bundle.path), _load(str(bundle.path), bundle.path), preprocessing)
    else:
        features: Any = build(training["encoder"], ("",)).features
        features.load_state_dict(load_file(bundle.file("model.safetensors")))
        encoder = Encoder(features, preprocessing)
    pooling = Pooling.ATTENTION if training["encoder_head"] == Pooling.ATTENTION else Pooling.LINEAR
    weights = load_file(bundle.file(HEADS))
    count = 1 + max(int(name.split(".")[0]) for name in weights)
    labels = len(bundle.manifest.labels)
    heads = [Head(pooling, encoder.summary, encoder.width, labels) for _ in range(count)]
    network = EncoderNetwork(encoder, heads, pooling)
    network.heads.load_state_dict(weights)
    return network


def _encoder(name: str, model: Any, preprocessing: Preprocessing) -> Encoder:
    try:
        return Encoder(model, preprocessing)
    except _Unsteady:
        raise BundleMismatch(
            "{name} ({kind}) answers the same image differently each time, as a masked autoencoder does; "
            "give another encoder.",
            name=name,
            kind=model.config.model_type,
        ) from None
    # Models of transformers take and give what they like.
    except Exception as error:
        raise BundleMismatch(
            "{name} ({kind}) gives no features of an image of {size} x {size} ({fault}); give another "
            "encoder.",
            name=name,
            kind=model.config.model_type,
            size=preprocessing.size,
            fault=type(error).__name__,
        ) from None


def _load(name: str, folder: Path) -> Any:
    from transformers import AutoModel

    config = open_configuration(name, folder)
    config = getattr(config, "vision_config", config)
    if type(config) not in AutoModel._model_mapping or not _sees(AutoModel._model_mapping[type(config)]):
        raise BundleMismatch(
            "{name} is a model of the type {kind}, which is no encoder of images; give one such as a ViT, a "
            "DINOv2, a SigLIP or a ConvNeXt.",
            name=name,
            kind=config.model_type,
        )
    try:
        model, report = load_weights(AutoModel, folder, config=config)
    except Exception as error:
        raise BundleCorrupt(
            "{name} is an encoder of images ({kind}) whose weights cannot be loaded ({fault}); give a folder "
            "that save_pretrained wrote, with safetensors.",
            name=name,
            kind=config.model_type,
            fault=type(error).__name__,
        ) from None
    missing = sorted(report["missing_keys"])
    # A classifier's file has no pooling, which is left out then.
    if missing and all(key.startswith("pooler.") for key in missing):
        model.pooler = None
    elif missing:
        raise BundleCorrupt(
            "{name} lacks weights of its encoder, such as {key}; give a folder with all of them.",
            name=name,
            key=missing[0],
        )
    return model


def _sees(model: Any) -> bool:
    classes = model if isinstance(model, tuple) else (model,)
    return all(one.main_input_name == "pixel_values" for one in classes)
