"""Captions of an evaluation: shared by processes, kept as they come, and not decoded twice."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.lab.caption.train_kit import silent
from tetkik.caption.network import Generated
from tetkik.errors import UsageError
from tetkik.lab.caption import baselines, decoded
from tetkik.lab.caption.baselines import nearest_rows, pixel_embeddings
from tetkik.lab.caption.decoded import announce, decode_rows, is_unfinished, work_folder
from tetkik.lab.engine.processes import ALONE

ROWS = np.array([3, 4, 7, 8, 9, 12, 20])
IDENTITY = {"model": "a"}


class Decoder:
    """What it made of which batch; it fails at the batch that begins at `until`."""

    def __init__(self, until=None):
        self.batches, self.until = [], until

    def __call__(self, rows, place):
        if place == self.until:
            raise KeyboardInterrupt
        self.batches.append((place, rows.tolist()))
        return [Generated(f"caption {row} of {place}", None if row == 9 else row / 100) for row in rows]


def decode(decoder, folder=None, identity=IDENTITY, accelerator=ALONE):
    return decode_rows(accelerator, ROWS, 2, decoder, silent, folder=folder, identity=identity)


class Ranks:
    """Processes as threads, which hand over what they gather."""

    def __init__(self, world):
        self.world, self.barrier = world, threading.Barrier(world)
        self.items: list[Any] = [None] * world

    def gathered(self, accelerator, items):
        self.items[accelerator.process_index] = list(items)
        self.barrier.wait(10)
        every = [item for part in self.items for item in part]
        self.barrier.wait(10)
        return every

    def run(self, work):
        ranks = [
            SimpleNamespace(process_index=rank, num_processes=self.world, is_main_process=not rank)
            for rank in range(self.world)
        ]
        with ThreadPoolExecutor(self.world) as pool:
            return list(pool.map(work, ranks))


def test_a_killed_run_decodes_only_what_is_missing(tmp_path):
    whole = decode(Decoder())
    folder = work_folder(tmp_path / "figures")
    with pytest.raises(KeyboardInterrupt):
        decode(Decoder(until=4), folder)
    (file,) = folder.glob("captions-*.jsonl")
    # The last caption was being written.
    file.write_text(file.read_text("utf-8")[:-4], encoding="utf-8")
    again = Decoder()
    assert decode(again, folder) == whole
    assert again.batches == [(2, [7, 8]), (4, [9, 12]), (6, [20])]
    third = Decoder()
    assert decode(third, folder) == whole and third.batches == []
    other = Decoder()
    decode(other, folder, {"model": "b"})
    assert len(other.batches) == 4 and len(list(folder.glob("captions-*"))) == 1


def test_processes_share_the_batches_of_one_and_find_the_same(tmp_path, monkeypatch):
    one, ranks = Decoder(), Ranks(2)
    whole = decode(one)
    with pytest.raises(KeyboardInterrupt):
        decode(Decoder(until=2), tmp_path)
    monkeypatch.setattr(decoded, "gathered", ranks.gathered)
    shared = [Decoder() for _ in range(2)]
    found = ranks.run(lambda rank: decode(shared[rank.process_index], tmp_path, accelerator=rank))
    assert found == [whole] * 2
    assert [len(decoder.batches) for decoder in shared] == [2, 1]
    assert sorted(batch for decoder in shared for batch in decoder.batches) == one.batches[1:]


def test_an_evaluation_that_was_begun_is_known_by_its_model(tmp_path):
    from tetkik.bundle.store import sha256_of

    model = tmp_path / "model"
    model.mkdir()
    out = tmp_path / "model-test"
    training = {"data": "a", "epochs": 2}
    assert not is_unfinished(out, model, training)
    (model / "manifest.json").write_text("{}")
    announce(out, SimpleNamespace(path=model), training)  # type: ignore[arg-type]
    # What is decoded does not forget it.
    decode(Decoder(), work_folder(out), {"model": sha256_of(model / "manifest.json"), "decoding": 5})
    assert is_unfinished(out, model, training)
    with pytest.raises(UsageError, match="not known to be trained on this data with these settings"):
        is_unfinished(out, model, {**training, "epochs": 3})
    (model / "manifest.json").write_text("{ }")
    assert not is_unfinished(out, model, training)
    decode(Decoder(), work_folder(out), {"model": sha256_of(model / "manifest.json"), "decoding": 5})
    with pytest.raises(UsageError):
        is_unfinished(out, model, training)


class Pictures:
    """Squares of noise, and how many were read."""

    def __init__(self, count, seed):
        self.pixels = np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 3)).astype(np.uint8)
        self.read = 0

    def __len__(self):
        return len(self.pixels)

    def squares(self, rows):
        self.read += len(rows)
        return self.pixels[rows]


def test_nearest_images_are_found_once_by_all_processes(tmp_path, monkeypatch):
    training: Any = Pictures(11, 0)
    judged: Any = Pictures(5, 1)
    judged.pixels[2] = training.pixels[7]

    def find(rank=ALONE, file="a.npy"):
        return nearest_rows(rank, training, judged, pixel_embeddings, 2, tmp_path / "new" / file)

    found = find()
    assert found[2] == 7 and (training.read, judged.read) == (11, 5)
    assert find().tolist() == found.tolist() and training.read == 11
    # Damaged, of other rows, or beyond the training rows: found again.
    (tmp_path / "new" / "a.npy").write_bytes(b"\x93NUMPY")
    (tmp_path / "new" / "d.npy").write_bytes(b"")
    np.save(tmp_path / "new" / "b.npy", found[:4])
    np.save(tmp_path / "new" / "c.npy", found + 11)
    for file in ("a.npy", "b.npy", "c.npy", "d.npy"):
        assert find(file=file).tolist() == found.tolist()
    assert training.read == 5 * 11
    ranks = Ranks(2)
    monkeypatch.setattr(baselines, "gathered", ranks.gathered)
    assert [rows.tolist() for rows in ranks.run(lambda rank: find(rank, "d.npy"))] == [found.tolist()] * 2
    assert training.read == 5 * 11
    # Nobody may write here.
    monkeypatch.undo()
    (tmp_path / "file").write_text("")
    assert (
        nearest_rows(ALONE, training, judged, pixel_embeddings, 2, tmp_path / "file" / "a.npy").tolist()
        == found.tolist()
    )
