"""Many files at once: order, bad ones in the middle, decoders that crash or hang, endings, bounded memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from itertools import count, islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.findings.bundles import PREPROCESSING, make_findings_bundle
from tests.patience import PATIENCE
from tetkik.errors import InputError, TetkikError, UsageError
from tetkik.findings.predict import BATCH, PreprocessWorker, load_findings, preprocess_many
from tetkik.findings.preprocess import PreparedImage, PreprocessRequest, preprocess_file
from tetkik.imaging import subprocess_worker

REQUEST = PreprocessRequest(PREPROCESSING, gate=False)
# What a child of a test finds before all else: a reader that some file names make fail as no file should.
TRAPS = """
import os, sys
# Before the process enters its sandbox, in which no file can be opened.
seen = os.path.join(os.path.dirname(__file__), "seen")
again = os.path.exists(seen)
open(seen, "w").close()
class Trap:
    def find_spec(self, name, path=None, target=None):
        if name != "tetkik.findings.preprocess":
            return None
        sys.meta_path.remove(self)
        import time
        import tetkik.imaging.read as read
        whole = read.read_bytes
        def read_bytes(content, path, **options):
            name = os.path.basename(str(path))
            print("noise of a decoder", flush=True)
            if name.startswith("crash"):
                os.abort()
            if name.startswith("hang"):
                time.sleep(600)
            if name.startswith("once") and not again:
                os.abort()
            return whole(content, path, **options)
        read.read_bytes = read_bytes
        return None
sys.meta_path.insert(0, Trap())
"""


@pytest.fixture
def images(tmp_path):
    """Twelve small images, each of another brightness, and their paths."""
    paths = []
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 200, (40, 50)).astype(np.uint8)
        paths.append(tmp_path / f"{number:02}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


@pytest.fixture
def traps(tmp_path, monkeypatch):
    """Children of this test fall into `TRAPS`."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(TRAPS)
    monkeypatch.syspath_prepend(folder)


@pytest.fixture
def findings(tmp_path):
    return load_findings(make_findings_bundle(tmp_path / "blobs"), gate=False)


def answers(findings, paths, workers):
    return [
        type(item).__name__ if isinstance(item, TetkikError) else item.as_json()
        for item in findings.predict_many(paths, workers)
    ]


def test_processes_give_the_same_answers_in_the_same_order(findings, images, tmp_path):
    images[4].write_bytes(b"no image")
    images.insert(7, tmp_path / "not there.png")
    alone = answers(findings, images, 0)
    assert answers(findings, images, 2) == alone
    assert [number for number, item in enumerate(alone) if item == "InputError"] == [4, 7]
    assert [item["path"] for item in alone if item != "InputError"] == [
        str(path) for number, path in enumerate(images) if number not in (4, 7)
    ]


def test_no_file_and_one_file(findings, images):
    assert answers(findings, [], None) == []
    assert len(answers(findings, images[:1], None)) == 1


def test_a_decoder_that_crashes_costs_its_file_alone(traps, images, tmp_path):
    crash = shutil.copy(images[0], tmp_path / "crash.png")
    order = [images[0], crash, images[1], crash, images[2]]
    seen = [item for batch in preprocess_many(order, REQUEST, 2) for _, item in batch]
    assert [isinstance(item, TetkikError) for item in seen] == [False, True, False, True, False]
    assert "crash.png made its decoder crash" in str(seen[1])


def test_a_process_that_was_ended_by_others_is_tried_again(traps, images, tmp_path):
    once = shutil.copy(images[0], tmp_path / "once.png")
    ((_, seen),) = next(preprocess_many([once], REQUEST, 1))
    assert isinstance(seen, PreparedImage) and seen.sha256 == preprocess_file(images[0], REQUEST).sha256


def test_a_decoder_that_hangs_is_given_up(traps, images, tmp_path):
    hang = shutil.copy(images[0], tmp_path / "hang.png")
    reader = PreprocessWorker(REQUEST, seconds=4.0)
    try:
        error = reader.preprocess_file(hang)
        assert isinstance(error, InputError)
        assert "hang.png was given up after 4 seconds" in str(error)
        reader._seconds = PATIENCE  # the next one is sound, however slow this machine is
        assert not isinstance(reader.preprocess_file(images[0]), TetkikError)
    finally:
        reader.close()


