"""What is told of a training while it runs: its loss beside the bar, its epochs in a tracker."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tetkik.errors import MissingExtra, UsageError
from tetkik.lab.engine.session import training_session
from tetkik.lab.engine.tracking import Tracker, check_tracker, tracked
from tetkik.lab.triage.transformer import train
from tetkik.lab.triage.transformer.data import prepare_data
from tetkik.values import StepName


def trained(complaints, options, out):
    """The epochs of a training, and what progress was told."""
    told = []
    data = prepare_data(complaints, options.seed)
    with training_session(out, options, lambda _: {}, lambda *step: told.append(step)) as session:
        done = train.fine_tune(session.accelerator, data, session.options, session.work, session.progress)
    return done.state.epochs, told


def events(folder: Path) -> list[tuple[str, int, float]]:
    """(tag, step, value) of each number in the files of TensorBoard."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.glob("events.*")):
        content = path.read_bytes()
        while content:
            size = int.from_bytes(content[:8], "little")
            event = Event.FromString(content[12 : 12 + size])
            found += [(one.tag, event.step, one.simple_value) for one in event.summary.value]
            content = content[16 + size :]
    return found


def test_the_loss_stands_beside_the_bar(complaints, calm, tmp_path):
    epochs, told = trained(complaints, replace(calm, epochs=1), tmp_path / "model")
    notes = [(step.note, done, total) for step, done, total in told if isinstance(step, StepName)]
    assert notes[0][0] is None and [done for _, done, _ in notes] == list(range(1, notes[0][2] + 1))
    losses = [note.values["loss"] for note, _, _ in notes if note is not None]
    assert len(losses) == len(notes) - 1 and len(set(losses)) > 1
    # The one before the last step: nearly the mean of the epoch.
    assert losses[-1] == pytest.approx(epochs[0].training_loss, rel=0.1)


def test_each_epoch_is_logged_and_no_word_of_the_data(complaints, calm, tmp_path):
    before = dict(os.environ)
    options = replace(calm, epochs=2, tracker=Tracker.TENSORBOARD, data_name="Ayşe Yılmaz", id="yilmaz-ayse")
    epochs, _ = trained(complaints, options, tmp_path / "model")
    folder = tmp_path / "model-log" / "tensorboard"
    logged = events(folder / "tetkik")
    for name in ("training_loss", "macro_f1"):
        rows = [(step, value) for tag, step, value in logged if tag.endswith(f"/{name}")]
        assert [step for step, _ in rows] == [row.epoch for row in epochs]
        assert [value for _, value in rows] == pytest.approx([getattr(row, name) for row in epochs])
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert any(b"learning_rate: " in content for content in files)
    words = ["Ayşe", "yilmaz", str(calm.base), complaints.texts[0], str(tmp_path)]
    assert not [word for word in words for content in files if word.encode() in content]
    ours = ("MLFLOW", "WANDB", "DO_NOT")  # a package may set a variable of its own when it is imported
    assert {
        name: one for name, one in os.environ.items() if name in before or name.startswith(ours)
    } == before


def test_a_tracker_that_cannot_work_is_refused_before_the_training(monkeypatch):
    monkeypatch.setattr("tetkik.lab.engine.tracking.find_spec", lambda name: None)
    check_tracker(Tracker.NONE)
    with pytest.raises(MissingExtra, match="wandb needs the package wandb"):
        check_tracker(Tracker.WANDB)
    monkeypatch.setattr("tetkik.lab.engine.tracking.find_spec", lambda name: name)
    check_tracker(Tracker.MLFLOW)


@pytest.mark.attack
@pytest.mark.parametrize(
    ("uri", "refused"),
    [
        ("", False),
        ("./mlruns", False),
        ("sqlite:///m.db", False),
        ("http://mlflow.example", True),
        ("databricks", True),
        ("databricks-uc://prod", True),
        ("postgresql://db/mlflow", True),
    ],
)
def test_a_server_of_mlflow_is_refused_while_offline(monkeypatch, tmp_path, uri, refused):
    monkeypatch.setattr("tetkik.lab.engine.tracking.find_spec", lambda name: name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("TETKIK_OFFLINE", "true")
    with pytest.raises(UsageError, match="names a server") if refused else nullcontext():
        check_tracker(Tracker.MLFLOW)
    if not refused:
        heard = started(Tracker.MLFLOW, tmp_path)
        assert heard["MLFLOW_TRACKING_URI"] == (uri or f"sqlite:///{tmp_path / 'log' / 'mlflow.db'}")
        assert (heard["MLFLOW_DISABLE_TELEMETRY"], heard["DO_NOT_TRACK"]) == ("true", "true")


@pytest.mark.attack
def test_wandb_gets_no_metadata_and_an_old_one_that_would_note_it_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("tetkik.lab.engine.tracking.find_spec", lambda name: name)
    monkeypatch.setenv("TETKIK_OFFLINE", "true")
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(Settings=lambda console: None))
    with pytest.raises(UsageError, match="cannot keep the command line out of its log \\(TypeError\\)"):
        check_tracker(Tracker.WANDB)
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(Settings=dict))
    heard = started(Tracker.WANDB, tmp_path)
    options = heard["options"]["wandb"]
    assert options["settings"]["x_disable_meta"] and options["settings"]["console"] == "off"
    assert (heard["WANDB_MODE"], heard["WANDB_ERROR_REPORTING"]) == ("offline", "false")


def started(tracker, folder):
    """The environment that a tracker is started in, and its `options`."""
    heard: dict[str, Any] = {}
    accelerator = SimpleNamespace(
        trackers=(), init_trackers=lambda *words: heard.update(os.environ, options=words[2])
    )
    with tracked(accelerator, tracker, folder / "log", {"epochs": 1, "base": "Ayşe"}):
        pass
    return heard
