"""Shards and prepared folders: written, read back, and refused where they are not as they were written."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tetkik.caption.image_spec import ImageSpec
from tetkik.errors import DataError
from tetkik.lab.caption.prepared import Shards, ShardWriter, Split, open_prepared

SIZE = 6


def square(seed, colour):
    pixels = np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3) if colour else (SIZE, SIZE))
    return pixels.astype(np.uint8)


def full(pixels):
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


@settings(max_examples=25, deadline=None)
@given(kinds=st.lists(st.booleans(), min_size=1, max_size=20), limit=st.integers(1, 600), data=st.data())
def test_any_mixture_comes_back_in_any_order(tmp_path_factory, kinds, limit, data):
    folder = tmp_path_factory.mktemp("shards")
    squares = [square(place, colour) for place, colour in enumerate(kinds)]
    writer = ShardWriter(folder, limit)
    for pixels in squares:
        writer.add(pixels)
    writer.close()
    shards = Shards(folder, writer.files, SIZE, np.array(writer.colour))
    assert len(shards) == len(squares)
    rows = data.draw(st.lists(st.integers(0, len(squares) - 1), max_size=30))
    found = shards.squares(np.array(rows, np.int64))
    assert found.shape == (len(rows), SIZE, SIZE, 3)
    assert all(np.array_equal(found[place], full(squares[row])) for place, row in enumerate(rows))
    for row in (-1, len(squares)):
        with pytest.raises(IndexError):
            shards.squares(np.array([row]))


def test_grey_takes_a_third_of_the_room(tmp_path):
    sizes = []
    for colour in (False, True):
        folder = tmp_path / str(colour)
        folder.mkdir()
        writer = ShardWriter(folder, 1 << 30)
        for _ in range(8):
            writer.add(np.zeros((64, 64, 3) if colour else (64, 64), np.uint8))
        writer.close()
        sizes.append(writer.files[0].bytes)
    assert sizes[1] > 2.9 * sizes[0]


def cut(data):
    return data[:-1]


def longer(data):
    return data + b"\0"


def bad_header(data):
    return data[:8] + b"xx" + data[10:]


def other_shape(data):
    return data.replace(b"(36,)", b"(35,)")


def object_numbers(data):
    return data.replace(b"'|u1'", b"'|O' ")


@pytest.mark.parametrize("spoil", [cut, longer, bad_header, other_shape, object_numbers])
def test_a_shard_that_was_altered_is_one_sentence(tmp_path, spoil):
    writer = ShardWriter(tmp_path, 1 << 20)
    writer.add(square(1, False))
    writer.close()
    path = tmp_path / writer.files[0].name
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DataError, match="cut short or altered"):
        Shards(tmp_path, writer.files, SIZE, np.array(writer.colour))


def test_colours_of_other_rows_are_refused(tmp_path):
    writer = ShardWriter(tmp_path, 1 << 20)
    writer.add(square(1, False))
    writer.close()
    for colour in ([], [True], [False, False]):
        with pytest.raises(DataError):
            Shards(tmp_path, writer.files, SIZE, np.array(colour, bool))


def test_what_is_no_prepared_folder_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match="not a prepared folder"):
        open_prepared(tmp_path)
    for content in ("", "[]", "{}", '{"format_version": 1}', '{"format_version": "x"}', "[" * 100_000):
        (tmp_path / "prepared.json").write_text(content)
        with pytest.raises(DataError, match="cut short or altered"):
            open_prepared(tmp_path)
    (tmp_path / "prepared.json").write_text('{"format_version": 99}')
    with pytest.raises(DataError, match="newer Tetkik"):
        open_prepared(tmp_path)


def test_a_shard_outside_of_the_folder_is_refused(tmp_path):
    file = {"name": "../x", "rows": 1, "bytes": 1, "sha256": ""}
    story = {
        "format_version": 1, "source": {"name": "x"}, "image": ImageSpec().as_json(), "base": None,
        "tokenizer": None, "max_tokens": None, "splits": {"train": {"shards": [file], "files": []}},
    }  # fmt: skip
    (tmp_path / "prepared.json").write_text(json.dumps(story))
    with pytest.raises(DataError, match="cut short or altered"):
        open_prepared(tmp_path)
    story["splits"] = {}
    (tmp_path / "prepared.json").write_text(json.dumps(story))
    part = open_prepared(tmp_path).part(Split.TEST)
    assert (len(part), part.ids, part.captions, list(part.stream(4))) == (0, (), (), [])
    assert part.squares(np.zeros(0, np.int64)).shape == (0, 224, 224, 3)
    assert part.prints.dtype == part.caption_prints.dtype == np.uint64


def test_normalised_is_the_definition_to_the_last_bit():
    spec = ImageSpec(size=9)
    squares = np.random.default_rng(0).integers(0, 256, (5, 9, 9, 3), dtype=np.uint8)
    mean, std = np.array(spec.mean, np.float32), np.array(spec.std, np.float32)
    expected = ((squares.astype(np.float32) / np.float32(255) - mean) / std).transpose(0, 3, 1, 2)
    found = spec.normalised(squares)
    assert found.dtype == np.dtype(np.float32)
    assert found.flags.c_contiguous
    assert np.array_equal(found, expected)
