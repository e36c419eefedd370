"""Captioned images in every layout, and what is refused of them."""

from __future__ import annotations

import zipfile

import pytest
from hypothesis import given
from hypothesis import settings as settings_of
from hypothesis import strategies as st

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
from tetkik.errors import DataError, InputError, UsageError
from tetkik.files import inside
from tetkik.lab.caption.prepared import CaptionRow, LeftOut, LeftOutReason, Split
from tetkik.lab.caption.sources import SourceKind, open_source, set_aside
from tetkik.settings import settings

COUNTS = {"train": 5, "valid": 2, "test": 3}


def rows_of(source, split):
    return [row for row in source.rows(split) if isinstance(row, CaptionRow)]


@pytest.mark.parametrize("zipped", [False, True], ids=["folders", "zips"])
def test_rocov2_as_its_archive_has_it(tmp_path, zipped):
    source = open_source(write_rocov2(tmp_path, COUNTS, zipped=zipped))
    assert (source.name, source.kind, source.splits) == ("ROCOv2", SourceKind.ROCOV2, tuple(Split))
    assert source.counts == {Split.TRAIN: 5, Split.VALID: 2, Split.TEST: 3}
    assert source.published is not None
    assert source.published.images == {Split.TRAIN: 59_958, Split.VALID: 9_904, Split.TEST: 9_927}
    assert source.published.rgb == {Split.TRAIN: 37_330, Split.VALID: 6_672, Split.TEST: 6_780}
    assert source.concept_names["C0817096"] == "Chest"
    images = rocov2_images(COUNTS)
    for split in Split:
        rows = rows_of(source, split)
        assert {row.id: row.read() for row in rows} == images[split.value]
        assert [row.caption for row in rows] == [caption_of(row.id) for row in rows]
    first = rows_of(source, Split.TRAIN)[0]
    assert first.file == "ROCOv2_2023_train_000001.jpg"
    assert first.concepts == ("C0040405", "C0817096")  # those checked by hand first, each once
    assert first.group == "PMC001"
    assert first.licence == "CC BY"


def test_rocov2_without_its_other_tables_still_opens(tmp_path):
    folder = write_rocov2(tmp_path, COUNTS)
    for name in ("license_information.csv", "cui_mapping.csv", "train_concepts.csv"):
        (folder / name).unlink()
    row = rows_of(open_source(folder), Split.TRAIN)[1]
    assert (row.group, row.licence, row.concepts) == (None, None, ())


def test_the_article_is_found_in_the_link_where_no_column_names_it(tmp_path):
    folder = write_rocov2(tmp_path, COUNTS)
    name = "ROCOv2_2023_train_000001"
    link = "https://www.ncbi.nlm.nih.gov/pmc/articles/PMC4711/"
    write_csv(folder / "license_information.csv", ("ID", "License", "Link"), [(name, "CC BY-NC 4.0", link)])
    row = rows_of(open_source(folder), Split.TRAIN)[0]
    assert (row.group, row.licence) == ("PMC4711", "CC BY-NC 4.0")


def test_an_id_that_is_a_path_is_left_out(tmp_path):
    folder = write_rocov2(tmp_path, COUNTS)
    secret = tmp_path.parent / "secret.jpg"
    secret.write_bytes(encoded(drawn(1), "JPEG"))
    write_csv(
        folder / "train_captions.csv", ("ID", "Caption"), [("../secret", "x"), ("a/b", "y"), ("C:\\x", "z")]
    )
    found = list(open_source(folder).rows(Split.TRAIN))
    assert [item.reason for item in found if isinstance(item, LeftOut)] == [LeftOutReason.UNSAFE_NAME] * 3


def test_members_of_a_zip_with_tricks_in_their_names_are_not_looked_at(tmp_path):
    folder = write_rocov2(tmp_path, {"train": 2}, zipped=True)
    with zipfile.ZipFile(folder / "train_images.zip", "w") as archive:
        archive.writestr("../ROCOv2_2023_train_000001.jpg", b"x")
        archive.writestr("/ROCOv2_2023_train_000002.jpg", b"x")
        archive.writestr("train/other.jpg", b"x")
    for row in rows_of(open_source(folder), Split.TRAIN):
        with pytest.raises(FileNotFoundError):
            row.read()


