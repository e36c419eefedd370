"""A base opened: its image specification and tokenizer without weights, or all of it, frozen."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tetkik.caption.families.staged import BaseLocation, find_base
from tetkik.caption.image_spec import ImageSpec
from tetkik.caption.options import Quantisation
from tetkik.errors import BundleCorrupt, MissingExtra, UsageError
from tetkik.networks.huggingface import quiet_transformers, read_config

if TYPE_CHECKING:
    import torch

    from tetkik.caption.families.staged import CaptionTokenizer, StagedNetwork

FAMILIES = {
    "blip-2": "tetkik.caption.families.blip2:Blip2Network",
    "paligemma": "tetkik.caption.families.paligemma:PaliGemmaNetwork",
}
"""Where the class of each is; imported when it is needed, since each imports torch."""
VISION_TOWERS = {"mobilenet_v2": "tetkik.caption.families.blip2:SmallBlip2"}
"""Models of transformers with another vision tower, by `tetkik_vision` in their configuration."""


def family_of(name: str, config: dict[str, Any]) -> type[StagedNetwork]:
    """The class for the model `name`, from the contents of its `config.json`."""
    kind = config.get("model_type")
    if kind not in FAMILIES:
        raise UsageError(
            "{name} is a model of the type {kind}, which no captioner is made from; choose one of: {known}.",
            name=name,
            kind=kind or "?",
            known=", ".join(sorted(FAMILIES)),
        )
    found: type[StagedNetwork] = _imported(FAMILIES[str(kind)])
    return found


def model_class(config: dict[str, Any], usual: type) -> Any:
    """The class of transformers to load: `usual`, or that of the vision tower the configuration names."""
    tower = config.get("tetkik_vision")
    if tower is None:
        return usual
    if tower not in VISION_TOWERS:
        raise UsageError(
            "The model has a vision tower called {tower}, which this Tetkik does not know; choose one of: "
            "{known}, or update Tetkik.",
            tower=tower,
            known=", ".join(sorted(VISION_TOWERS)),
        )
    return _imported(VISION_TOWERS[tower])


def _imported(place: str) -> Any:
    module, name = place.split(":")
    return getattr(import_module(module), name)


_NEWEST = "preprocessor_config.json", "processor_config.json"


def image_spec_of(base: str, revision: str | None = None) -> ImageSpec:
    """What the vision tower of `base` wants to see; no weights are read."""
    return spec_in(find_base(base, revision, weights=False))


def tokenizer_of(base: str, revision: str | None = None) -> CaptionTokenizer:
    """The tokenizer of `base`; no weights are read."""
    require("transformers")
    from tetkik.caption.families.staged import CaptionTokenizer

    found = find_base(base, revision, weights=False)
    return CaptionTokenizer.open(found.folder, found.given)


def load_base(
    base: str,
    *,
    revision: str | None = None,
    quantisation: Quantisation = Quantisation.NONE,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    image: ImageSpec | None = None,
) -> StagedNetwork:
    """The base model `base`, all of it frozen, in evaluation mode.

    Weights are read from safetensors, one at a time, straight to the device; nothing is unpickled and no code
    of the model's own runs. The vision tower and the Q-Former are never quantised.
    """
    return load_located(find_base(base, revision), quantisation, device, dtype, image)


def load_located(
    found: BaseLocation,
    quantisation: Quantisation = Quantisation.NONE,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    image: ImageSpec | None = None,
) -> StagedNetwork:
    """As `load_base`, from where it lies."""
    require("torch", "transformers")
    import torch

    from tetkik.caption.families.staged import CaptionTokenizer

    config = read_config(found.folder)
    family = family_of(found.given, config)
    _check_version(found, family)
    core = _load(found, family, config, quantisation, torch.device(device), dtype or torch.float32)
    family.settle(core)
    if quantisation is Quantisation.INT8:
        _settle_int8(core)
    core.requires_grad_(False)
    core.eval()
    words = CaptionTokenizer.open(found.folder, found.given)
    return family(core, words, image or spec_in(found), found, quantisation)


def spec_in(found: BaseLocation) -> ImageSpec:
    """What the vision tower of a base wants to see, from its `preprocessor_config.json`."""
    values: dict[str, Any] = {}
    for name in _NEWEST:
        content = read_config(found.folder, name)
        values |= content.get("image_processor", content)
    # Without one: the size of the tower, and the values BLIP-2 was trained with.
    size = values.get("size", read_config(found.folder).get("vision_config", {}).get("image_size", 224))
    if isinstance(size, dict):
        height, width = size.get("height"), size.get("width")
    else:
        height = width = size
    usual = ImageSpec()
    try:
        if height is None or height != width or values.get("do_center_crop"):
            raise ValueError("not a square")
        # Rescaled by 1/255 and stretched, as ImageSpec does it; another processor's numbers would be wrong.
        if abs(values.get("rescale_factor", 1 / 255) - 1 / 255) > 1e-9 or not all(
            values.get(step, True) for step in ("do_resize", "do_rescale", "do_normalize")
        ):
            raise ValueError("another processing")
        mean, std = values.get("image_mean", usual.mean), values.get("image_std", usual.std)
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise ValueError("three means and three deviations above 0")
        resample = values.get("resample", usual.resample)
        return ImageSpec.from_json({"size": height, "mean": mean, "std": std, "resample": resample})
    except (TypeError, ValueError) as error:
        raise BundleCorrupt(
            "{name} has a preprocessor_config.json that Tetkik cannot follow ({fault}); it needs a square "
            "that is resized, rescaled and normalised.",
            name=found.given,
            fault=str(error) or type(error).__name__,
        ) from None


def _load(
    found: BaseLocation,
    family: type[StagedNetwork],
    config: dict[str, Any],
    quantisation: Quantisation,
    device: torch.device,
    dtype: torch.dtype,
) -> Any:
    import torch
    import transformers

    kind = model_class(config, getattr(transformers, family.usual))
    quantised = _quantised(quantisation, family, dtype)
    if device == torch.device("cuda"):
        device = torch.device("cuda", torch.cuda.current_device())
    try:
        with quiet_transformers():
            core, report = kind.from_pretrained(
                found.folder,
                dtype=dtype,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
                quantization_config=quantised,
                device_map={"": device} if quantised is not None or device.type != "cpu" else None,
            )
    # A card that is too small says nothing of the weights.
    except (torch.OutOfMemoryError, MemoryError):
        raise
    # Whatever a foreign folder holds must end in one sentence.
    except Exception as error:
        raise BundleCorrupt(
            "{name} has weights that cannot be loaded as {kind} ({fault}); fetch it again, or give a folder "
            "that save_pretrained wrote.",
            name=found.given,
            kind=kind.__name__,
            fault=type(error).__name__,
        ) from None
    if report["missing_keys"]:
        raise BundleCorrupt(
            "{name} lacks weights of {kind}, such as {key}; fetch it again, or choose a whole model.",
            name=found.given,
            kind=kind.__name__,
            key=min(report["missing_keys"]),
        )
    return core


def _check_version(found: BaseLocation, family: type[StagedNetwork]) -> None:
    from transformers import __version__

    if int(__version__.partition(".")[0]) < family.least:
        raise MissingExtra(
            "{name} needs transformers {least} or later, and {version} is installed; update transformers.",
            name=found.given,
            least=family.least,
            version=__version__,
        )


def _quantised(quantisation: Quantisation, family: type[StagedNetwork], dtype: torch.dtype) -> Any:
    if quantisation is Quantisation.NONE:
        return None
    require("bitsandbytes", "accelerate")
    from transformers import BitsAndBytesConfig

    whole = list(family.kept_whole)
    if quantisation is Quantisation.INT8:
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=whole)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=whole,
    )


def _settle_int8(core: Any) -> None:
    """Let each layer keep its scales where every reader finds them.

    DoRA reads a layer's weight before the first batch and, on a CPU, puts it back without its scales; the
    layer would then take them from there (bitsandbytes 0.50 with peft 0.21).
    """
    for part in core.modules():
        if getattr(getattr(part, "weight", None), "CB", None) is not None:
            part.init_8bit_state()
            part.init_8bit_state = lambda: None
    # It tells of every batch that is not fp16.
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)


def require(*packages: str) -> None:
    """Check that packages are installed."""
    from importlib.util import find_spec

    for package in packages:
        if find_spec(package) is None:
            raise MissingExtra(
                "A captioner needs the package {package}; `{extra}`.", extra="caption", package=package
            )
