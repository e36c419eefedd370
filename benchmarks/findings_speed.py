"""DenseNet121 on a CPU: ONNX Runtime and OpenVINO, fp32 and int8, against torch eager, in one run.

    python benchmarks/findings_speed.py [--images DIR] [--model BUNDLE] [--threads 2] [--seconds 60]

The runners take turns, so that a busy machine slows all of them alike; a ratio is the median over the turns
of torch's time over the runner's in the same turn. Without `--model` the network has random weights, with
batch norm settled on the images and a head scaled until its probabilities are far from even: speed does not
depend on the weights, and the differences say something. What int8 costs a trained network is measured by
`tetkik findings compare`. Without `--images` the images are phantoms that the project draws itself.

How much int8 and bf16 gain depends on the processor, which the first line names. With VNNI one instruction
multiplies and adds four int8 pairs a lane, and AMX multiplies whole tiles of int8 or bf16; with AVX2 alone
int8 takes three instructions, so that its arithmetic is at most a third faster than fp32, and bf16 has no
instructions at all: OpenVINO then computes in fp32, and its row says so.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))
from figures import instructions, judged, record

IMAGES = 48
BATCHES = (1, 16)
PAUSE = 0.05
"""Seconds before each run, in which the threads of the runner before stop spinning."""
LABELS = 22
Images = NDArray[np.float32]
Runner = Callable[[Images], Images]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--images", type=Path, help="a folder of images; default: phantoms")
    parser.add_argument("--model", help="a bundle of DenseNet121 with torch weights; default: random weights")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=60, help="of measuring, for each batch size")
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(asked.threads)

    import torch

    torch.set_num_threads(asked.threads)
    images = squares(asked.images)
    model = network(asked.model, images)
    with tempfile.TemporaryDirectory() as folder:
        runners, sizes = build(model, images, Path(folder), asked.threads)
        print(f"{platform.machine()}, {instructions()}, {asked.threads} threads, DenseNet121 at 224\n")
        report(runners, sizes, images, asked.seconds)


def squares(folder: Path | None) -> Images:
    """Images as the network takes them: (images, 3, 224, 224)."""
    from tests.phantom import draw_phantom
    from tetkik.imaging.prepare import Preprocessing, prepare
    from tetkik.imaging.read import read_image
    from tetkik.values import FileFormat, Radiograph

    preprocessing = Preprocessing()
    if folder is not None:
        files = sorted(file for file in folder.iterdir() if file.is_file())
        chosen = files[:: max(1, len(files) // IMAGES)][:IMAGES]
        return np.stack([prepare(read_image(file), preprocessing) for file in chosen])
    phantoms = (
        Radiograph(draw_phantom(seed=seed), 4095, FileFormat.PNG, sha256="") for seed in range(IMAGES)
    )
    return np.stack([prepare(phantom, preprocessing) for phantom in phantoms])


def network(bundle: str | None, images: Images) -> Any:
    """DenseNet121 in evaluation mode."""
    import torch

    from tetkik.bundle import resolve
    from tetkik.findings.networks import build as build_network
    from tetkik.findings.torch_model import TorchFindings

    if bundle is not None:
        return TorchFindings.load(resolve(bundle)).network.cpu().eval()
    torch.manual_seed(0)
    model: Any = build_network("densenet121", [f"label {number}" for number in range(LABELS)]).train()
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.momentum = None  # the mean over all batches
        for part in (images[::3], images[1::3], images[2::3]):
            model(torch.from_numpy(part))
        model.eval()
        logits = torch.cat([model(torch.from_numpy(part)) for part in np.split(images, 3)])
        model.classifier.weight.mul_(1.5 / logits.std(dim=0).mean())
        model.classifier.bias.copy_(-(logits * 1.5 / logits.std(dim=0).mean()).mean(dim=0))
    return model


def build(model: Any, images: Images, folder: Path, threads: int) -> tuple[dict[str, Runner], dict[str, int]]:
    """The runners by name, each from images to (images, labels) probabilities, and their files' sizes."""
    import torch

    from tetkik.findings.onnx_model import OpenVinoSession, OrtSession
    from tetkik.lab.findings.export import to_onnx
    from tetkik.lab.findings.quantize import to_int8

    fp32 = to_onnx(model, folder / "fp32.onnx", size=224, maps=False).file
    int8 = to_int8(fp32, images, folder / "int8.onnx").file

    def eager(batch: Images) -> Images:
        with torch.inference_mode():
            return np.asarray(model(torch.from_numpy(batch)).sigmoid())

    def onnx(session: Any) -> Runner:
        return lambda batch: session.run(("scores",), batch)[0]

    runners: dict[str, Runner] = {
        "torch eager": eager,
        "ONNX Runtime fp32": onnx(OrtSession(fp32, threads)),
        "ONNX Runtime int8": onnx(OrtSession(int8, threads)),
        "OpenVINO fp32": onnx(OpenVinoSession(fp32, threads)),
        "OpenVINO int8": onnx(OpenVinoSession(int8, threads)),
    }
    if has_bf16():
        runners["OpenVINO bf16"] = onnx(OpenVinoSession(fp32, threads, bf16=True))
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    sizes = {name: (int8 if "int8" in name else fp32).stat().st_size for name in runners}
    return runners, sizes | {"torch eager": weights}