def test_an_error_comes_back_whole(tmp_path):
    reader = PreprocessWorker(REQUEST)
    try:
        there = reader.preprocess_file(tmp_path / "none.png")
        with pytest.raises(InputError) as here:
            preprocess_file(tmp_path / "none.png", REQUEST)
        assert isinstance(there, TetkikError)
        assert (type(there), str(there)) == (here.type, str(here.value))
        assert there.values == here.value.values
    finally:
        reader.close()


def test_whatever_goes_wrong_in_reading_is_the_files_fault(monkeypatch, images):
    def read_bytes(content, name):
        raise ZeroDivisionError

    monkeypatch.setattr("tetkik.findings.preprocess.read_bytes", read_bytes)
    with pytest.raises(InputError, match=r"00\.png could not be read \(ZeroDivisionError\)"):
        preprocess_file(images[0], REQUEST)


def test_a_process_that_cannot_start_is_one_sentence(monkeypatch, images):
    monkeypatch.setattr(subprocess_worker, "_START", "raise SystemExit(1)")
    with pytest.raises(UsageError, match="could not be started"):
        list(preprocess_many(images, REQUEST, 2))


def test_only_so_many_files_are_taken_ahead(images):
    taken = 0

    def endless():
        nonlocal taken
        for number in count():
            taken += 1
            yield images[number % len(images)]

    stream = preprocess_many(endless(), REQUEST, 1)
    got = sum(len(batch) for batch in islice(stream, 5))
    time.sleep(0.3)
    assert taken <= got + BATCH + 4
    stream.close()


def test_leaving_early_ends_the_processes(images, monkeypatch):
    started = []
    whole = subprocess.Popen

    def recorded(*arguments, **options):
        started.append(whole(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", recorded)
    stream = preprocess_many(images * 20, REQUEST, 2)
    next(stream)
    stream.close()
    assert started
    assert all(process.poll() is not None for process in started)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("preprocess", "feed"))]


def test_answers_come_while_more_is_awaited(images):
    more = threading.Event()

    def paths():
        yield images[0]
        more.wait(PATIENCE)
        yield images[1]

    stream = preprocess_many(paths(), REQUEST, 1)
    assert [path for path, _ in next(stream)] == [str(images[0])]
    more.set()
    assert [path for path, _ in next(stream)] == [str(images[1])]
    assert list(stream) == []


def test_a_fault_in_taking_the_files_is_raised(images):
    def paths():
        yield images[0]
        raise PermissionError(13, "Permission denied", "list.txt")

    stream = preprocess_many(paths(), REQUEST, 1)
    assert len(next(stream)) == 1
    with pytest.raises(PermissionError):
        next(stream)


def test_modules_in_the_working_folder_are_not_run(tmp_path, images, monkeypatch):
    for name in ("numpy", "tetkik", "json", "pydicom"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken in')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    assert [len(batch) for batch in preprocess_many(images[:1], REQUEST, 1)] == [1]


def test_a_child_ends_with_its_parent(images):
    code = (
        "import sys, os\n"
        "from tetkik.findings.predict import PreprocessWorker as Worker\n"
        "from tetkik.findings.preprocess import PreprocessRequest as Request\n"
        "from tetkik.imaging.prepare import Preprocessing\n"
        f"w = Worker(Request(Preprocessing(64), gate=False)); w.preprocess_file({str(images[0])!r})\n"
        "print(w._process.pid, flush=True); os._exit(1)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    child = int(result.stdout)
    until = time.monotonic() + PATIENCE
    while _alive(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _alive(child), "the child outlived its parent"


def _alive(process):
    """Whether a process runs; one that has ended may still wait for somebody to ask how."""
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat").read_text("utf-8") if sys.platform == "linux" else ""
    except (ProcessLookupError, FileNotFoundError):
        return False
    return ") Z " not in state
