"""A source becomes a prepared folder: what is in it, what is left out, and that it is whole or not there."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.lab.caption.layouts import (
    caption_of,
    drawn,
    encoded,
    rocov2_images,
    write_csv,
    write_parquet,
    write_roco,
    write_rocov2,
    write_saved,
    write_table,
)
from tetkik.caption.image_spec import ImageSpec
from tetkik.errors import DataError, OutputError, UsageError
from tetkik.lab.caption import decoding
from tetkik.lab.caption.decoding import Failed, Outcome, decode, decode_content
from tetkik.lab.caption.duplicates import Likeness
from tetkik.lab.caption.prepare import PrepareOptions, prepare
from tetkik.lab.caption.prepared import CaptionRow, LeftOutReason, Split, open_prepared
from tetkik.lab.caption.sources import open_source, set_aside
from tetkik.lab.caption.sources.opening import HeldBytes
from tetkik.settings import settings

COUNTS = {"train": 5, "valid": 2, "test": 3}
IN_ONE = PrepareOptions(workers=1)


def quiet(step, done, total):
    pass


def run(source, out, options=IN_ONE):
    report = prepare(source, out, options, quiet)
    return report, open_prepared(out)


def listed(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "write",
    [write_rocov2, lambda path, counts: write_rocov2(path, counts, zipped=True), write_parquet, write_saved],
    ids=["folders", "zips", "parquet", "save_to_disk"],
)
def test_rocov2_in_every_layout_gives_the_same_pictures(tmp_path, write):
    report, prepared = run(open_source(write(tmp_path / "source", COUNTS)), tmp_path / "out")
    assert {part.split.value: part.kept for part in report.splits} == COUNTS
    assert [part.published for part in report.splits] == [59_958, 9_904, 9_927]
    assert [part.published_rgb for part in report.splits] == [37_330, 6_672, 6_780]
    assert prepared.source == "ROCOv2"
    assert prepared.image == ImageSpec()
    images = rocov2_images(COUNTS)
    for split in Split:
        part = prepared.part(split)
        assert part.ids == tuple(images[split])
        assert part.captions == tuple(map(caption_of, part.ids))
        assert all(concepts == ("C0040405", "C0817096") for concepts in part.concepts)
        expected = []
        for data in images[split].values():
            with Image.open(BytesIO(data)) as image:
                expected.append(ImageSpec().square(image))
        rows = np.arange(len(part))[::-1].copy()
        assert np.array_equal(part.squares(rows), np.stack(expected)[rows])
        streamed = [squares for _, squares in part.stream(2)]
        assert np.array_equal(np.concatenate(streamed), np.stack(expected))
    prepared.verify()


def test_files_stored_as_rgb_are_counted_apart_from_those_in_colour(tmp_path):
    source = open_source(write_rocov2(tmp_path / "source", {"train": 6, "valid": 0, "test": 0}))
    report, _ = run(source, tmp_path / "out")
    (part,) = report.splits
    assert (part.tally.listed, part.tally.rgb, part.tally.rgb_grey, part.tally.colour) == (6, 4, 2, 2)
    assert part.kept == 6
    only, without = run(source, tmp_path / "rgb", replace(IN_ONE, rgb_only=True))
    assert only.splits[0].kept == len(without.part(Split.TRAIN)) == 4
    assert only.left_out == {LeftOutReason.NOT_RGB: 2}
    assert only.splits[0].tally.rgb == 4
    assert {row["detail"] for row in listed(tmp_path / "rgb" / "left_out.csv")} == {"L"}


def test_a_base_gives_its_size_and_tokens(tmp_path):
    from tests.caption.tiny import tiny_tokenizer
    from tetkik.caption.families import tokenizer_of

    base = tmp_path / "base"
    tiny_tokenizer().save_pretrained(base)
    (base / "config.json").write_text('{"model_type": "blip-2"}')
    content = {"size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (base / "preprocessor_config.json").write_text(json.dumps(content | {"resample": 2}))
    source = open_source(write_roco(tmp_path / "source", COUNTS))
    report, prepared = run(source, tmp_path / "out", replace(IN_ONE, base=str(base), max_tokens=10))
    assert prepared.image == ImageSpec(32, (0.5,) * 3, (0.5,) * 3, 2)
    assert (prepared.base, prepared.max_tokens) == ("base", 10)
    tokenizer = tokenizer_of(str(base))
    assert prepared.fingerprint == tokenizer.fingerprint
    part = prepared.part(Split.TRAIN)
    assert part.squares(np.array([0])).shape == (1, 32, 32, 3)
    tokens = part.tokens(tokenizer.fingerprint)
    assert tokens is not None
    expected = [row[:10] for row in tokenizer.encode(part.captions)]
    assert all(np.array_equal(one, other) for one, other in zip(tokens, expected, strict=True))
    assert all(row.dtype == np.int32 for row in tokens)
    assert report.cut == 10
    assert min(report.tokens) > 10
    assert part.tokens("another") is None
    assert part.tokens(None) is None
    assert str(tmp_path) not in (tmp_path / "out" / "prepared.json").read_text()


def table(tmp_path, rows):
    return open_source(write_table(tmp_path / "table", rows))


def test_what_cannot_be_used_costs_itself_alone(tmp_path, monkeypatch):
    path = write_table(
        tmp_path / "table",
        [
            ("good.png", "A good one.", "", "train"),
            ("cut.png", "Cut short.", "", "train"),
            ("text.png", "No image.", "", "train"),
            ("huge.png", "Too many pixels.", "", "train"),
            ("empty.png", "Of no bytes.", "", "train"),
            ("gone.png", "Not there.", "", "train"),
            ("folder.png", "A folder.", "", "train"),
            ("../out.png", "Outside.", "", "train"),
            ("blank.png", " Fig. 1. ", "", "train"),
            ("good.png", "The same once more.", "", "train"),
            ("late.png", "Another good one.", "", "other"),
        ],
    )
    folder = path.parent
    (folder / "cut.png").write_bytes(encoded(drawn(1))[:-60])
    (folder / "text.png").write_bytes(b"<html>not found</html>")
    (folder / "huge.png").write_bytes(encoded(Image.new("L", (1500, 1500))))
    (folder / "empty.png").write_bytes(b"")
    (folder / "gone.png").unlink()
    (folder / "folder.png").unlink()
    (folder / "folder.png").mkdir()
    monkeypatch.setenv("TETKIK_MAX_IMAGE_PIXELS", "2000000")
    settings.cache_clear()
    report, prepared = run(open_source(path), tmp_path / "out")
    assert prepared.part(Split.TRAIN).ids == ("good",)
    rows = {(row["id"], row["reason"]) for row in listed(tmp_path / "out" / "left_out.csv")}
    assert rows == {
        ("cut", "unreadable"), ("text", "unreadable"), ("huge", "unreadable"), ("empty", "unreadable"),
        ("folder", "unreadable"), ("gone", "no_file"), ("out", "unsafe_name"), ("blank", "no_caption"),
        ("good", "repeated"), ("late", "no_split"),
    }  # fmt: skip
    assert report.left_out[LeftOutReason.UNREADABLE] == 5
    assert str(tmp_path) not in (tmp_path / "out" / "prepared.json").read_text()


def test_not_one_usable_row_leaves_nothing_behind(tmp_path):
    source = table(tmp_path, [("a.png", "", "", "train"), ("b.png", "n/a", "", "train")])
    with pytest.raises(DataError, match=r"Not one row .* \(it has no caption\)"):
        run(source, tmp_path / "new" / "out")
    assert list((tmp_path / "new").iterdir()) == []


def copies(tmp_path):
    """The test picture is also in train (as it is, and compressed again), and the valid one too."""
    rows = [
        ("t.png", "Of the test split.", "case t", "test"),
        ("v.png", "Of validation.", "case v", "valid"),
        ("1.png", "A copy of the test picture in one channel.", "case t", "train"),
        ("2.png", "Compressed and scaled again.", "case 2", "train"),
        ("3.png", "A copy of the validation picture.", "case 3", "train"),
        ("4.png", "Of training.", "case 4", "train"),
        ("5.png", "The same again in the same split.", "case 4", "train"),
    ]
    path = write_table(tmp_path / "table", rows)
    folder = path.parent
    photo, other, own = drawn(1, size=(320, 260)), drawn(2, size=(320, 260)), drawn(3, size=(320, 260))
    (folder / "t.png").write_bytes(encoded(photo))
    (folder / "1.png").write_bytes(encoded(photo.convert("L"), "TIFF"))
    (folder / "2.png").write_bytes(encoded(photo.resize((300, 244)), "JPEG", quality=80))
    for name in ("v.png", "3.png"):
        (folder / name).write_bytes(encoded(other))
    for name in ("4.png", "5.png"):
        (folder / name).write_bytes(encoded(own))
    return open_source(path)


def test_a_picture_in_two_splits_stays_in_the_later(tmp_path):
    report, prepared = run(copies(tmp_path), tmp_path / "out")
    assert prepared.part(Split.TEST).ids == ("t",)
    assert prepared.part(Split.VALID).ids == ("v",)
    assert prepared.part(Split.TRAIN).ids == ("4", "5")
    assert report.left_out == {LeftOutReason.COPY: 3}
    assert report.duplicates == {Likeness.SAME: 2, Likeness.NEAR: 1, Likeness.ALIKE: 0, Likeness.CAPTION: 0}
    assert report.crossing_groups == 0
    prints = {split: set(prepared.part(split).prints.tolist()) for split in Split}
    assert not prints[Split.TRAIN] & (prints[Split.TEST] | prints[Split.VALID])
    found = [tuple(row.values()) for row in listed(tmp_path / "out" / "duplicates.csv")]
    assert ("near", "t", "test", "2", "train", "yes") in found
    assert ("same", "v", "valid", "3", "train", "yes") in found


def test_what_is_only_alike_is_listed_and_kept(tmp_path):
    path = write_table(tmp_path / "table", [("a.png", "One.", "1", "train"), ("b.png", "Two.", "2", "test")])
    picture = np.asarray(drawn(9, size=(240, 240))).astype(np.float32)
    mixed = picture * 0.88 + np.asarray(drawn(10, size=(240, 240))) * 0.12
    (path.parent / "a.png").write_bytes(encoded(Image.fromarray(picture.astype(np.uint8))))
    (path.parent / "b.png").write_bytes(encoded(Image.fromarray(mixed.astype(np.uint8))))
    report, prepared = run(open_source(path), tmp_path / "out")
    assert report.duplicates == {Likeness.SAME: 0, Likeness.NEAR: 0, Likeness.ALIKE: 1, Likeness.CAPTION: 0}
    assert prepared.part(Split.TRAIN).ids == ("a",)
    (row,) = listed(tmp_path / "out" / "duplicates.csv")
    assert (row["alike"], row["kept"], row["other"], row["other_left_out"]) == ("alike", "b", "a", "no")


def test_copies_are_kept_where_that_is_asked_for(tmp_path):
    report, prepared = run(copies(tmp_path), tmp_path / "out", replace(IN_ONE, keep_duplicates=True))
    assert prepared.part(Split.TRAIN).ids == ("1", "2", "3", "4", "5")
    assert report.crossing_groups == 1
    assert sum(report.duplicates.values()) == 3
    assert {row["other_left_out"] for row in listed(tmp_path / "out" / "duplicates.csv")} == {"no"}
    # In one channel or in three, the same picture has the same 64 bits.
    assert prepared.part(Split.TRAIN).prints[0] == prepared.part(Split.TEST).prints[0]


def test_a_long_caption_in_two_splits_stays_in_the_later(tmp_path):
    words = "Axial section shows a small round shadow in the left field."
    rows = [
        ("a.png", words, "1", "train"),
        ("b.png", f"Fig. 2. {words.upper()}", "2", "test"),
        ("c.png", "Short.", "3", "train"),
        ("d.png", "Short.", "4", "test"),
    ]
    source = table(tmp_path, rows)
    report, prepared = run(source, tmp_path / "out")
    assert report.duplicates[Likeness.CAPTION] == 1
    assert report.left_out == {LeftOutReason.SAID: 1}
    assert prepared.part(Split.TRAIN).ids == ("c",)
    _, prepared = run(source, tmp_path / "kept", replace(IN_ONE, keep_duplicates=True))
    train, test = prepared.part(Split.TRAIN), prepared.part(Split.TEST)
    assert train.ids == ("a", "c")
    assert train.caption_prints[0] == test.caption_prints[0] != 0
    assert train.caption_prints[1] == test.caption_prints[1] == 0


def test_only_the_first_rows_of_each_split(tmp_path):
    source = open_source(write_rocov2(tmp_path / "source", COUNTS))
    report, prepared = run(source, tmp_path / "out", replace(IN_ONE, limit=2))
    assert [part.kept for part in report.splits] == [2, 2, 2]
    assert prepared.rows(Split.TRAIN) == 2


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_the_result_does_not_depend_on_the_number_of_processes(tmp_path):
    rows = [(f"{place}.png", f"Picture {place}.", "", "train") for place in range(50)]
    path = write_table(tmp_path / "table", rows)
    (path.parent / "7.png").write_bytes(b"no image")
    for workers in (1, 2):
        run(open_source(path), tmp_path / str(workers), replace(IN_ONE, workers=workers, shard_mb=1))
    one, two = content(tmp_path / "1"), content(tmp_path / "2")
    assert one == two
    assert sum(name.startswith("train/shard") for name in one) == 3


def deadly(row: tuple[bytes, str, ImageSpec]) -> Outcome:
    """Takes its process with it, as a decoder does that writes where it must not."""
    return os._exit(9) if row[0] == b"deadly" else decode_content(row)


def test_a_decoder_that_crashes_costs_its_file_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "decode_content", deadly)
    source = table(tmp_path, [(f"{place}.png", f"Picture {place}.", "", "train") for place in range(40)])

    def rows(split):
        for row in source.rows(split):
            yield replace(row, read=HeldBytes(b"deadly")) if row.id == "20" else row

    _, prepared = run(replace(source, rows=rows), tmp_path / "out", replace(IN_ONE, workers=2))
    expected = tuple(str(place) for place in range(40) if place != 20)
    assert prepared.part(Split.TRAIN).ids == expected
    (row,) = listed(tmp_path / "out" / "left_out.csv")
    assert (row["id"], row["reason"], row["detail"]) == ("20", "unreadable", "the decoder crashed")


class Interrupted(Exception):
    """Stands for Ctrl-C and for a full disk."""


def test_nothing_half_written_is_left_behind(tmp_path):
    source = open_source(write_rocov2(tmp_path / "source", COUNTS))
    out = tmp_path / "here" / "out"
    run(source, out)
    before = content(out)

    def stop(step, done, total):
        if step == "training images":
            raise Interrupted

    with pytest.raises(Interrupted):
        prepare(source, out, IN_ONE, stop)
    assert content(out) == before
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_an_earlier_prepared_folder_is_replaced_and_nothing_else(tmp_path):
    source = open_source(write_rocov2(tmp_path / "source", COUNTS))
    out = tmp_path / "out"
    run(source, out)
    _, prepared = run(source, out, replace(IN_ONE, limit=1))
    assert prepared.rows(Split.TRAIN) == 1
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.docx").write_text("x")
    for target in (other, other / "thesis.docx"):
        with pytest.raises(OutputError, match="did not write"):
            prepare(source, target, IN_ONE, quiet)
    assert (other / "thesis.docx").read_text() == "x"


def test_too_small_a_disk_is_told_before_the_work(tmp_path):
    source = open_source(write_rocov2(tmp_path / "source", COUNTS))
    vast = replace(source, counts={Split.TRAIN: 1 << 40})
    with pytest.raises(OutputError, match="free some space"):
        prepare(vast, tmp_path / "out", IN_ONE, quiet)


def test_set_aside_cases_are_the_test_split(tmp_path):
    rows = [(f"{place}.png", f"Picture {place}.", f"case {place // 2}", "train") for place in range(30)]
    report, prepared = run(set_aside(table(tmp_path, rows), 0.3), tmp_path / "out")
    test, train = prepared.part(Split.TEST), prepared.part(Split.TRAIN)
    assert len(test) + len(train) == 30
    assert 0 < len(test) < 20
    assert not set(test.groups) & set(train.groups)
    assert prepared.details["source"]["set_aside"] == 0.3
    assert report.crossing_groups == 0


def test_a_part_opens_the_files_of_its_split_only(tmp_path):
    _, prepared = run(open_source(write_rocov2(tmp_path / "source", COUNTS)), tmp_path / "out")
    for path in (tmp_path / "out" / "test").iterdir():
        path.unlink()
    train = open_prepared(tmp_path / "out").part(Split.TRAIN)
    assert len(train.captions) == 5
    with pytest.raises(DataError, match="is missing"):
        prepared.part(Split.TEST)


def test_altered_content_is_found_by_verifying(tmp_path):
    _, prepared = run(open_source(write_rocov2(tmp_path / "source", COUNTS)), tmp_path / "out")
    path = tmp_path / "out" / "valid" / "shard-00000.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    prepared.verify((Split.TRAIN, Split.TEST))
    with pytest.raises(DataError, match="cut short or altered"):
        prepared.verify()


def test_the_digest_tells_which_pictures_there_are(tmp_path):
    _, one = run(open_source(write_rocov2(tmp_path / "one", COUNTS)), tmp_path / "a")
    _, same = run(open_source(write_parquet(tmp_path / "two", COUNTS)), tmp_path / "b")
    _, other = run(open_source(write_rocov2(tmp_path / "three", COUNTS | {"train": 4})), tmp_path / "c")
    digests = [prepared.part(Split.TRAIN).digest for prepared in (one, same, other)]
    assert digests[0] == digests[1] != digests[2]
    assert len(set(digests[0])) > 1


@pytest.mark.parametrize("wrong", [{"max_tokens": 1}, {"limit": 0}, {"workers": -1}, {"shard_mb": 0}])
def test_impossible_options_are_one_sentence(wrong):
    with pytest.raises(UsageError, match="the least is"):
        PrepareOptions(**wrong)


def test_concepts_have_their_names_and_licences_are_counted(tmp_path):
    _, prepared = run(open_source(write_rocov2(tmp_path / "source", COUNTS)), tmp_path / "out")
    assert prepared.concept_names() == {"C0040405": "X-Ray Computed Tomography", "C0817096": "Chest"}
    assert prepared.details["splits"]["train"]["licences"] == {"CC BY": 5}
    assert prepared.part(Split.TRAIN).licences == ("CC BY",) * 5
    assert prepared.part(Split.TRAIN).groups[:2] == ("PMC001", "PMC001")


def test_a_caption_of_broken_characters_is_written_all_the_same(tmp_path):
    source = table(tmp_path, [("a.png", "x", "", "train")])

    def rows(split):
        for row in source.rows(split):
            yield replace(row, caption="Half a \ud83d pair.", group="\udcff")

    _, prepared = run(replace(source, rows=rows), tmp_path / "out")
    part = prepared.part(Split.TRAIN)
    assert part.captions == ("Half a pair.",)
    assert part.groups == ("\udcff",)


def test_the_folder_of_a_table_may_have_a_name_with_letters_composed_or_not(tmp_path):
    folder = tmp_path / "table"
    folder.mkdir()
    (folder / "go\u0308g\u0306us.png").write_bytes(encoded(drawn(1)))
    write_csv(folder / "t.csv", ("file", "caption"), [("göğus.png", "Chest.")])
    _, prepared = run(open_source(folder / "t.csv"), tmp_path / "out")
    assert len(prepared.part(Split.TRAIN)) == 1
    assert Path(prepared.part(Split.TRAIN).files[0]).suffix == ".png"


def test_a_decoder_that_raises_anything_costs_that_picture_alone():
    class Odd(Exception):
        """Nothing that anybody expects of a decoder."""

    def read() -> bytes:
        raise Odd

    row = CaptionRow("one", "A caption.", Split.TRAIN, read, "one.jpg")
    found = decode(row, ImageSpec(32))
    assert isinstance(found, Failed) and found.detail == "Odd"
