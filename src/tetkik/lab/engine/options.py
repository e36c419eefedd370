"""What every training and evaluation can be told, and what cannot be, refused before any work begins."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, get_args, get_origin, get_type_hints

from pydantic import Field
from pydantic.fields import FieldInfo

from tetkik.errors import DataError, MissingExtra, UsageError
from tetkik.lab.engine.precision import PROCESS_TIMEOUT, Precision
from tetkik.lab.engine.tracking import Tracker

# YAML that a person wrote, read within limits: no tags that make objects, no aliases, no key twice.


_MOST_BYTES = 1 << 16
_DEEPEST = 16


def read_yaml(path: Path) -> tuple[Any, bytes]:
    """What a file says, and its bytes.

    Raises:
        DataError: it is no YAML, or more than is needed.
        OSError: the file cannot be opened.
    """
    yaml = load_yaml()
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise DataError("{path} is too long: it has more than 64 KiB; give another file.", path=path)
    try:
        _check_tokens(yaml, path, content)
        node = yaml.compose(content, Loader=yaml.SafeLoader)
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        seen = Counter(key.value for key, _ in pairs if isinstance(key, yaml.ScalarNode))
        for key, count in seen.items():
            if count > 1:
                raise DataError("{path} has {key} twice; leave one of them out.", path=path, key=key)
        return yaml.safe_load(content), content
    except (yaml.YAMLError, RecursionError, ValueError) as fault:
        mark = getattr(fault, "problem_mark", None)
        raise DataError(
            "{path} is not YAML (line {line}); correct it.", path=path, line=mark.line + 1 if mark else "-"
        ) from None


def _check_tokens(yaml: Any, path: Path, content: bytes) -> None:
    """Aliases make a small file huge once it is read, and depth makes the reader slow; nothing needs them."""
    depth = 0
    for token in yaml.scan(content):
        if isinstance(token, yaml.AliasToken):
            raise DataError("{path} uses YAML aliases; write each value out.", path=path)
        name = type(token).__name__
        depth += name.endswith("StartToken") - name.endswith("EndToken")
        if depth > _DEEPEST:
            raise ValueError("too deep")


def load_yaml() -> Any:
    """The package; `MissingExtra` where it is not installed."""
    try:
        import yaml
    except ImportError:
        raise MissingExtra(
            "Files in YAML need {package}; `{extra}`.", extra="train", package="pyyaml"
        ) from None
    return yaml


DataName = Annotated[str, Field(description="What the card calls the data.")]
Epochs = Annotated[int, Field(ge=1, description="Most passes over the data.")]
Patience = Annotated[int, Field(ge=1, description="Epochs without a gain before it stops.")]


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What every training can be told; each capability adds its own, and its own defaults.

    Attributes:
        id: None takes the folder's.
        batch_size: of the optimiser, over all processes and all parts: the result does not depend on how many
            GPUs share the work.
        precision: what learns stays fp32.
        checkpoint_steps: steps between checkpoints inside an epoch.
    """

    same_result: ClassVar[frozenset[str]] = frozenset(
        {"resume", "threads", "checkpoint_steps", "process_timeout", "tracker"}
    )
    """Settings that change nothing about what is learned."""

    id: Annotated[str | None, Field(description="Name of the model; without it the folder's name.")] = None
    licence: Annotated[str, Field(description="Licence of the weights, for the card.")] = "unknown"
    data_name: DataName = "training data"
    epochs: Epochs = 5
    batch_size: Annotated[int, Field(ge=1)] = 32
    learning_rate: float = 1e-4
    patience: Patience = 2
    precision: Annotated[Precision, Field(description="Numbers to train in.")] = Precision.AUTO
    accumulation: Annotated[int, Field(ge=1, description="Parts of a step, to save memory.")] = 1
    tune: Annotated[int, Field(ge=0, description="How many settings to try first, on validation.")] = 0
    seed: Annotated[int, Field(ge=0)] = 0
    threads: Annotated[int, Field(ge=0, description="CPU threads; 0 leaves torch's choice.")] = 0
    checkpoint_steps: Annotated[int, Field(ge=1)] = 500
    process_timeout: Annotated[
        int, Field(ge=1, description="Several processes: seconds that one waits in a step for the others.")
    ] = PROCESS_TIMEOUT
    tracker: Annotated[Tracker, Field(description="Log each epoch of a network there, too.")] = Tracker.NONE
    resume: Annotated[bool, Field(description="Go on with an interrupted training of the same data.")] = False

    def __post_init__(self) -> None:
        check_options(self)
        self._check()

    def _check(self) -> None:
        """Refuse (`UsageError`) what the bounds of single fields do not tell."""
        check_rate(self.learning_rate)

    def as_json(self) -> dict[str, Any]:
        """Every setting that can change the result, by name."""
        return {name: value for name, value in asdict(self).items() if name not in self.same_result}


