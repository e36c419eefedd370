"""Trains the small network that the quality gate asks about pixels. Needs torch and onnx.

    python benchmarks/imaging_gate_training.py labels.csv --others FOLDER --out gate-image

`labels.csv` has chest radiographs and slices of brain MRI, as `findings train` takes it; FOLDER has images
that are no chest radiograph. `--figures` takes what `imaging_gate.py --json` wrote into the card.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the name that torch's users know

from imaging_gate_augment import Augmenter, Batch, Recipe
from imaging_gate_examples import (
    BRAIN,
    CHEST,
    DRAWN,
    NOT_CHEST,
    OTHER,
    Examples,
    drawn,
    films_of,
    gather,
    read_others,
)
from tetkik.bundle.card import CardSection, finish_bundle
from tetkik.bundle.manifest import Manifest, Metric, Task
from tetkik.bundle.store import Bundle, open_bundle, staged_folder
from tetkik.errors import TetkikError, TrainingError
from tetkik.imaging.gate.judge import OUTPUTS, GateLimits
from tetkik.imaging.prepare import Preprocessing
from tetkik.lab.engine.card import made_today
from tetkik.lab.findings.data import read_labels
from tetkik.language import Sentence
from tetkik.networks.onnx_session import onnx_session
from tetkik.statistics.intervals import Floats
from tetkik.values.common import ProgressCallback
from tetkik.values.radiograph import Fit

# The gate's network: a small convolutional one with four heads, and its export to ONNX. Needs torch.


ROUTES = 3
"""Outputs of the first head: chest radiograph, brain MRI slice, neither."""
TURNS = 4
"""Outputs of the second: upright, and by 90, 180, 270 degrees counter-clockwise, mirrored or not."""
LOGITS = ROUTES + TURNS + 2
"""All outputs, as logits in this order: routes, turns, inverted, cropped."""
_WIDTHS = (12, 24, 48, 64, 96)
_CELLS = 3
EPSILON = 1e-5
"""Added to the variance of an image, so that a blank one stays blank."""
SIDES = (80, 96)
"""Inputs that leave 3 x 3 places after five halvings."""


class Block(nn.Module):
    """A convolution of 3 x 3 with batch norm and ReLU."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.convolution = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(after)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(n, before, h, w) to (n, after, h / stride, w / stride)."""
        activated: torch.Tensor = torch.relu(self.norm(self.convolution(features)))
        return activated

    def folded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Kernel and bias of the one convolution that this is once trained."""
        mean, variance = self.norm.running_mean, self.norm.running_var
        if mean is None or variance is None:
            raise TypeError("batch norm without running statistics")
        scale = self.norm.weight / torch.sqrt(variance + self.norm.eps)
        return self.convolution.weight * scale[:, None, None, None], self.norm.bias - mean * scale


class GateNetwork(nn.Module):
    """(n, 1, size, size), grey of 0 to 1, to (n, 9) logits.

    Each image is first brought to mean 0 and deviation 1, so exposure and bit depth do not matter. The last
    features keep 3 x 3 places: where the lungs and the heart lie says which way is up.
    """

    def __init__(self) -> None:
        super().__init__()
        blocks: list[Block] = []
        before = 1
        for depth, width in enumerate(_WIDTHS):
            blocks.append(Block(before, width, stride=2))
            if depth:
                blocks.append(Block(width, width, stride=1))
            before = width
        self.blocks = nn.ModuleList(blocks)
        self.dropout = nn.Dropout(0.2)
        self.heads = nn.Linear(before * _CELLS * _CELLS, LOGITS)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of the four heads."""
        centred = image - image.mean(dim=(2, 3), keepdim=True)
        spread = centred.square().mean(dim=(2, 3), keepdim=True)
        features = centred / torch.sqrt(spread + EPSILON)
        for block in self.blocks:
            features = block(features)
        logits: torch.Tensor = self.heads(self.dropout(features.flatten(1)))
        return logits


LARGEST_DIFFERENCE = 0.05
"""A logit may differ by this much from torch: weights are stored in half precision."""
_OPSET, _IR = 17, 9


