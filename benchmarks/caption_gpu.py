"""BLIP-2 OPT-6.7B at its true size on one GPU with no more memory than a T4, against the recipe.

    python benchmarks/caption_gpu.py [--images 256] [--epochs 2] [--part 8]

The weights are random: built on the GPU layer by layer and quantised there, so that no copy of them is ever
in fp32 or in the memory of the computer. The allocator is capped at what a T4 leaves (14.75 GiB less half a
GiB for CUDA itself), and everything is computed in fp16, as a T4 would. Ours is QLoRA (nf4, no checkpoints)
on features computed once; the recipe is Trainer around the whole model in 8 bits, as caption_common.py has
it. Each side runs in a process of its own. The planner's bytes stand beside those measured. Seconds are of
this GPU.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from caption_common import Job, Result, trained_by_recipe
from caption_material import SIZES, sentence, write_base, write_data
from figures import judged, record
from tetkik.caption.adapters import make_trainable
from tetkik.caption.families.blip2 import Blip2Network
from tetkik.caption.families.staged import BaseLocation
from tetkik.caption.image_spec import ImageSpec
from tetkik.caption.options import Quantisation
from tetkik.lab.caption.training.data import EncodedSplit, TrainingData
from tetkik.lab.caption.training.options import DEFAULT_BASE, CaptionTraining
from tetkik.lab.caption.training.plan import (
    CONTEXT,
    GIB,
    Lengths,
    card_of,
    config_of,
    planned_network,
    step_memory,
)
from tetkik.lab.caption.training.trainer import CaptionTrainer
from tetkik.lab.engine.precision import Precision, accelerator_for

CAP = card_of("16GB").memory - CONTEXT
WARM = 16
"""Images before the clock runs."""


@dataclass(frozen=True)
class Run:
    """One side of the comparison.

    Attributes:
        side: `tetkik` or `recipe`.
        base: whose sizes are taken.
        images: rows.
        epochs: passes over them.
        batch: effective.
        part: captions at once.
        folder: with the images, for the recipe.
        cap: bytes of the allocator; 0 leaves it.
    """

    side: str
    base: str = DEFAULT_BASE
    images: int = 256
    epochs: int = 2
    batch: int = 16
    part: int = 8
    folder: str = ""
    cap: int = 0


@dataclass(frozen=True)
class HeldFeatures:
    """Image features in memory, for a training; what they hold does not matter to time and memory."""

    values: Tensor

    def fetch(self, rows: Any) -> Tensor:
        """(rows, tokens, width)."""
        return self.values[torch.from_numpy(rows) % len(self.values)]

    def at_cut(self, network: Any, fetched: Tensor, device: torch.device) -> Tensor:
        """The same, on the device."""
        return fetched.to(device, non_blocking=True)


def random_core(
    config: Any, quantisation: Quantisation, number: torch.dtype, device: torch.device, keep: tuple[str, ...]
) -> Any:
    """A `Blip2ForConditionalGeneration` with random weights, made and quantised one layer after another.

    Args:
        config: of transformers.
        quantisation: of linear layers.
        number: of all else.
        device: where each layer is made.
        keep: names of modules that are not quantised.
    """
    from transformers import Blip2ForConditionalGeneration

    with torch.device("meta"):
        core = Blip2ForConditionalGeneration(config)
    core.requires_grad_(False)
    made: dict[int, nn.Parameter] = {}
    for place, module in list(core.named_modules()):
        for name, layer in list(module.named_children()):
            inside = {*place.split("."), name}
            if quantisation is not Quantisation.NONE and type(layer) is nn.Linear and inside.isdisjoint(keep):
                setattr(module, name, random_quantised(layer, quantisation, number, device))
    for module in core.modules():
        for name, weight in list(module._parameters.items()):
            if weight is not None and weight.device.type == "meta":
                if id(weight) not in made:
                    made[id(weight)] = _random(weight, number, device, norm=isinstance(module, nn.LayerNorm))
                module._parameters[name] = made[id(weight)]
        for name, buffer in list(module._buffers.items()):
            if buffer is not None and buffer.device.type == "meta":
                module._buffers[name] = torch.zeros(buffer.shape, dtype=buffer.dtype, device=device)
    return core.eval()


def random_quantised(
    layer: nn.Linear, quantisation: Quantisation, number: torch.dtype, device: torch.device
) -> nn.Module:
    """The bitsandbytes layer for a linear layer of the meta device, with random weights."""
    import bitsandbytes as bnb

    sizes, bias = (layer.in_features, layer.out_features), layer.bias is not None
    weight = torch.randn(layer.weight.shape, dtype=number, device=device).mul_(0.02)
    made: Any
    if quantisation is Quantisation.NF4:
        made = bnb.nn.Linear4bit(*sizes, bias, number, True, "nf4", device="meta")
        made.weight = bnb.nn.Params4bit(weight, False, quant_type="nf4", module=made).to(device)
    else:
        made = bnb.nn.Linear8bitLt(*sizes, bias, has_fp16_weights=False, threshold=6.0, device="meta")
        made.weight = bnb.nn.Int8Params(weight, False, has_fp16_weights=False).to(device)
    if bias:
        made.bias = nn.Parameter(torch.zeros(layer.out_features, dtype=number, device=device), False)
    return made  # type: ignore[no-any-return]


def _random(weight: nn.Parameter, number: torch.dtype, device: torch.device, *, norm: bool) -> nn.Parameter:
    if weight.ndim < 2:
        fill = torch.ones if norm else torch.zeros
        return nn.Parameter(fill(weight.shape, dtype=number, device=device), False)
    return nn.Parameter(torch.randn(weight.shape, dtype=number, device=device).mul_(0.02), False)


def random_network(options: CaptionTraining, config: Any, device: torch.device) -> Blip2Network:
    """Our network around a random core, with what learns in it."""
    number = torch.float16 if device.type == "cuda" else torch.float32
    keep = Blip2Network.kept_whole
    core = random_core(config, options.quantisation, number, device, keep)
    Blip2Network.settle(core)
    core.requires_grad_(False)
    spec = ImageSpec(size=config.vision_config.image_size)
    where = BaseLocation(Path(), options.base, None, options.base)
    network = Blip2Network(core, Lengths(), spec, where, options.quantisation)  # type: ignore[arg-type]
    make_trainable(network, options.learning, options.adapter)
    return network


def options_of(run: Run, precision: Precision) -> CaptionTraining:
    """Of our side."""
    return CaptionTraining(
        base=run.base,
        quantisation=Quantisation.NF4,
        batch_size=run.batch,
        accumulation=max(1, run.batch // run.part),
        epochs=run.epochs,
        patience=run.epochs,
        precision=precision,
    )


def captions_of(count: int) -> list[Any]:
    """Token numbers of captions as long as those of ROCO are in OPT's tokens: 1.5 a word."""
    lengths = [min(96, round(1.5 * len(sentence(row).split()))) for row in range(count)]
    return [np.full(length, 9, np.int32) for length in lengths]


