"""int8 ONNX of a BERT-base encoder against torch eager: one complaint of 128 tokens, 2 threads.

    python benchmarks/triage_int8.py [--base PATH] [--threads 2] [--tokens 128] [--rounds 30]

The four runners take turns within each round, so that a busy machine slows all of them alike. Without
`--base` the network is BERT-base (12 layers of 768, 32,000 pieces) with random weights: speed does not depend
on them. Its head is scaled up until the probabilities are far from even, so that their difference says
something. What int8 costs a trained network stands in its bundle's card.

How much int8 gains depends on the processor, which the first line names. With VNNI one instruction multiplies
and adds four int8 pairs a lane; with AVX2 alone that takes three, so that int8 arithmetic is at most twice as
fast as fp32, and what is above a ratio of 2 comes from the rest.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from figures import instructions, judged, record

LABELS = 15
TEXTS = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--base", type=Path, help="a folder with an encoder; default: random BERT-base")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=30)
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = os.environ["TETKIK_THREADS"] = str(asked.threads)

    import torch

    torch.set_num_threads(asked.threads)
    random = np.random.default_rng(0)
    model = network(asked.base)
    ids = random.integers(5, model.config.vocab_size, (TEXTS, asked.tokens))
    with tempfile.TemporaryDirectory() as folder:
        runners, sizes = build(model, Path(folder))
        machine = f"{platform.machine()}, {instructions()}"
        print(f"{machine}, {asked.threads} threads, batch 1, {asked.tokens} tokens\n")
        report(runners, sizes, ids, asked.rounds)


def network(base: Path | None) -> Any:
    """The encoder, with a head whose probabilities differ from label to label."""
    import torch
    from transformers import AutoModelForSequenceClassification, BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    if base is not None:
        return AutoModelForSequenceClassification.from_pretrained(base, use_safetensors=True).float().eval()
    model = BertForSequenceClassification(BertConfig(vocab_size=32_000, num_labels=LABELS)).eval()
    with torch.no_grad():
        model.classifier.weight *= 10
    return model


Runner = Callable[[np.ndarray], np.ndarray]


def build(model: Any, folder: Path) -> tuple[dict[str, Runner], dict[str, int]]:
    """The runners by name, each from (1, tokens) int64 to (1, labels) logits, and their files' sizes."""
    import torch

    from tetkik.lab.triage.transformer.train import export_fp32, quantise
    from tetkik.triage.transformer import OnnxNetwork, TextReader

    export_fp32(model, folder / "fp32.onnx")
    quantise(folder / "fp32.onnx", folder / "int8.onnx")
    reader = TextReader(None, 0)

    def eager(attention: str) -> Runner:
        def run(ids: np.ndarray) -> np.ndarray:
            if model.config._attn_implementation != attention:
                model.set_attn_implementation(attention)
            batch = torch.from_numpy(ids)
            with torch.inference_mode():
                return np.asarray(model(input_ids=batch, attention_mask=torch.ones_like(batch)).logits)

        return run

    def onnx(name: str) -> Runner:
        session = OnnxNetwork(folder, folder / name, reader)
        return lambda ids: session.logits_together(list(ids))

    runners = {
        "torch eager (sdpa, the default)": eager("sdpa"),
        "torch eager (plain attention)": eager("eager"),
        "ONNX fp32": onnx("fp32.onnx"),
        "ONNX int8": onnx("int8.onnx"),
    }
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    sizes = dict.fromkeys(runners, weights)
    sizes |= {f"ONNX {kind}": (folder / f"{kind}.onnx").stat().st_size for kind in ("fp32", "int8")}
    return runners, sizes


def report(runners: dict[str, Runner], sizes: dict[str, int], ids: np.ndarray, rounds: int) -> None:
    """Time the runners in turn and print the table."""
    from tetkik.triage.calibration import softmax

    answers = {
        name: softmax(np.concatenate([run(ids[row : row + 1]) for row in range(len(ids))]))
        for name, run in runners.items()
    }
    times: dict[str, list[float]] = {name: [] for name in runners}
    for number in range(rounds):
        row = number % len(ids)
        for name, run in runners.items():
            start = time.perf_counter()
            run(ids[row : row + 1])
            times[name].append(time.perf_counter() - start)
    first = next(iter(runners))
    print("| runner | median | fastest | times as fast | largest probability difference | size |")
    print("|---|---|---|---|---|---|")
    for name, seconds in times.items():
        ratio = float(np.median(times[first]) / np.median(seconds))
        difference = np.abs(answers[name] - answers[first]).max()
        print(
            f"| {name} | {np.median(seconds) * 1e3:.1f} ms | {min(seconds) * 1e3:.1f} ms | {ratio:.2f} "
            f"| {difference:.1e} | {sizes[name] / 1e6:.0f} MB |"
        )
        kind = name.removeprefix("ONNX ")
        if kind in {"fp32", "int8"}:
            record(
                f"bert-int8/{kind}-speed",
                {"reached": judged(f"{ratio:.1f}", met=kind == "fp32" or ratio >= 5)},
            )
            record(f"bert-int8/{kind}-difference", {"reached": f"{difference:.2g}"})
    confidence = answers[first].max(axis=1).mean()
    print(f"\nDifferences over {len(ids)} texts; the mean top probability in torch is {confidence:.2f}.")


if __name__ == "__main__":
    main()