def report(runners: dict[str, Runner], sizes: dict[str, int], images: Images, seconds: float) -> None:
    """Time the runners in turn and print a table a batch size."""
    first = next(iter(runners))
    answers = {
        name: np.concatenate([run(part) for part in np.split(images, 3)]) for name, run in runners.items()
    }
    for size in BATCHES:
        times = measure(runners, images, size, seconds)
        print(f"Batch {size}, {len(times[first])} turns:\n")
        print("| runner | median | fastest | times as fast | largest probability difference | size |")
        print("|---|---|---|---|---|---|")
        for name, taken in times.items():
            ratio = np.median(np.array(times[first]) / np.array(taken))
            difference = np.abs(answers[name] - answers[first]).max()
            print(
                f"| {name} | {np.median(taken) * 1e3:.0f} ms | {min(taken) * 1e3:.0f} ms | {ratio:.2f} "
                f"| {difference:.1e} | {sizes[name] / 1e6:.0f} MB |"
            )
        ratios = {name: float(np.median(np.array(times[first]) / np.array(times[name]))) for name in times}
        record_ratios(size, ratios)
        print()
    spread = answers[first].std()
    print(f"Differences over {len(images)} images; the probabilities' standard deviation is {spread:.2f}.")
    if not has_bf16():
        print("This processor has no bf16 instructions: OpenVINO would compute in fp32, so bf16 has no row.")


def record_ratios(size: int, ratios: dict[str, float]) -> None:
    """Record how many times as fast as torch fp32 is, and the best of int8 and bf16."""
    if size in {1, 16}:
        fp32 = ratios["ONNX Runtime fp32"]
        best = max(ratio for name, ratio in ratios.items() if "int8" in name or "bf16" in name)
        record("densenet-cpu/fp32", {f"batch {size}": judged(f"{fp32:.2f}", met=fp32 >= 2.2)})
        record("densenet-cpu/int8-bf16", {f"batch {size}": judged(f"{best:.1f}", met=best >= 3)})


def measure(runners: dict[str, Runner], images: Images, size: int, seconds: float) -> dict[str, list[float]]:
    """Seconds of each runner, turn by turn, on the same batch in each turn."""
    times: dict[str, list[float]] = {name: [] for name in runners}
    batches = batches_of(images, size)
    for run in runners.values():
        run(next(batches))
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[next(iter(times))]) < 3:
        batch = next(batches)
        for name, run in runners.items():
            time.sleep(PAUSE)
            start = time.perf_counter()
            run(batch)
            times[name].append(time.perf_counter() - start)
    return times


def batches_of(images: Images, size: int) -> Iterator[Images]:
    """Batches without end."""
    while True:
        for start in range(0, len(images) - size + 1, size):
            yield images[start : start + size]


def has_bf16() -> bool:
    """Whether OpenVINO computes in bf16 on this processor."""
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


if __name__ == "__main__":
    main()
