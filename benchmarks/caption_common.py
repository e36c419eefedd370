"""What the benchmarks of captioners compare: both trainings, each in a process of its own.

`tetkik` is ours. `recipe` is what tutorials write: Trainer around the whole `Blip2ForConditionalGeneration`,
LoRA of rank 16 on q and k, every image decoded and processed in `__getitem__` of its data set, captions
filled up to one length, in 8 bits with `prepare_model_for_kbit_training`, which turns gradient checkpointing
on.
"""

from __future__ import annotations

import csv
import gc
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

MEGA = 1e6
LONGEST = 96
"""Tokens after which both sides cut a caption."""
MIB = 2**20


def clock() -> float:
    """Seconds: on a GPU of the wall; on a CPU of the processor, so that other work there does not count."""
    import torch

    return time.perf_counter() if torch.cuda.is_available() else sum(os.times()[:4])


@dataclass(frozen=True)
class Job:
    """One side of a comparison, as a process of its own gets it."""

    side: str
    folder: str
    quantisation: str = "none"
    checkpointing: bool = False
    cache: bool = True
    batch: int = 16
    part: int = 4
    epochs: int = 2
    threads: int = 1
    adapter: tuple[str, ...] = ()
    learning: str = "adapter"
    projection: bool = False
    judge: bool = False


@dataclass(frozen=True)
class Result:
    """What a side came to: seconds without loading (see `clock`), bytes while it trained."""

    images: int
    once: float
    epochs: float
    memory: int
    beyond: int
    loss: float | None = None
    learned: int = 0
    adapter_bytes: int = 0


