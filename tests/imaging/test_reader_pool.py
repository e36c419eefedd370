"""Decoders in processes of their own: they give what the library gives, and a bad file costs itself alone."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.imaging.files import as_bytes, dataset, picture
from tests.patience import PATIENCE
from tests.records.pictured import film, radiograph
from tetkik.errors import InputError
from tetkik.imaging.read import read_bytes
from tetkik.imaging.subprocess_worker import ReaderPool, SubprocessWorker, WorkerClosed
from tetkik.values import Radiograph


def end(status: int) -> int:
    os._exit(status)


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@pytest.fixture(scope="module")
def readers():
    found = ReaderPool(2)
    yield found
    found.close()


def test_an_image_comes_back_as_the_library_reads_it(readers):
    known, read = radiograph(3), readers.read(film(3), "film.dcm")
    assert (read.pixels == known.pixels).all() and read.pixels.dtype == np.uint16
    assert not read.pixels.flags.writeable
    assert (read.identity, read.tags, read.sha256, read.spacing, read.notes) == (
        known.identity,
        known.tags,
        known.sha256,
        known.spacing,
        known.notes,
    )


@pytest.mark.parametrize("content", [b"", b"x", film()[:5000], bytes(128) + b"DICM" + b"\xff" * 300])
def test_a_bad_file_is_one_error_that_names_it(readers, content):
    with pytest.raises(InputError, match=r"^film\.dcm"):
        readers.read(content, "film.dcm")
    assert readers.read(film(3), "film.dcm").rows == 256


def test_many_threads_share_a_few_processes(readers):
    found = {}

    def read(seed):
        found[seed] = readers.read(film(seed), "film").sha256

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {seed: radiograph(seed).sha256 for seed in range(6)}


def test_a_file_over_which_a_process_dies_costs_itself_alone():
    worker = SubprocessWorker((end,))
    try:
        answer = worker.call(end, 3, "bad.dcm")
        assert isinstance(answer, InputError) and str(answer).startswith("bad.dcm made its decoder crash")
    finally:
        worker.close()


def test_what_is_closed_over_a_file_starts_no_other_process():
    """As when a service ends while somebody looks at an image: a decoder that nobody knows would stay."""
    worker = SubprocessWorker((sleep,))
    process = worker.start()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(worker.call, sleep, PATIENCE, "film.dcm")
        time.sleep(0.2)
        worker.close()
        with pytest.raises(WorkerClosed):
            asked.result()
    assert process.poll() is not None
    with pytest.raises(WorkerClosed):
        worker.start()


def test_a_file_of_several_frames_is_sent_once(readers):
    contents = {
        name: as_bytes(dataset(np.stack([picture(seed=seed) for seed in seeds]), 12))
        for name, seeds in {"a": (1, 2, 3), "b": (4, 5)}.items()
    }
    sent: list[str] = []

    def frame(name: str, number: int) -> np.ndarray:
        def load() -> bytes:
            sent.append(name)
            return contents[name]

        read: Radiograph = readers.read_frame(load, name, number)
        return read.pixels

    for name, number in (("a", 1), ("a", 3), ("b", 2), ("a", 2)):
        assert np.array_equal(frame(name, number), read_bytes(contents[name], "x", frame=number).pixels)
    assert sent == ["a", "b", "a"]
    with pytest.raises(InputError, match="a has no frame 4"):
        frame("a", 4)
    contents["c"] = contents["a"][:-500]
    for _ in range(2):
        with pytest.raises(InputError, match="c ends before its image does"):
            frame("c", 1)
    assert frame("a", 1).shape == picture().shape
