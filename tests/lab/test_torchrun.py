"""Two processes under torchrun find what one finds, and wait for the one that judges."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.lab import torchrun_kit as kit
from tests.lab.findings.train_kit import tiny_family
from tests.lab.triage.transformer.conftest import silent
from tests.ports import free_port
from tetkik.bundle import Task, open_bundle
from tetkik.findings.networks import FAMILIES
from tetkik.lab.engine.checkpoint import WorkFolder
from tetkik.lab.engine.precision import accelerator_for
from tetkik.lab.engine.processes import gathered, in_shares, main_first, wait_for_all
from tetkik.lab.engine.session import log_folder
from tetkik.lab.triage.transformer import train
from tetkik.lab.triage.transformer.data import prepare_data

ROOT = Path(__file__).parents[2]


def losses(file: Path) -> np.ndarray:
    with file.open(encoding="utf-8", newline="") as content:
        return np.array(
            [[float(row["training_loss"]), float(row["validation_loss"])] for row in csv.DictReader(content)]
        )


def triage_losses(folder: Path, work: Path) -> np.ndarray:
    """Of one process, without export."""
    options = kit.triage_options(folder)
    data = prepare_data(kit.triage_complaints(), options.seed)
    work.mkdir()
    with accelerator_for(options.precision, threads=1, find_unused=True) as (accelerator, _):
        epochs = train.fine_tune(accelerator, data, options, WorkFolder(work), silent).state.epochs
    return np.array([[row.training_loss, row.validation_loss] for row in epochs])


def test_two_processes_write_the_bundles_of_one_though_the_first_judges_longer_than_the_timeout(
    tmp_path, monkeypatch
):
    from safetensors.numpy import load_file

    kit.write_inputs(tmp_path)
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(free_port())]
    subprocess.run(
        [sys.executable, *launch, kit.__file__, str(tmp_path)],
        env={
            **os.environ,
            "ACCELERATE_USE_CPU": "true",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        },
        check=True,
        timeout=600,
    )
    made = {task: open_bundle(two / task.value, task) for task in (Task.TRIAGE, Task.FINDINGS, Task.CAPTION)}
    assert made[Task.CAPTION].manifest.training["processes"] == 2
    assert [path.name for path in two.iterdir() if path.name.startswith(".")] == []

    found = losses(made[Task.TRIAGE].path / "epochs.csv")
    np.testing.assert_allclose(found, triage_losses(tmp_path, one / "work"), rtol=1e-3)

    monkeypatch.setitem(FAMILIES, "tiny", tiny_family(calm=True))
    kit.train_findings(tmp_path, one / "findings")
    kit.train_caption(tmp_path, one / "caption")
    for name, weights in (("findings", "model"), ("caption", "adapter_model")):
        single, shared = (losses(log_folder(out / name) / "epochs.csv") for out in (one, two))
        np.testing.assert_allclose(shared, single, rtol=1e-3)
        alone, both = (load_file(out / name / f"{weights}.safetensors") for out in (one, two))
        for key in alone.keys() - {"features.1.running_mean"}:
            np.testing.assert_allclose(both[key], alone[key], rtol=1e-3, atol=1e-5)
    # The captions of the test split are shared as well, and the nearest training images.
    near = next((tmp_path / "prepared" / ".nearest").iterdir())
    found = np.load(near)
    near.unlink()
    kit.judge_caption(tmp_path, two / "caption", one / "judged")
    for name in ("captions.csv", "metrics.json"):
        assert (two / "judged" / name).read_bytes() == (one / "judged" / name).read_bytes()
    assert np.load(near).tolist() == found.tolist()
    # Every epoch is judged with the statistics of the network that is kept.
    counted = [(tmp_path / f"counted-{rank}").read_text().split() for rank in (0, 1)]
    assert counted[0] == counted[1] and len(counted[0]) == 2


def test_one_process_waits_for_nobody_and_takes_all_rows():
    alone = SimpleNamespace(process_index=0, num_processes=1, is_main_process=True)
    wait_for_all(alone)
    with main_first(alone):
        assert gathered(alone, ["a", "b"]) == ["a", "b"]
    rows = np.array([4, 2, 7])
    assert in_shares(alone, rows, lambda mine: mine[:, None].astype(np.float32)).tolist() == [[4], [2], [7]]


def test_a_process_that_is_left_alone_says_so_in_one_sentence(monkeypatch):
    from tetkik.errors import TrainingError
    from tetkik.lab.engine import processes

    def closed():
        raise RuntimeError("Connection closed by peer [127.0.0.1]:10000")

    monkeypatch.setattr(processes, "_patient_group", closed)
    left = SimpleNamespace(process_index=1, num_processes=2, is_main_process=False)
    with pytest.raises(TrainingError, match="Another process of this training has ended"):
        wait_for_all(left)
    with pytest.raises(TrainingError, match="Another process"):
        gathered(left, [])