def test_a_zip_bomb_is_one_sentence_and_no_memory(tmp_path, monkeypatch):
    folder = write_rocov2(tmp_path, {"train": 1}, zipped=True)
    with zipfile.ZipFile(folder / "train_images.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/ROCOv2_2023_train_000001.jpg", bytes(3_000_000))
    monkeypatch.setenv("TETKIK_MAX_IMAGE_BYTES", "100000")
    settings.cache_clear()
    (row,) = rows_of(open_source(folder), Split.TRAIN)
    with pytest.raises(InputError, match="more than 100000 bytes"):
        row.read()


def test_a_damaged_member_costs_itself_alone(tmp_path):
    folder = write_rocov2(tmp_path, {"train": 2}, zipped=True)
    path = folder / "train_images.zip"
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        start = archive.infolist()[0].header_offset
    data[start + 80 : start + 120] = bytes(40)
    path.write_bytes(data)
    first, second = rows_of(open_source(folder), Split.TRAIN)
    with pytest.raises(InputError, match="is damaged"):
        first.read()
    assert second.read() == rocov2_images({"train": 2})["train"][second.id]


@pytest.mark.parametrize("write", [write_parquet, write_saved], ids=["parquet", "save_to_disk"])
def test_a_hugging_face_dataset(tmp_path, write):
    source = open_source(write(tmp_path / "hub", COUNTS))
    assert (source.name, source.kind, source.splits) == ("ROCOv2", SourceKind.HUGGINGFACE, tuple(Split))
    assert source.counts == {Split.TRAIN: 5, Split.VALID: 2, Split.TEST: 3}
    assert source.published is not None
    images = rocov2_images(COUNTS)
    for split in Split:
        rows = rows_of(source, split)
        assert [(row.id, row.read()) for row in rows] == list(images[split.value].items())
    assert rows[0].concepts == ("C0040405", "C0817096")
    assert rows[0].caption == caption_of(rows[0].id)


def test_licences_beside_the_parquet_files_are_joined(tmp_path):
    folder = write_parquet(tmp_path / "hub", COUNTS)
    rows = [("ROCOv2_2023_test_000001", "PMC12", "CC BY-NC 4.0", "")]
    write_csv(folder / "license_information.csv", ("ID", "PMCID", "Attribution", "Link"), rows)
    row = rows_of(open_source(folder), Split.TEST)[0]
    assert (row.group, row.licence) == ("PMC12", "CC BY-NC 4.0")