def ours(run: Run, device: torch.device) -> Result:
    """Features once, then epochs of our own loop."""
    precision = Precision.FP16 if device.type == "cuda" else Precision.FP32
    options = options_of(run, precision)
    config = config_of(run.base)
    with accelerator_for(precision) as (accelerator, _):
        network = random_network(options, config, device)
        _reset(device)
        size = network.image.size
        held = []
        seconds = 0.0
        # Pixels are random and few of them are kept: the pass takes as long for one image as for another.
        for start in range(0, run.images, WARM):
            pixels = torch.randn(min(WARM, run.images - start), 3, size, size)
            begun = time.perf_counter()
            found = network.frozen_features(pixels)
            _wait(device)
            seconds += time.perf_counter() - begun
            if start == 0:
                held.append(found.to(torch.float16 if device.type == "cuda" else torch.float32).cpu())
        network.drop_frozen()
        accelerator.free_memory()
        tokens = captions_of(run.images)
        names = tuple(str(row) for row in range(run.images))
        training = EncodedSplit(names, names, tuple(None for _ in names), tokens, HeldFeatures(held[0]))
        nothing = EncodedSplit((), (), (), [], HeldFeatures(held[0]))
        data = TrainingData(training, nothing, np.zeros(0, np.int64))
        trainer = CaptionTrainer(
            accelerator, network, data, options, run="speed", work=None, notify=lambda _: None
        )
        begun = time.perf_counter()
        trainer.run(lambda step, done, total: None)
        _wait(device)
        epochs = time.perf_counter() - begun
        learned = sum(item.numel() for item in network.model.parameters() if item.requires_grad)
    peak = _peak(device)
    return Result(run.images, seconds, epochs, peak, peak, learned=learned)


def theirs(run: Run, device: torch.device) -> Result:
    """The recipe on a random core in 8 bits."""
    from transformers import Blip2Processor

    processor = Blip2Processor.from_pretrained(Path(run.folder) / "base")
    config = config_of(run.base)
    number = torch.float16 if device.type == "cuda" else torch.float32
    config.image_token_index = processor.tokenizer.convert_tokens_to_ids("<image>")
    processor.num_query_tokens = config.num_query_tokens
    side = config.vision_config.image_size
    processor.image_processor.size = {"height": side, "width": side}
    model = random_core(config, Quantisation.INT8, number, device, keep=("lm_head",))
    model.is_loaded_in_8bit = True
    model.is_quantized = False
    _reset(device)
    job = Job(
        "recipe",
        run.folder,
        quantisation="int8",
        checkpointing=True,
        batch=run.batch,
        part=run.part,
        epochs=run.epochs,
    )
    done = trained_by_recipe(model, processor, job)
    peak = _peak(device)
    return replace(done, memory=peak, beyond=peak)


