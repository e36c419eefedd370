"""Any `AutoModelForImageClassification` of transformers as a network, and its image processor as ours."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from tetkik.errors import BundleCorrupt, BundleMismatch, MissingExtra
from tetkik.findings.label_names import to_shared
from tetkik.imaging.prepare import Preprocessing, Resample, prepare
from tetkik.language import Sentence
from tetkik.networks.huggingface import model_folder, quiet_transformers, read_config
from tetkik.networks.network import as_feature_map, one_against_rest
from tetkik.values.finding_labels import NIH_LABELS
from tetkik.values.radiograph import FileFormat, Fit, Radiograph

# The image processor of a model of transformers, followed to the last digit or refused; and ours as one.


_FILES = ("preprocessor_config.json", "processor_config.json")
PROCESSOR = _FILES[0]
_TRIED = ((61, 90), (97, 64), (300, 257))
"""Rows and columns of the images on which a processor is tried: oblong both ways, smaller and larger."""
_TOLERANCE = 1e-5
"""Of the largest number that the processor gives."""


def has_processor(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _FILES)


def read_preprocessing(folder: Path) -> Preprocessing:
    """What the image processor in `folder` does to a grey image, by Pillow.

    What its settings seem to ask for is tried: unless it gives the processor's own numbers, it is refused.

    Raises:
        BundleCorrupt: there is no processor, or one that cannot be followed.
    """
    if not has_processor(folder):
        raise BundleCorrupt(
            "{path} has no preprocessor_config.json, which says how images are prepared; copy that of the "
            "model that it was fine-tuned from into the folder.",
            path=folder,
        )
    try:
        processor = _open(folder)
        one_channel = read_config(folder).get("num_channels") == 1
        images = [_noise(rows, columns) for rows, columns in _TRIED]
        theirs = [_processed(processor, image, one_channel=one_channel) for image in images]
        for candidate in _candidates(processor, one_channel=one_channel):
            if all(_same(prepare(image, candidate), own) for image, own in zip(images, theirs, strict=True)):
                return candidate
    # Whatever a foreign processor raises must end in one sentence.
    except Exception as error:
        raise BundleCorrupt(
            "{path}: its image processor cannot be used ({fault}); correct its preprocessor_config.json.",
            path=folder,
            fault=f"{type(error).__name__}: {error}".splitlines()[0],
        ) from None
    raise BundleCorrupt(
        "{path}: its image processor ({kind}) does what Tetkik cannot do, or gives no square of one size; "
        "write a preprocessor_config.json that resizes, crops the middle and scales.",
        path=folder,
        kind=type(processor).__name__,
    )


def _open(folder: Path) -> Any:
    import transformers

    # By Pillow, also where torchvision is installed: the two differ, and this is what serves.
    by_pillow = {"use_fast": False} if transformers.__version__.startswith("4.") else {"backend": "pil"}
    with quiet_transformers():
        return transformers.AutoImageProcessor.from_pretrained(folder, trust_remote_code=False, **by_pillow)


def _noise(rows: int, columns: int) -> Radiograph:
    pixels = np.random.default_rng(rows).integers(0, 256, (rows, columns), np.uint8)
    return Radiograph(pixels, 255, FileFormat.PNG, "")


def _processed(processor: Any, image: Radiograph, *, one_channel: bool) -> NDArray[np.float32]:
    picture = Image.fromarray(image.pixels)
    given = processor(picture if one_channel else picture.convert("RGB"), return_tensors="np")
    return np.asarray(given["pixel_values"][0], np.float32)


def _same(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> bool:
    if ours.shape != theirs.shape:
        return False
    return bool(np.abs(ours - theirs).max() <= _TOLERANCE * np.abs(theirs).max())


def _candidates(processor: Any, *, one_channel: bool) -> Iterator[Preprocessing]:
    """What the settings can mean; classes of processors differ in what they do with the same settings."""
    mean, std = _scaling(processor)
    if one_channel:
        mean, std = mean[:1], std[:1]
    number = getattr(processor, "resample", None)
    resample = Resample[Image.Resampling(Image.Resampling.BILINEAR if number is None else int(number)).name]
    for size, resized, fit in _shapes(processor):
        yield Preprocessing(
            size=size,
            mean=mean,
            std=std,
            fit=fit,
            resized=None if resized == size else resized,
            resample=resample,
            eight_bit=True,
        )


def _shapes(processor: Any) -> Iterator[tuple[int, int, Fit]]:
    """(size, side before the crop, how it is brought to that side)."""
    size, crop = (_sides(getattr(processor, name, None)) for name in ("size", "crop_size"))
    side = size.get("height") or size.get("shortest_edge")
    if side is None:
        return
    cut = crop.get("height") if getattr(processor, "do_center_crop", False) else None
    sides = {side}
    if share := getattr(processor, "crop_pct", None):
        sides.add(int(side / share))
    for resized in sorted(sides):
        for given in {cut or side, side}:
            if given <= resized:
                yield given, resized, Fit.SQUASH
                yield given, resized, Fit.CROP


def _sides(size: Any) -> dict[str, int]:
    if isinstance(size, int):
        return {"height": size}
    return {key: int(value) for key, value in dict(size or {}).items() if value is not None}


def _scaling(processor: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation for values of 0 to 1, which is how our images come.

    transformers computes (255 v · factor - offset - mean) / std.
    """
    mean, std = _three(0.0), _three(1.0)
    if getattr(processor, "do_normalize", False):
        mean, std = _three(processor.image_mean), _three(processor.image_std)
        if getattr(processor, "include_top", False):  # EfficientNet's divides by it once more
            std = tuple(value * value for value in std)
    factor = 255 * float(processor.rescale_factor) if getattr(processor, "do_rescale", False) else 255
    offset = (
        1.0 if getattr(processor, "rescale_offset", False) or getattr(processor, "offset", False) else 0.0
    )
    # 255 · (1 / 255) is 1 only to the last digit; the manifest should say 0.485.
    return (
        tuple(round((value + offset) / factor, 9) for value in mean),
        tuple(round(value / factor, 9) for value in std),
    )