def test_a_parquet_row_may_name_a_file_and_no_other_folder(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(encoded(drawn(3)))
    images = [{"bytes": None, "path": path} for path in ("images/a.png", "../a.png", None)]
    table = pa.table({"image": images, "text": ["one", "two", "three"], "id": ["1", "2", "3"]})
    parquet.write_table(table, tmp_path / "train.parquet")
    first, second, third = open_source(tmp_path).rows(Split.TRAIN)
    assert isinstance(first, CaptionRow)
    assert first.read() == encoded(drawn(3))
    assert isinstance(second, LeftOut)
    assert second.reason is LeftOutReason.UNSAFE_NAME
    assert isinstance(third, CaptionRow)
    with pytest.raises(FileNotFoundError):
        third.read()


def test_damaged_and_unfit_parquet_is_one_sentence(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    folder = write_parquet(tmp_path / "hub", COUNTS)
    path = folder / "data" / "test-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError, match="damaged or cut short"):
        open_source(folder)
    (tmp_path / "other").mkdir()
    parquet.write_table(pa.table({"image": [b"x"], "words": ["y"]}), tmp_path / "other" / "train.parquet")
    with pytest.raises(DataError, match="no column caption"):
        open_source(tmp_path / "other")


def test_the_hub_is_asked_only_where_it_is_allowed():
    with pytest.raises(UsageError, match="offline"):
        open_source("owner/radiology")
    with pytest.raises(UsageError, match="There is no source"):
        open_source("/no/such/place")


def test_roco_as_its_repository_has_it(tmp_path):
    source = open_source(write_roco(tmp_path, COUNTS))
    assert (source.kind, source.published) == (SourceKind.ROCO, None)
    assert source.counts == {Split.TRAIN: 5, Split.VALID: 2, Split.TEST: 3}
    row = rows_of(source, Split.VALID)[1]
    assert row.id == "ROCO_10001"
    assert row.caption == caption_of("ROCO_10001")
    assert row.concepts == ("C0040405", "C0817096")
    assert (row.group, row.licence, row.file) == ("PMC119", "CC BY-NC", "PMC119_fig,1.jpg")
    assert row.read() == encoded(drawn(7101), "JPEG")


def test_roco_with_images_named_by_its_own_ids(tmp_path):
    part = write_roco(tmp_path, {"train": 1}) / "data" / "train" / "radiology"
    (image,) = (part / "images").iterdir()
    image.rename(part / "images" / "ROCO_00000.jpg")
    (row,) = rows_of(open_source(tmp_path), Split.TRAIN)
    assert row.read() == encoded(drawn(7000), "JPEG")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_of_files(tmp_path, delimiter):
    rows = [
        ("images/a.png", "One, and; two\tparts", "case 1", "train"),
        ("images/b.png", "Two", "case 2", "Validation"),
        ("images/c.png", "Three", "", ""),
        ("images/d.png", "Four", "case 3", "holdout"),
        ("../e.png", "Five", "case 4", "test"),
    ]
    source = open_source(write_table(tmp_path, rows, delimiter=delimiter))
    assert source.kind is SourceKind.TABLE
    train = rows_of(source, Split.TRAIN)
    assert [(row.id, row.group) for row in train] == [("a", "case 1"), ("c", None)]
    assert train[0].caption == "One, and; two\tparts"
    assert train[0].concepts == ("CT", "Axial")
    assert train[0].read() == encoded(drawn(500))
    assert [row.id for row in rows_of(source, Split.VALID)] == ["b"]
    (outside,) = source.rows(Split.TEST)
    assert isinstance(outside, LeftOut)
    assert outside.reason is LeftOutReason.UNSAFE_NAME
    assert [(item.id, item.split, item.reason) for item in source.unplaced] == [
        ("d", "holdout", LeftOutReason.NO_SPLIT)
    ]


def test_a_table_by_other_names_and_with_its_images_elsewhere(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "x.jpg").write_bytes(encoded(drawn(4), "JPEG"))
    write_csv(tmp_path / "t" / "data.tsv", ("Image", "Text", "CUIs"), [("x.jpg", "Words", "C0040405")], "\t")
    source = open_source(tmp_path / "t" / "data.tsv", images=tmp_path / "pictures")
    (row,) = rows_of(source, Split.TRAIN)
    assert row.read() == encoded(drawn(4), "JPEG")
    assert row.concepts == ("C0040405",)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty"),
        (b"file,words\na,b\n", "no column caption"),
        (b"caption\nx\n", "no header with two columns"),
        ("file,caption\na,çok\n".encode("latin-1"), "not UTF-8 in line 2"),
        (b"file,caption\n\0\0,b\n", "not UTF-8 in line 2"),
        (b'file,caption\na,"b\n', "a quote in line 2 that is not closed"),
        (b"file,caption\na,small, round\n", "more cells than columns in line 2"),
    ],
)
def test_a_table_that_is_none_is_one_sentence(tmp_path, content, fault):
    (tmp_path / "captions.csv").write_bytes(content)
    with pytest.raises(DataError, match=fault):
        open_source(tmp_path / "captions.csv")


