"""The work folder of a training: whole checkpoints or none, without pickles but our own.

.NAME.training/
  training.json         what is being trained, so that another training is not taken up by mistake
  encoder.json          the weights and the preprocessing of a pretrained encoder
  checkpoint-00000120/  of the network being trained now: weights, optimiser, progress
  best-000002.safetensors
  RUN.safetensors       a finished network (fold-0-member-1, final-member-0, …), with RUN.json, its details
  trials.json           settings already tried (`--tune`)
  diverged              empty: a loss or a gradient was no number, and a resume may change `REMEDIES`
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from tetkik.errors import OutputError, TetkikError, TrainingError
from tetkik.files import written_whole

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_IDENTITY = "training.json"
_DIVERGED = "diverged"
REMEDIES = frozenset({"learning_rate", "precision"})
"""Settings that a resume may change where the training stopped for a number that is none."""
TRIALS = "trials.json"


class Diverged(TrainingError):
    """A loss or a gradient is no number any more."""


@contextmanager
def room_on_disk(folder: Path) -> Iterator[None]:
    """Turn a full disk into one sentence, an `OutputError`."""
    try:
        yield
    except Exception as error:
        # Libraries in Rust and C++ have exceptions of their own for a full disk; only the words are the same.
        known = error.errno in _NO_ROOM if isinstance(error, OSError) else "No space left" in str(error)
        if isinstance(error, TetkikError) or not known:
            raise
        raise OutputError(
            "There is no room left on the disk of {folder}; free some space, then run the same command again "
            "with --resume.",
            folder=folder,
        ) from None


def tensors_as_bytes(tensors: Mapping[str, Any]) -> bytes:
    """Tensors as safetensors; tensors that share memory are written each for itself."""
    from safetensors.torch import save

    return save(
        {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()},
        {"format": "pt"},
    )


class WorkFolder:
    """Where one training keeps what it needs to go on."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def beside(cls, out: Path) -> WorkFolder:
        """The work folder of the training that will write `out`."""
        return cls(out.parent / f".{out.name}.training")

    def begin(self, identity: Mapping[str, Any], resume: bool) -> None:
        """Take the folder for the training `identity`; with nothing to resume, training starts.

        A `TrainingError` says that it holds an unfinished one, of this identity with `resume` off, or of
        another. One that `diverged` may go on with other `REMEDIES`.
        """
        text = json.dumps(identity, sort_keys=True, default=str)
        wanted = {"sha256": hashlib.sha256(text.encode()).hexdigest(), "identity": json.loads(text)}
        if not self.has_progress():
            self.remove()
            self.path.mkdir(parents=True)
            self.write(_IDENTITY, json.dumps(wanted, indent=2).encode())
            return
        if not resume:
            raise TrainingError(
                "{folder} holds an unfinished training; add --resume to go on with it, or delete that "
                "folder to start afresh.",
                folder=self.path,
            )
        begun = json.loads((self.path / _IDENTITY).read_text("utf-8"))
        if begun.get("sha256") == wanted["sha256"]:
            return
        diverged = (self.path / _DIVERGED).is_file()
        if not diverged or _without_remedies(begun["identity"]) != _without_remedies(wanted["identity"]):
            self._refuse()
        self.write(_IDENTITY, json.dumps(wanted, indent=2).encode())

    def hold_to(self, name: str, identity: Mapping[str, Any]) -> None:
        """As `begin`, for what is known only later."""
        file, text = self.path / f"{name}.json", json.dumps(identity, sort_keys=True)
        if not file.is_file():
            self.write(file.name, text.encode())
        elif file.read_text("utf-8") != text:
            self._refuse()

    def _refuse(self) -> NoReturn:
        raise TrainingError(
            "The unfinished training at {folder} was begun with other data or settings; give those again, or "
            "delete that folder to start afresh.",
            folder=self.path,
        )

    def note_divergence(self) -> None:
        """Let the next resume change `REMEDIES`."""
        self.write(_DIVERGED, b"")

    def has_progress(self) -> bool:
        """Whether there is anything worth keeping."""
        finished = self.path.glob("*.safetensors")
        return self.latest() is not None or (self.path / TRIALS).is_file() or any(finished)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def write(self, name: str, content: bytes) -> Path:
        """Write one file, whole or not at all."""
        with room_on_disk(self.path), written_whole(self.path / name) as file:
            file.write(content)
        return self.path / name

    def save(self, weights: bytes, state: Mapping[str, Any], progress: Mapping[str, Any]) -> None:
        """Write a checkpoint, then delete the one before and best weights that it no longer names.

        A full disk (`OutputError`) leaves the checkpoint before untouched.

        Args:
            state: of the optimiser: tensors, numbers, lists and dictionaries only.
            progress: JSON values; `step` counts steps, `best` names the file of the best weights, or is None.
        """
        import torch

        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        target = self.path / f"checkpoint-{progress['step']:08d}"
        partial = self.path / f".{target.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        try:
            with room_on_disk(self.path):
                partial.mkdir()
                (partial / "model.safetensors").write_bytes(weights)
                (partial / "state.pt").write_bytes(buffer.getbuffer())
                (partial / "progress.json").write_text(json.dumps(progress), encoding="utf-8")
                shutil.rmtree(target, ignore_errors=True)
                partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        self._tidy(keep={target.name, str(progress.get("best"))})

    def finish(self, run: str, weights: bytes, details: Mapping[str, Any]) -> None:
        """Write a finished network and drop its checkpoints."""
        self.write(f"{run}.json", json.dumps(details).encode())
        self.write(f"{run}.safetensors", weights)
        self._tidy(keep=set())

    def finished(self, run: str) -> tuple[Path, dict[str, Any]] | None:
        """The weights of a finished network and its details."""
        weights = self.path / f"{run}.safetensors"
        if not weights.is_file():
            return None
        return weights, json.loads((self.path / f"{run}.json").read_text("utf-8"))

    def latest(self) -> Path | None:
        """The newest whole checkpoint of the network being trained."""
        return max(self.path.glob("checkpoint-*"), default=None)

    def _tidy(self, keep: set[str]) -> None:
        for old in (*self.path.glob("checkpoint-*"), *self.path.glob("best-*.safetensors")):
            if old.name not in keep:
                shutil.rmtree(old, ignore_errors=True) if old.is_dir() else old.unlink(missing_ok=True)


def _without_remedies(identity: Any) -> Any:
    """The identity without what a resume may change; settings that `--tune` chose by stay as they were."""
    if not isinstance(identity, dict):
        return identity
    left_out = REMEDIES if not identity.get("tune") else frozenset()
    return {name: _without_remedies(value) for name, value in identity.items() if name not in left_out}


def load_state(checkpoint: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Weights, state of the optimiser and progress of a checkpoint; a `TrainingError` where it is damaged.

    The state is read with `weights_only=True`: tensors and plain values, never code.
    """
    import torch
    from safetensors.torch import load_file

    try:
        weights = load_file(checkpoint / "model.safetensors")
        state = torch.load(checkpoint / "state.pt", map_location="cpu", weights_only=True)
        progress = json.loads((checkpoint / "progress.json").read_text("utf-8"))
    # Three libraries, each with exceptions of its own.
    except Exception as error:
        raise TrainingError(
            "The checkpoint {path} is damaged ({fault}); delete its folder and train afresh.",
            path=checkpoint,
            fault=type(error).__name__,
        ) from None
    return weights, state, progress