def run(job: Job) -> Result:
    """The job in a process of its own, so that its peak memory is its own."""
    done = subprocess.run(
        [sys.executable, __file__, json.dumps(asdict(job))], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return Result(**json.loads(done.stdout.strip().splitlines()[-1]))


class Memory:
    """Peak bytes from now on: of the GPU's allocator where there is one, else of the process."""

    def __init__(self, floor: int) -> None:
        import torch

        self._cuda, self._floor = torch.cuda.is_available(), floor
        gc.collect()
        if self._cuda:
            torch.cuda.reset_peak_memory_stats()
        else:
            _forget_peak()

    def peak(self) -> tuple[int, int]:
        """(all bytes, those beyond the libraries)."""
        import torch

        if self._cuda:
            most = int(torch.cuda.max_memory_allocated())
            return most, most
        most = _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return most, most - self._floor


def _forget_peak() -> None:
    """Linux forgets the highest memory of a process on request (proc(5), clear_refs)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _status(name: str) -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)


def recipe(job: Job) -> Result:
    """The training that everybody writes."""
    import torch
    from transformers import BitsAndBytesConfig, Blip2ForConditionalGeneration, Blip2Processor

    _imports()
    floor = _status("VmRSS")
    cuda = torch.cuda.is_available()
    base = Path(job.folder) / "base"
    eight = job.quantisation == "int8"
    model = Blip2ForConditionalGeneration.from_pretrained(
        base,
        quantization_config=BitsAndBytesConfig(load_in_8bit=True) if eight else None,
        device_map={"": 0 if cuda else "cpu"},
        dtype=torch.float16 if cuda else torch.float32,
    )
    return trained_by_recipe(model, Blip2Processor.from_pretrained(base), job, floor)


def trained_by_recipe(model: Any, processor: Any, job: Job, floor: int = 0) -> Result:
    """Adapters, data set and Trainer of the recipe.

    Args:
        model: a `Blip2ForConditionalGeneration`, in 8 bits where the job says so.
        processor: with the model's number of queries.
        job: its folder holds the table and the images.
        floor: bytes of the process before the model.
    """
    import torch
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
    from PIL import Image
    from torch.utils.data import Dataset
    from transformers import Trainer, TrainingArguments

    cuda, folder = torch.cuda.is_available(), Path(job.folder)
    with (folder / "captions.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == "train"]
    if job.quantisation == "int8":
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=job.checkpointing)
    targets = ["q_proj", "k_proj"]
    config = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.05, bias="none", target_modules=targets)
    model = get_peft_model(model, config)
    queries = processor.num_query_tokens

    class Captions(Dataset):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return len(rows)

        def __getitem__(self, place: int) -> dict[str, torch.Tensor]:
            image = Image.open(folder / rows[place]["file"]).convert("RGB")
            encoded = processor(
                images=image,
                text=rows[place]["caption"],
                padding="max_length",
                truncation=True,
                max_length=LONGEST + queries,
                return_tensors="pt",
            )
            item = {name: value.squeeze(0) for name, value in encoded.items()}
            item["labels"] = item["input_ids"].masked_fill(item["attention_mask"] == 0, -100)
            return item

    arguments = TrainingArguments(
        output_dir=str(folder / "recipe"),
        per_device_train_batch_size=job.part,
        gradient_accumulation_steps=max(1, job.batch // job.part),
        num_train_epochs=job.epochs,
        learning_rate=2e-4,
        fp16=cuda,
        gradient_checkpointing=job.checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False} if job.checkpointing else None,
        remove_unused_columns=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=not cuda,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=Captions())
    memory = Memory(floor)
    begun = clock()
    trainer.train()
    seconds = clock() - begun
    learned = sum(item.numel() for item in model.parameters() if item.requires_grad)
    return Result(len(rows), 0.0, seconds, *memory.peak(), learned=learned)


def tetkik(job: Job) -> Result:
    """Ours: prepared once, features once, then only what comes after them."""
    import torch

    from tetkik.caption.options import AdapterOptions
    from tetkik.lab.caption.prepare import PrepareOptions, prepare
    from tetkik.lab.caption.prepared import open_prepared
    from tetkik.lab.caption.sources import open_source
    from tetkik.lab.caption.training.data import loss_per_token, make_training_data
    from tetkik.lab.caption.training.options import CaptionTraining
    from tetkik.lab.caption.training.trainer import CaptionTrainer, new_network
    from tetkik.lab.engine.precision import accelerator_for

    folder = Path(job.folder)
    base, store = str(folder / "base"), folder / f"features-{time.time_ns()}"
    switches: dict[str, Any] = dict.fromkeys(job.adapter, True)
    options = CaptionTraining(
        base=base,
        quantisation=job.quantisation,  # type: ignore[arg-type]
        learning=job.learning,  # type: ignore[arg-type]
        adapter=AdapterOptions(**switches),
        batch_size=job.batch,
        accumulation=max(1, job.batch // job.part),
        epochs=job.epochs,
        patience=job.epochs,
        checkpointing=job.checkpointing,
        cache_features=job.cache,
        max_tokens=LONGEST,
        threads=job.threads,
    )
    begun = clock()
    ready = folder / "prepared"
    if not ready.exists() or not job.judge:
        quiet = PrepareOptions(base=base, workers=1)
        prepare(open_source(folder / "captions.csv"), ready, quiet, _silent)
    prepared_in = clock() - begun
    prepared = open_prepared(ready)
    with accelerator_for(options.precision, threads=job.threads) as (accelerator, precision):
        options = replace(options, precision=precision)
        _imports()
        floor = _status("VmRSS")
        network = new_network(options, prepared.image, accelerator.device)
        memory = Memory(floor)
        begun = clock()
        data = make_training_data(
            accelerator, network, prepared, options, store, progress=_silent, notify=lambda _: None
        )
        once = prepared_in + clock() - begun
        if job.cache:
            network.drop_frozen()
            accelerator.free_memory()
        used = data if job.judge else replace(data, validation=_none_of(data.validation))
        trainer = CaptionTrainer(
            accelerator, network, used, options, run="speed", work=None, notify=lambda _: None
        )
        begun = clock()
        trainer.run(_silent)
        if accelerator.device.type == "cuda":
            torch.cuda.synchronize()
        seconds = clock() - begun
        peak = memory.peak()
        loss = None
        if job.judge:
            loss = loss_per_token(accelerator, network, data.validation, job.part, precision)
        learned = [item for item in network.model.parameters() if item.requires_grad]
    return Result(
        len(data.training),
        once,
        seconds,
        *peak,
        loss=loss,
        learned=sum(item.numel() for item in learned),
        adapter_bytes=sum(item.numel() * item.element_size() for item in learned),
    )


def _none_of(part: Any) -> Any:
    return replace(part, ids=(), captions=(), groups=(), tokens=[])


def _imports() -> None:
    """What both sides have loaded, so that the libraries themselves count on neither."""
    import bitsandbytes  # noqa: F401
    import peft  # noqa: F401
    import transformers
    from transformers import Blip2ForConditionalGeneration, Trainer

    assert transformers and Blip2ForConditionalGeneration and Trainer


def _silent(step: str, done: int, total: int | None) -> None:
    """Tell nobody."""


SIDES: dict[str, Callable[[Job], Result]] = {"recipe": recipe, "tetkik": tetkik}


def main() -> None:
    """Run the job that the one argument describes, and print its result as the last line."""
    import logging
    import warnings

    import torch

    fields = json.loads(sys.argv[1])
    job = Job(**{**fields, "adapter": tuple(fields["adapter"])})
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(job.threads)
    print(json.dumps(asdict(SIDES[job.side](job))))


if __name__ == "__main__":
    main()
