"""Captions that a model decodes for an evaluation: by all processes of a launch, and kept as they come.

Beside the folder of the figures, until these are written:

.NAME.evaluation/
  evaluation.json           what is decoded, so that captions of another model or setting are not taken up
  captions-1a2b3c4d.jsonl   of one process of one run; a line a caption: its row, its words, their confidence
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np

from tetkik.bundle import Bundle
from tetkik.bundle.store import MANIFEST, sha256_of
from tetkik.caption.network import Generated
from tetkik.errors import UsageError
from tetkik.files import written_whole
from tetkik.lab.engine.batches import in_steps
from tetkik.lab.engine.processes import gathered
from tetkik.statistics import Ints
from tetkik.values import ProgressCallback

_IDENTITY = "evaluation.json"
_MODEL, _TRAINING = "model", "training"


def work_folder(out: Path) -> Path:
    """Where the captions of the evaluation that writes `out` are kept until it is done."""
    return out.parent / f".{out.name}.evaluation"


def model_identity(bundle: Bundle) -> dict[str, Any]:
    return {_MODEL: sha256_of(bundle.path / MANIFEST)}


def announce(out: Path, bundle: Bundle, training: Mapping[str, Any]) -> None:
    """Say that the model is to be judged, before it is loaded: `is_unfinished` is true from now on.

    `training` are the data and the settings that it was asked for with.
    """
    _write_identity(work_folder(out), {**model_identity(bundle), _TRAINING: _digest(training)})


def is_unfinished(out: Path, model: Path, training: Mapping[str, Any]) -> bool:
    """Whether an evaluation of the bundle in the folder `model` that writes `out` was begun and not ended.

    Raises:
        UsageError: it was, and the model was trained on other data or with other settings than `training`.
    """
    known = _identity(work_folder(out))
    try:
        begun = bool(known[_MODEL] == sha256_of(model / MANIFEST))
    except (OSError, KeyError):
        return False
    if begun and known.get(_TRAINING) != _digest(training):
        raise UsageError(
            "The model {path} is not known to be trained on this data with these settings; give those it was "
            "trained with, or judge it with `tetkik caption evaluate`.",
            path=model,
        )
    return begun


def _digest(training: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(training, sort_keys=True, default=str).encode()).hexdigest()


def decode_rows(
    accelerator: Any,
    rows: Ints,
    batch_size: int,
    generate: Callable[[Ints, int], list[Generated]],
    progress: ProgressCallback,
    *,
    folder: Path | None,
    identity: Mapping[str, Any],
) -> list[Generated]:
    """What `generate` makes of each of `rows`, in their order and the same in every process.

    It gets the rows of a batch and the place of the first one, and batches are the same however many
    processes share them. What an interrupted run of the same `identity` left in `folder` is not decoded
    again; without a folder nothing is kept.
    """
    rank, world = accelerator.process_index, accelerator.num_processes
    found: list[dict[int, Generated]] = []
    if folder is not None and accelerator.is_main_process:
        found = [_begin(folder, identity)]
    # The main process alone reads what is there, before any of them writes.
    known = {row: one for kept in gathered(accelerator, found) for row, one in kept.items()}
    batches = in_steps(np.arange(len(rows)), batch_size)
    missing = [batch for batch in batches if not known.keys() >= set(rows[batch].tolist())]
    done = len(rows) - sum(map(len, missing))
    progress("captions", done, len(rows))
    made: dict[int, Generated] = {}
    with ExitStack() as stack:
        file = None if folder is None else stack.enter_context(_new_file(folder))
        for batch in missing[rank::world]:
            which = rows[batch]
            new = dict(zip(which.tolist(), generate(which, int(batch[0])), strict=True))
            if file is not None:
                file.writelines(
                    json.dumps([row, one.text, one.confidence]) + "\n" for row, one in new.items()
                )
                file.flush()
            made |= new
            done += len(batch) * world
            progress("captions", min(done, len(rows)), len(rows))
    known |= dict(gathered(accelerator, list(made.items())))
    return [known[row] for row in rows.tolist()]


def _new_file(folder: Path) -> IO[str]:
    return (folder / f"captions-{uuid.uuid4().hex[:8]}.jsonl").open("w", encoding="utf-8")


def _begin(folder: Path, identity: Mapping[str, Any]) -> dict[int, Generated]:
    """The captions that are in the folder; of another identity they are removed."""
    known = _identity(folder)
    training = {_TRAINING: known.pop(_TRAINING)} if _TRAINING in known else {}
    if known != identity:
        shutil.rmtree(folder, ignore_errors=True)
        of_it = known.get(_MODEL) == identity.get(_MODEL)
        _write_identity(folder, {**identity, **(training if of_it else {})})
    found: dict[int, Generated] = {}
    for file in folder.glob("captions-*.jsonl"):
        for line in file.read_text("utf-8").splitlines():
            try:
                row, text, confidence = json.loads(line)
            # A line that was being written when the run was killed.
            except ValueError:
                continue
            found[int(row)] = Generated(str(text), confidence)
    return found


def _identity(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / _IDENTITY).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def _write_identity(folder: Path, identity: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with written_whole(folder / _IDENTITY) as file:
        file.write(json.dumps(identity, indent=2).encode())