def planned_peak(run: Run) -> int:
    """What the planner says tensors take at the peak of our step, without CUDA's own."""
    options = options_of(run, Precision.FP16)
    longest = max(len(row) for row in captions_of(run.images)) + 1
    config = config_of(run.base)
    network = planned_network(options, config, torch.float16)
    step = step_memory(network, options, config, captions=run.part, tokens=longest)
    return step.peak


def _reset(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak(device: torch.device) -> int:
    return int(torch.cuda.max_memory_allocated()) if device.type == "cuda" else 0


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def report(run: Run, sides: dict[str, Result | str]) -> list[str]:
    """The table and what follows from it."""
    lines = ["| side | images/s | epochs alone | peak, GB |", "|---|---|---|---|"]
    for name, done in sides.items():
        if isinstance(done, str):
            lines.append(f"| {name} | {done} | | |")
            continue
        every = done.images * run.epochs
        lines.append(
            f"| {name} | {every / (done.once + done.epochs):.2f} | {every / done.epochs:.2f} "
            f"| {done.memory / 1e9:.2f} |"
        )
    mine, other = sides["tetkik"], sides["recipe"]
    if isinstance(mine, Result):
        planned = planned_peak(run)
        lines.append("")
        lines.append(
            f"Planned {planned / 1e9:.2f} GB, measured {mine.memory / 1e9:.2f} GB: "
            f"{planned / mine.memory - 1:+.1%}."
            if mine.memory
            else f"Planned {planned / 1e9:.2f} GB; this device does not tell its peak."
        )
        if isinstance(other, Result) and other.memory:
            faster = (other.once + other.epochs) / (mine.once + mine.epochs)
            lines.append(
                f"{faster:.1f} times as many images a second, {mine.memory / other.memory:.2f} of the memory."
            )
    return lines


def in_process(run: Run) -> Result | str:
    """A side in a process of its own; where it fails, the last line of what it said."""
    command = [sys.executable, __file__, "--run", json.dumps(asdict(run))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["failed"])[-1][:160]
    return Result(**json.loads(done.stdout.strip().splitlines()[-1]))


def one_side(run: Run, device: torch.device) -> Result:
    """What the process of a side does."""
    if run.cap and device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, run.cap / total))
    return {"tetkik": ours, "recipe": theirs}[run.side](run, device)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--part", type=int, default=8)
    parser.add_argument("--base", default=DEFAULT_BASE)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        device = torch.device("cuda", 0)
        print(json.dumps(asdict(one_side(Run(**json.loads(arguments.run)), device))))
        return
    if not torch.cuda.is_available():
        raise SystemExit("There is no GPU here; benchmarks/caption_training.py compares at small size.")
    with tempfile.TemporaryDirectory() as folder:
        write_base(SIZES["tiny"], Path(folder) / "base")
        write_data(Path(folder), arguments.images, 0)
        run = Run(
            "tetkik",
            arguments.base,
            arguments.images,
            arguments.epochs,
            arguments.batch,
            arguments.part,
            folder,
            CAP,
        )
        print(
            f"{arguments.base} with random weights, {torch.cuda.get_device_name()}, allocator capped at "
            f"{CAP / GIB:.2f} GiB, fp16, {arguments.images} images, {arguments.epochs} epochs, "
            f"{arguments.part} captions at once.\n"
        )
        # The recipe may not fit under the cap; then it is measured once more without.
        sides = {"tetkik": in_process(run), "recipe": in_process(replace(run, side="recipe"))}
        if isinstance(sides["recipe"], str):
            print(f"The recipe under the cap: {sides['recipe']}\n")
            sides["recipe"] = in_process(replace(run, side="recipe", cap=0))
        print("\n".join(report(run, sides)))
        mine, other = sides["tetkik"], sides["recipe"]
        if isinstance(mine, Result):
            peak = judged(f"{mine.memory / 1e9:.2f} GB", met=mine.memory < 15e9)
            record("caption-training/gpu-memory", {"reached": f"{peak} ({torch.cuda.get_device_name()})"})
            if isinstance(other, Result):
                faster = (other.once + other.epochs) / (mine.once + mine.epochs)
                share = mine.memory / other.memory
                cells = judged(f"{faster:.1f}", met=faster >= 3), judged(f"{share:.2f}", met=share <= 0.5)
                record("caption-training/gpu-recipe", {"reached": "; ".join(cells)})


if __name__ == "__main__":
    main()