def test_an_unknown_layout_and_a_wrong_kind_are_one_sentence(tmp_path):
    with pytest.raises(DataError, match="laid out like none"):
        open_source(tmp_path)
    for kind in (SourceKind.ROCOV2, SourceKind.ROCO, SourceKind.HUGGINGFACE):
        with pytest.raises(DataError):
            open_source(tmp_path, kind)
    with pytest.raises(DataError, match="cannot be read as table"):
        open_source(tmp_path, SourceKind.TABLE)
    write_rocov2(tmp_path / "empty", {"train": 1}, images={"train": {}, "valid": {}, "test": {}})
    write_csv(tmp_path / "empty" / "train_captions.csv", ("ID", "Caption"), [("a", "b")])
    with pytest.raises(DataError, match="captions and no images"):
        open_source(tmp_path / "empty")
    (tmp_path / "empty" / "train_images.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(DataError, match="not a sound zip"):
        open_source(tmp_path / "empty")


def cases(count):
    return [(f"i/{place}.png", f"Caption {place}", f"case {place // 3}", "train") for place in range(count)]


def test_whole_cases_are_set_aside_the_same_in_any_order(tmp_path):
    rows = [*cases(90), ("i/v.png", "V", "case v", "valid"), ("i/alone.png", "No case", "", "train")]
    one = set_aside(open_source(write_table(tmp_path, rows)), 0.3)
    other = set_aside(open_source(write_table(tmp_path, rows[::-1], name="b.csv")), 0.3)
    test = rows_of(one, Split.TEST)
    assert {row.id for row in test} == {row.id for row in rows_of(other, Split.TEST)}
    assert all(row.split is Split.TEST for row in test)
    train = rows_of(one, Split.TRAIN)
    assert not {row.group for row in test} & {row.group for row in train}
    assert len(test) + len(train) == 91
    assert 0.1 < len(test) / 91 < 0.5
    assert [row.id for row in rows_of(one, Split.VALID)] == ["v"]
    assert one.counts == {Split.TRAIN: len(train), Split.VALID: 1, Split.TEST: len(test)}
    larger = {row.id for row in rows_of(set_aside(open_source(tmp_path / "captions.csv"), 0.5), Split.TEST)}
    assert {row.id for row in test} < larger


def test_setting_aside_is_refused_where_there_is_a_test_split(tmp_path):
    source = open_source(write_rocov2(tmp_path, COUNTS))
    with pytest.raises(UsageError, match="test split of its own"):
        set_aside(source, 0.1)
    for share in (0.0, 1.0, -0.2, float("nan")):
        with pytest.raises(UsageError, match="between 0 and 1"):
            set_aside(source, share)


def test_arrow_files_in_the_middle_of_being_written_are_told(tmp_path):
    folder = write_saved(tmp_path / "saved", COUNTS)
    path = folder / "train" / "data-00000-of-00001.arrow"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match="damaged or cut short"):
        open_source(folder)


def test_a_dataset_that_was_saved_alone_is_for_training(tmp_path):
    folder = write_saved(tmp_path / "saved", COUNTS)
    part = (folder / "test").rename(tmp_path / "alone")
    (part / "state.json").write_text('{"_split": null}')
    source = open_source(part)
    assert source.splits == (Split.TRAIN,)
    assert len(rows_of(source, Split.TRAIN)) == 3


@settings_of(max_examples=80, deadline=None)
@given(content=st.one_of(st.binary(max_size=300), st.text('file,caption"\n\r;\t|ğ\0a', max_size=200)))
def test_any_bytes_are_a_table_or_one_sentence(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("table") / "captions.csv"
    data = content if isinstance(content, bytes) else b"file,caption\n" + content.encode("utf-8")
    path.write_bytes(data)
    try:
        source = open_source(path)
    except DataError:
        return
    for split in source.splits:
        for row in source.rows(split):
            assert isinstance(row, CaptionRow | LeftOut)


@given(st.text(max_size=40))
def test_a_safe_name_stays_inside(name):
    found = inside(name.strip())
    if found is not None:
        assert not found.startswith("/")
        assert ".." not in found.split("/")
        assert "\\" not in found and found.isprintable()
        assert inside(found) == found