def write_onnx(network: GateNetwork, size: int, file: Path) -> float:
    """Write `network` with batch norm folded into the convolutions and weights in half precision.

    Returns the largest difference of a logit from torch, on random images; `TrainingError` beyond rounding.
    """
    graph = _Graph()
    last = graph.standardised("image")
    for block in network.blocks:
        if not isinstance(block, Block):
            raise TypeError(f"cannot export {type(block).__name__}")
        kernel, bias = block.folded()
        last = graph.convolution(last, _array(kernel), _array(bias), block.stride)
    last = graph.add("Flatten", [last])
    names = [graph.constant(_array(value)) for value in (network.heads.weight, network.heads.bias)]
    graph.add("Gemm", [last, *names], output="logits", transB=1)
    onnx.save(graph.model(size), file)
    return _compare(network, size, file)


class _Graph:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def add(self, kind: str, inputs: list[str], output: str = "", **attributes: object) -> str:
        output = output or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, value: NDArray[np.float32]) -> str:
        """A weight, in half precision where it is a kernel or a matrix; the runtime unfolds it once."""
        name = f"w{len(self.weights)}"
        if value.ndim < 2:
            self.weights.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
            return name
        self.weights.append(numpy_helper.from_array(value.astype(np.float16), name))
        return self.add("Cast", [name], to=TensorProto.FLOAT)

    def standardised(self, image: str) -> str:
        """Mean 0 and deviation 1 for each image."""
        mean = self.add("ReduceMean", [image], axes=[2, 3], keepdims=1)
        centred = self.add("Sub", [image, mean])
        square = self.add("Mul", [centred, centred])
        spread = self.add("ReduceMean", [square], axes=[2, 3], keepdims=1)
        safe = self.add("Add", [spread, self.constant(np.array([EPSILON], np.float32))])
        return self.add("Div", [centred, self.add("Sqrt", [safe])])

    def convolution(
        self, last: str, weight: NDArray[np.float32], bias: NDArray[np.float32], stride: int
    ) -> str:
        inputs = [last, self.constant(weight), self.constant(bias)]
        return self.add("Relu", [self.add("Conv", inputs, strides=[stride] * 2, pads=[1] * 4)])

    def model(self, size: int) -> onnx.ModelProto:
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, size, size])
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(OUTPUTS)])
        graph = helper.make_graph(self.nodes, "gate", [image], [logits], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
        onnx.checker.check_model(model)
        return model


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    return tensor.detach().contiguous().numpy()


def _compare(network: GateNetwork, size: int, file: Path) -> float:
    images = torch.rand((8, 1, size, size), generator=torch.Generator().manual_seed(0))
    session = onnx_session(file, threads=1)
    with torch.no_grad():
        expected = network(images).numpy()
    difference = float(np.abs(session.run(None, {"image": images.numpy()})[0] - expected).max())
    if not difference <= LARGEST_DIFFERENCE * max(1.0, float(np.abs(expected).max())):
        raise TrainingError(
            "The exported gate differs from the trained one by {difference:.1e} in a logit; train it again.",
            difference=difference,
        )
    return difference


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast the network learns."""

    steps: int = 1200
    batch: int = 64  # examples in each
    rate: float = 3e-3  # highest learning rate, of AdamW, with a warm-up and a cosine to nothing
    decay: float = 0.05
    # share of the running mean of the weights that each step keeps; that mean is what is used
    memory: float = 0.99
    seed: int = 0  # of weights, order and changes


def fit(
    examples: Examples, size: int, recipe: Recipe, schedule: Schedule, tick: Callable[[int, int], None]
) -> GateNetwork:
    """Teach a network and return it ready for use; `tick` is called with (steps done, steps in all)."""
    torch.manual_seed(schedule.seed)
    network = GateNetwork()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    augmenter = Augmenter(size, recipe, schedule.seed)
    random = np.random.default_rng(schedule.seed)
    optimiser = torch.optim.AdamW(network.parameters(), schedule.rate, weight_decay=schedule.decay)
    rates = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, schedule.rate, total_steps=schedule.steps, pct_start=0.15
    )
    share = _shares(examples)
    mean = copy.deepcopy(network)
    network.train()
    for step in range(schedule.steps):
        rows = random.choice(len(examples), schedule.batch, p=share)
        batch = augmenter.batch(
            torch.from_numpy(examples.squares[rows]),
            torch.from_numpy(examples.aspect[rows]),
            torch.from_numpy(examples.kind[rows]),
        )
        loss = losses(network(batch.images.contiguous(memory_format=torch.channels_last)), batch)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimiser.step()
        rates.step()
        # At first the mean must forget the random weights that it began with.
        _follow(mean, network, min(schedule.memory, (1 + step) / (10 + step)))
        tick(step + 1, schedule.steps)
    return mean.eval()


@torch.no_grad()
def _follow(mean: GateNetwork, network: GateNetwork, memory: float) -> None:
    """Move the running mean of the weights a step towards those of `network`."""
    for kept, new in zip(mean.state_dict().values(), network.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(new, 1 - memory)


def losses(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """The sum of the four heads' losses; what is unknown of an example adds nothing."""
    route = F.log_softmax(logits[:, :ROUTES], dim=1)
    # An example that may be of two kinds is right with either.
    total = -torch.logsumexp(route.masked_fill(batch.allowed == 0, -torch.inf), dim=1).mean()
    turned = batch.turn >= 0
    if turned.any():
        total = total + F.cross_entropy(logits[turned, ROUTES : ROUTES + TURNS], batch.turn[turned])
    for place, target in ((-2, batch.inverted), (-1, batch.cropped)):
        known = target >= 0
        if known.any():
            total = total + F.binary_cross_entropy_with_logits(logits[known, place], target[known])
    return total


_SHARES = {CHEST: 0.4, BRAIN: 0.18, OTHER: 0.38, NOT_CHEST: 0.04}
_DRAWN = 0.7


def _shares(examples: Examples) -> Floats:
    """The chance of each row: by kind, and within a kind sources by the root of their size.

    What is drawn counts less than that: real slices are what is mistaken for a chest.
    """
    names, source = np.unique(np.array(examples.source), return_inverse=True)
    favour = np.where(names == DRAWN, _DRAWN, 1.0)
    share = np.zeros(len(examples))
    for kind, weight in _SHARES.items():
        of_kind = examples.kind == kind
        counts = np.bincount(source[of_kind], minlength=len(names))
        wanted = np.sqrt(counts) * favour
        if counts.any():
            share[of_kind] = weight * (wanted / wanted.sum() / np.maximum(counts, 1))[source[of_kind]]
    normal: Floats = share / share.sum()
    return normal


LEAST = 20
"""Examples of each kind without which nothing is learned."""


@dataclass(frozen=True, slots=True)
class GateOptions:
    """Settings of a training."""

    id: str = "gate-image"
    size: int = 80  # side of the network's input, 80 or 96
    scenes: int = 2000  # how many pictures are drawn beside the real images that are neither
    recipe: Recipe = field(default_factory=Recipe)
    schedule: Schedule = field(default_factory=Schedule)
    limits: GateLimits = field(default_factory=GateLimits)  # from which probability on the gate says what
    threads: int = 1  # of torch; one is fastest for a network this small where the cores have other work
    licence: str = "unknown"
    data_name: str = "training images"
    # figures measured elsewhere (`benchmarks/imaging_gate.py`), for the card
    metrics: tuple[Metric, ...] = ()


def train_gate(examples: Examples, out: Path, options: GateOptions, progress: ProgressCallback) -> Bundle:
    """Teach the gate's network real images of every kind, and drawn scenes, and write it as a bundle.

    Raises:
        TrainingError: there are too few images of a kind.
        OutputError: `out` is taken.
    """
    for kind, name in ((CHEST, "chest"), (BRAIN, "brain MRI")):
        count = int((examples.kind == kind).sum())
        if count < LEAST:
            raise TrainingError(
                "There are {count} images of the kind {name}, and the gate needs at least {least}; add some.",
                count=count,
                name=name,
                least=LEAST,
            )
    torch.set_num_threads(options.threads)
    everything = examples.with_more(drawn(options.scenes, options.schedule.seed))
    with staged_folder(out) as stage:
        network = fit(
            everything,
            options.size,
            options.recipe,
            options.schedule,
            partial(progress, "train"),
        )
        difference = write_onnx(network, options.size, stage / "model.onnx")
        manifest = _manifest(examples, options, difference)
        others = int((examples.kind == OTHER).sum())
        data = CardSection("Data", _DATA.format(images=len(examples), others=others))
        finish_bundle(stage, manifest, _SUMMARY, [data, CardSection("Limits", _LIMITS)])
    return open_bundle(out, Task.GATE)


_SUMMARY = (
    "Says whether an image is a frontal chest radiograph, a slice of a brain MRI or neither, which way a "
    "chest radiograph lies, whether it is inverted and whether a large part of the chest is cut off. The "
    "quality gate asks it where the tags of a file do not decide."
)
_DATA = (
    "{images} images, {others} of them neither. Turned, inverted and cut films were made from the upright "
    "ones; documents, screens, noise and things were drawn."
)
_LIMITS = (
    "Never shown a lateral film, a radiograph of another part of the body or a photograph of a film. It "
    "cannot tell a film that is mirrored left to right, nor which way up a slice of a brain is."
)


def preprocessing(size: int) -> Preprocessing:
    """What the network takes: the whole image in a black square."""
    return Preprocessing(size=size, mean=(0.0,), std=(1.0,), fit=Fit.PAD)


def _manifest(examples: Examples, options: GateOptions, difference: float) -> Manifest:
    names, counts = np.unique(np.array(examples.source), return_counts=True)
    return Manifest(
        **made_today(options.id, options.licence, ("torch", "onnx", "numpy", "pillow")),
        task=Task.GATE,
        kind="convolutional",
        labels=OUTPUTS,
        preprocessing=preprocessing(options.size).as_json(),
        thresholds=asdict(options.limits),
        metrics=options.metrics,
        training={
            "images_by_source": dict(zip(names.tolist(), counts.tolist(), strict=True)),
            "images_by_kind": {name: int((examples.kind == kind).sum()) for kind, name in enumerate(_KINDS)},
            "scenes": options.scenes,
            "data": options.data_name,
            **asdict(options.recipe),
            **asdict(options.schedule),
            "largest_difference_from_torch": round(difference, 5),
        },
    )


_KINDS = ("chest radiograph", "brain MRI slice", "neither", "no chest radiograph, brain or not")


def read_figures(file: Path) -> tuple[Metric, ...]:
    """The rows of the benchmark as metrics of a manifest."""
    return tuple(
        Metric(
            name=row["row"],
            value=row["rate"],
            low=row["low"],
            high=row["high"],
            n=row["n"],
            data=row["source"],
            split=(Sentence("each source, or its cases, left out of the training"),),
        )
        for row in json.loads(file.read_text("utf-8"))
    )


def main(arguments: list[str] | None = None) -> None:
    """Write the bundle; nothing is written where the training does not end well."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("labels", type=Path)
    parser.add_argument("--others", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=Path, help="the folder of the table's images, where it is another")
    parser.add_argument("--steps", type=int, default=1200, help="batches of 64 images")
    parser.add_argument("--scenes", type=int, default=2000, help="pictures to draw")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--figures", type=Path)
    parser.add_argument("--licence", default="unknown")
    parser.add_argument("--data-name", default="training images")
    chosen = parser.parse_args(arguments)
    options = GateOptions(
        scenes=chosen.scenes,
        schedule=Schedule(steps=chosen.steps, seed=chosen.seed),
        licence=chosen.licence,
        data_name=chosen.data_name,
        metrics=() if chosen.figures is None else read_figures(chosen.figures),
    )
    try:
        films = films_of(read_labels(chosen.labels, chosen.images))
        examples = gather(films.with_more(read_others(chosen.others)), chosen.workers, _tell)
        print(f"The model is in {train_gate(examples, chosen.out, options, _tell).path}.")
    except TetkikError as error:
        raise SystemExit(str(error)) from None


def _tell(step: str, done: int, total: int | None) -> None:
    if done % 100 == 0 or done == total:
        print(f"{step}: {done} of {total}", flush=True)


if __name__ == "__main__":
    main()