def _three(values: Any) -> tuple[float, ...]:
    numbers = tuple(float(value) for value in (values if isinstance(values, list | tuple) else [values]))
    return numbers * 3 if len(numbers) == 1 else numbers


def processor_settings(preprocessing: Preprocessing) -> Mapping[str, Any] | None:
    """`preprocessor_config.json` for transformers, which then does to an 8-bit image what we do.

    None where it has no processor for that: an image that is padded, or not resized by Pillow.
    """
    if preprocessing.fit is Fit.PAD or preprocessing.stretch or preprocessing.resample is Resample.GAUSSIAN:
        return None
    square = {"height": preprocessing.size, "width": preprocessing.size}
    resized = preprocessing.resized or preprocessing.size
    squash = preprocessing.fit is Fit.SQUASH
    kind = "BitImageProcessor"
    if squash:
        kind = "ViTImageProcessor" if resized == preprocessing.size else "DeiTImageProcessor"
    return {
        "image_processor_type": kind,
        "do_convert_rgb": preprocessing.channels == 3,
        "do_resize": True,
        "size": {"height": resized, "width": resized} if squash else {"shortest_edge": resized},
        "resample": Image.Resampling[preprocessing.resample.name].value,
        "do_center_crop": kind != "ViTImageProcessor",
        "crop_size": square,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(preprocessing.mean),
        "image_std": list(preprocessing.std),
    }


MULTI_LABEL = "multi_label_classification"
_REGRESSION = "regression"
SIGMOID, SOFTMAX = "sigmoid", "softmax"
_TOGETHER = 7
"""So many of the 14 findings of NIH among a model's labels say that they can occur together."""
_TOLERANCE_HUGGINGFACE = 1e-3


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
        return bool(difference <= _TOLERANCE_HUGGINGFACE * spread)


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