class LearnedTreatment(StrEnum):
    """What an evaluation does with rows that the model learned."""

    SEPARATE = "separate"
    """They are left out of the figures; their own are stated beside them."""
    REFUSE = "refuse"
    """One of them is an error."""
    INCLUDE = "include"
    """They are judged like any other, with a warning."""


class ScheduleKind(StrEnum):
    """How the learning rate changes after its warm-up."""

    COSINE = "cosine"
    LINEAR = "linear"
    CONSTANT = "constant"


def learning_rate_factor(
    step: int, steps: int, warm_up: float, kind: ScheduleKind = ScheduleKind.COSINE
) -> float:
    """The share of the highest learning rate at a step (from 0): a linear warm-up, then as `kind` says.

    Cosine and linear end at 0, one step after the last.
    """
    rising = math.ceil(warm_up * steps)
    if step < rising:
        return (step + 1) / rising
    gone = (step - rising) / max(1, steps - rising)
    match kind:
        case ScheduleKind.COSINE:
            return 0.5 * (1 + math.cos(math.pi * gone))
        case ScheduleKind.LINEAR:
            return 1 - gone
        case ScheduleKind.CONSTANT:
            return 1.0


def bounds_of(field: FieldInfo) -> tuple[float | None, float | None]:
    """The least and the most that a `Field(ge=…, le=…)` allows; None for no such bound."""
    ends = {name: getattr(one, name) for one in field.metadata for name in ("ge", "le") if hasattr(one, name)}
    return ends.get("ge"), ends.get("le")


def check_options(options: object) -> None:
    """Hold the fields of an options class to their annotations, such as `Annotated[int, Field(ge=1)]`.

    A text becomes the member of the enumeration that it names.

    Raises:
        UsageError: a number lies outside its bounds.
    """
    for name, kind in get_type_hints(type(options), include_extras=True).items():
        if get_origin(kind) is not Annotated:
            continue
        base, field = get_args(kind)[:2]
        value, (lowest, highest) = getattr(options, name), bounds_of(field)
        if isinstance(base, type) and issubclass(base, StrEnum):
            object.__setattr__(options, name, base(value))
        elif value is not None and lowest is not None:
            check_within(name, value, lowest, highest)


def check_within(name: str, value: float, lowest: float, highest: float | None = None) -> None:
    """Whether an option lies within its bounds.

    Raises:
        UsageError: it does not, or is no number.
    """
    name = name.replace("_", "-")
    if highest is not None and not lowest <= value <= highest:
        raise UsageError(
            "--{name} cannot be {value}; give a number from {low} to {high}.",
            name=name,
            value=value,
            low=lowest,
            high=highest,
        )
    if not lowest <= value:
        raise UsageError(
            "The option {name} cannot be {value}; the least is {lowest}.",
            name=f"--{name}",
            value=value,
            lowest=lowest,
        )


def check_rate(rate: float) -> None:
    """Whether `rate` can be a learning rate.

    Raises:
        UsageError: it is not between 0 and 1.
    """
    if not 0 < rate < 1:
        raise UsageError(
            "The learning rate {value} cannot be used; give one between 0 and 1, such as 3e-5.", value=rate
        )
