"""A captioner's weights on disk, in layouts that peft and transformers open by themselves.

An adapter alone: `adapter_model.safetensors` and `adapter_config.json`, as `PeftModel.from_pretrained` reads
them. A whole model: `config.json` and `model.safetensors`, as `from_pretrained` reads them. Both with the
tokenizer.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tetkik.bundle import Bundle
from tetkik.caption.adapters import suppress_peft_warnings
from tetkik.caption.families.loading import load_located, require
from tetkik.caption.families.staged import TOKENIZER, BaseLocation, find_base, is_path
from tetkik.caption.image_spec import ImageSpec
from tetkik.caption.options import Quantisation
from tetkik.errors import BundleCorrupt, BundleMismatch, UsageError
from tetkik.language import Sentence
from tetkik.networks.huggingface import quiet_transformers

if TYPE_CHECKING:
    import torch

    from tetkik.caption.families.staged import StagedNetwork

ADAPTER = "adapter_config.json"
IMAGE_TOKEN = "<image>"  # noqa: S105 - a word of the vocabulary
_SHARD = "4GB"


def preprocessing_of(network: StagedNetwork) -> dict[str, Any]:
    """What a manifest says of the way to the network: image, prompt and tokenizer."""
    return {**network.image.as_json(), "prompt": network.prompt, "tokenizer": network.fingerprint}


def write_network(network: StagedNetwork, folder: Path, *, merge: bool) -> tuple[Sentence, ...]:
    """Write the weights of `network` and its tokenizer; what a user should know of it.

    With `merge`, or where there is no adapter, whole weights are written. The network is not changed.
    """
    with quiet_transformers():
        if network.adapted and not merge:
            network.model.save_pretrained(folder, save_embedding_layers=False)
            # A card of peft's own, in the place of ours.
            (folder / "README.md").unlink(missing_ok=True)
            _write_tokenizer(network, network.words.tokenizer, folder)
            return ()
        whole, tokenizer = _with_image_token(network, _whole(network))
        whole.save_pretrained(folder, max_shard_size=_SHARD)
        _write_tokenizer(network, tokenizer, folder)
    _write_processor(network, folder)
    if network.quantisation is Quantisation.NONE:
        return ()
    return (
        Sentence(
            "The adapter was trained on weights in {quantisation}; for the whole model these were taken back "
            "to {numbers}, so it answers like the trained one and needs the memory of unquantised weights.",
            {
                "quantisation": network.quantisation.value,
                "numbers": str(network.embeddings.weight.dtype).removeprefix("torch."),
            },
        ),
    )


def load_captioner(
    bundle: Bundle,
    *,
    base: str | None = None,
    quantisation: Quantisation | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> StagedNetwork:
    """The captioner in `bundle`, frozen, in evaluation mode.

    Without `base` an adapter's is the one that the bundle names.
    Weights are quantised as in training, and not where there is no GPU; others are float32 on a CPU, bf16 or
    fp16 on a GPU.
    """
    require("torch", "transformers", "peft")
    import torch

    target = torch.device(device)
    if quantisation is None:
        trained = Quantisation(bundle.manifest.training.get("quantisation", Quantisation.NONE))
        quantisation = trained if target.type == "cuda" else Quantisation.NONE
    numbers = dtype or torch.float32
    if dtype is None and target.type == "cuda":
        numbers = torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    image = ImageSpec.from_json(bundle.manifest.preprocessing)
    if ADAPTER in bundle.manifest.files:
        found = _base_of(bundle, base)
        network = load_located(found, quantisation, target, numbers, image)
        tokenizer = bundle.manifest.preprocessing.get("tokenizer", network.fingerprint)
        if bundle.manifest.kind != network.family or tokenizer not in {None, network.fingerprint}:
            raise _other_base(bundle, found)
        _take_adapter(bundle, network)
    else:
        found = BaseLocation(bundle.path, bundle.manifest.id, None, str(bundle.path))
        network = load_located(found, quantisation, target, numbers, image)
    network.prompt = str(bundle.manifest.preprocessing.get("prompt", network.default_prompt))
    return network


# Writing.


def _whole(network: StagedNetwork) -> Any:
    """The model with its adapter merged, not quantised, complete.

    On the CPU and apart from `network`, which may lack its frozen part and may be trained further.
    """
    if not network.adapted and not network.dropped:
        return network.core
    numbers = network.embeddings.weight.dtype
    # Quantised as it was in training, so that the merged weights are those the adapter learned beside.
    fresh = load_located(network.found, network.quantisation, "cpu", numbers, network.image)
    if network.quantisation is not Quantisation.NONE:
        fresh.core = _dequantised(fresh.core, numbers)
    if not network.adapted:
        learned = {
            name: weight.cpu() for name, weight in network.core.state_dict().items() if not weight.is_meta
        }
        fresh.core.load_state_dict(learned, strict=False)
        return fresh.core
    from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

    with suppress_peft_warnings():
        # A copy, which is given the folder of its base.
        model = get_peft_model(fresh.core, copy.deepcopy(network.model.peft_config["default"]))
        set_peft_model_state_dict(
            model, get_peft_model_state_dict(network.model, save_embedding_layers=False)
        )
        return model.merge_and_unload(safe_merge=True)


def _dequantised(core: Any, numbers: torch.dtype) -> Any:
    """The model with plain linear layers in the place of quantised ones."""
    import torch
    from bitsandbytes.functional import dequantize_4bit, int8_vectorwise_dequant
    from bitsandbytes.nn import Linear4bit, Linear8bitLt
    from torch import nn

    for name, part in list(core.named_modules()):
        if isinstance(part, Linear4bit):
            weight = dequantize_4bit(part.weight.data, part.weight.quant_state)
        elif isinstance(part, Linear8bitLt):
            weight = int8_vectorwise_dequant(part.state.CB, part.state.SCB)
        else:
            continue
        plain = nn.Linear(part.in_features, part.out_features, bias=part.bias is not None, device="meta")
        plain.weight = nn.Parameter(weight.to(numbers), requires_grad=False)
        if part.bias is not None:
            plain.bias = nn.Parameter(part.bias.data.to(numbers), requires_grad=False)
        core.set_submodule(name, plain)
    # Or the weights would be saved as if they were quantised still.
    core.is_quantized, core.hf_quantizer = False, None
    for flag in ("is_loaded_in_4bit", "is_loaded_in_8bit", "is_4bit_serializable", "is_8bit_serializable"):
        if hasattr(core, flag):
            setattr(core, flag, False)
    # The parts have configurations of their own.
    configs = {id(part.config): part.config for part in core.modules() if hasattr(part, "config")}
    for config in configs.values():
        for name in ("quantization_config", "_pre_quantization_dtype"):
            if hasattr(config, name):
                delattr(config, name)
    return core.to(torch.device("cpu"))


def _with_image_token(network: StagedNetwork, core: Any) -> tuple[Any, Any]:
    """The model and a tokenizer in which transformers 4.46 and later find the place of the image.

    Older checkpoints have no word for it: `<image>` then joins the vocabulary. Captions are encoded as
    before. It takes a free row of the embeddings, which the published models have; where there is none, a row
    of zeros is added, which takes a little probability from the other words.
    """
    tokenizer = copy.deepcopy(network.words.tokenizer)
    if core.config.image_token_index is not None:
        return core, tokenizer
    from tokenizers import AddedToken

    tokenizer.add_tokens([AddedToken(IMAGE_TOKEN, normalized=False, special=True)], special_tokens=True)
    rows = core.get_input_embeddings().num_embeddings
    if core is network.core:
        core = copy.deepcopy(core)
    if len(tokenizer) > rows:
        core.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        for layer in (core.get_input_embeddings(), core.get_output_embeddings()):
            layer.weight.data[rows:] = 0
    core.config.image_token_index = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    return core, tokenizer


def _write_tokenizer(network: StagedNetwork, tokenizer: Any, folder: Path) -> None:
    tokenizer.save_pretrained(folder)
    original = network.found.folder / TOKENIZER
    if len(tokenizer) == len(network.words.tokenizer) and original.is_file():
        # Byte for byte, so that it keeps its fingerprint.
        (folder / TOKENIZER).write_bytes(original.read_bytes())


def _write_processor(network: StagedNetwork, folder: Path) -> None:
    """What `AutoProcessor.from_pretrained` reads."""
    image = network.image
    values: dict[str, Any] = {
        "image_processor_type": network.image_processor,
        "processor_class": network.processor,
        "do_convert_rgb": True,
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        "rescale_factor": 1 / 255,
        "resample": image.resample,
        "size": {"height": image.size, "width": image.size},
        "image_mean": list(image.mean),
        "image_std": list(image.std),
        **network.more_of_images(),
    }
    processor = {"processor_class": network.processor, **network.more_of_processor()}
    for name, content in (("preprocessor_config.json", values), ("processor_config.json", processor)):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


# Reading.


def _base_of(bundle: Bundle, base: str | None) -> BaseLocation:
    training = bundle.manifest.training
    named, revision = training.get("base"), training.get("revision")
    if base is not None:
        # The revision is of the repository that the bundle names, not of any other.
        return find_base(base, revision if base == named and not is_path(base) else None)
    if not isinstance(named, str) or is_path(named):
        raise UsageError(
            "The captioner {model} is an adapter to {base}, whose place on this computer is not known; give "
            "it with --base or the setting caption_base.",
            model=bundle.manifest.id,
            base=named or "?",
        )
    return find_base(named, revision)


def _take_adapter(bundle: Bundle, network: StagedNetwork) -> None:
    import torch
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import safe_open

    # A wrong `peft_type` and the like come as KeyError or TypeError.
    try:
        with suppress_peft_warnings():
            network.model = PeftModel.from_pretrained(
                network.core, bundle.path, torch_device=str(network.device)
            )
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError) as error:
        raise _other_base(bundle, network.found) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise BundleCorrupt(
            "{path} has an adapter_config.json that peft cannot follow ({fault}); train the captioner again "
            "or update peft.",
            path=bundle.path,
            fault=type(error).__name__,
        ) from None
    # Of the same width and with other layers: peft would leave what is missing as it was before training.
    with safe_open(bundle.path / "adapter_model.safetensors", framework="pt") as file:
        written = set(file.keys())
    if written != set(get_peft_model_state_dict(network.model, save_embedding_layers=False)):
        raise _other_base(bundle, network.found)
    # Some versions of peft leave a projection that learned open to learning: the cut would lie elsewhere.
    network.model.requires_grad_(False).eval()


def _other_base(bundle: Bundle, found: BaseLocation) -> BundleMismatch:
    return BundleMismatch(
        "The captioner {model} is an adapter to {wanted}, and {base} is another model; give the base it was "
        "trained on.",
        model=bundle.manifest.id,
        wanted=bundle.manifest.training.get("base") or "?",
        base=found.given,
    )
