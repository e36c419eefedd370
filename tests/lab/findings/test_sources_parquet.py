"""Tables of labels as Parquet and as folders of `datasets`, with the images inside."""

from __future__ import annotations

import io
import json
import os
import shutil
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet
from typer.testing import CliRunner

from tests.lab.findings.tables import touch
from tests.lab.findings.test_sources_public import said
from tetkik.cli.app import app
from tetkik.errors import DataError, OutputError
from tetkik.imaging.prepare import Preprocessing
from tetkik.lab.engine.splits import Split
from tetkik.lab.findings.data import read_labels, read_source
from tetkik.lab.findings.sources import LeftOut, Reading
from tetkik.lab.findings.training.decoded_images import decode_image


def png(value: int, side: int = 32) -> bytes:
    packed = io.BytesIO()
    Image.fromarray(np.full((side, side), value, np.uint8)).save(packed, "PNG")
    return packed.getvalue()


def table(**columns) -> pa.Table:
    """Three images, the first of NIH and the last without pixels."""
    images = [
        {"bytes": png(40), "path": "00000075_000.png"},
        {"bytes": png(80), "path": "b.png"},
        {"bytes": None, "path": None},
    ]
    return pa.table({"image": images, "labels": ["Mass;Effusion", "Normal", "Mass"], **columns})


def test_rows_are_those_of_a_csv_and_images_are_files(tmp_path):
    path = tmp_path / "films.parquet"
    parquet.write_table(table(patient_id=["P1", "P2", "P3"], age=[40.0, None, 3.5]), path)
    images = read_labels(path)
    assert [said(images, row) for row in range(2)] == [{"Mass": 1, "Effusion": 1}, {"Normal": 1}]
    assert len(images) == 2 and images.left_out == {LeftOut.MISSING_FILE.value: 1}
    assert images.patient == ("films:P1", "films:P2") and images.age == (40.0, None)
    assert images.image == ("nih:00000075_000.png", None)
    assert [file.read_bytes() for file in images.files] == [png(40), png(80)]
    square = decode_image(images.files[1], Preprocessing(size=16))
    assert square is not None and square.mean() == pytest.approx(80, abs=1)
    # Found again, and not unpacked twice.
    before = [file.stat().st_mtime_ns for file in images.files]
    again = read_source(f"parquet:{path}")
    assert again.files == images.files and [file.stat().st_mtime_ns for file in again.files] == before
    assert again.names == images.names == ("films/0000000", "films/0000001")
    # Another content has files of its own.
    parquet.write_table(table(labels=["Mass", "Mass", "Mass"]).slice(1), path)
    os.utime(path, ns=(1, 1))
    assert [file.read_bytes() for file in read_labels(path).files] == [png(80)]


def test_columns_of_every_kind_are_read(tmp_path):
    path = tmp_path / "wide.parquet"
    columns = {
        "image": [png(10), png(20), png(30)],
        "Mass": [True, False, None],
        "Nodule": [1.0, float("nan"), 0.0],
        "Effusion": pa.array([1, -1, None], pa.int8()),
        "sex": ["F", "M", None],
    }
    parquet.write_table(pa.table(columns), path)
    images = read_labels(path, tmp_path / "elsewhere")
    assert [said(images, row) for row in range(3)] == [
        {"Mass": 1, "Nodule": 1, "Effusion": 1},
        {"Mass": 0},
        {"Nodule": 0},
    ]
    assert all(file.is_relative_to(tmp_path / "elsewhere") for file in images.files)
    listed = pa.table({"image": [png(10)], "labels": [["Mass", "Nodule"]]})
    parquet.write_table(listed, path)
    assert said(read_labels(path), 0) == {"Mass": 1, "Nodule": 1}


def test_a_folder_of_datasets_keeps_its_splits_and_the_names_of_classes(tmp_path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "labels": datasets.Sequence(datasets.ClassLabel(names=["Mass", "Normal"])),
        }
    )
    rows = {
        "image": [{"bytes": png(10 * at), "path": None} for at in range(1, 5)],
        "labels": [[0], [1], [0], []],
    }
    made = datasets.Dataset.from_dict(rows, features=features)
    both = datasets.DatasetDict(train=made, test=made.select([1]))
    both.save_to_disk(tmp_path / "saved")
    (tmp_path / "hub").mkdir()
    for name, part in both.items():
        part.to_parquet(tmp_path / "hub" / f"{name}-00000-of-00001.parquet")
    for folder in ("saved", "hub"):
        images = read_labels(tmp_path / folder)
        assert [said(images, row) for row in range(4)] == [
            {"Normal": 1},
            {"Mass": 1},
            {"Normal": 1},
            {"Mass": 1},
        ]
        assert images.official == (Split.TEST, Split.TRAIN, Split.TRAIN, Split.TRAIN)
        assert images.files[0].read_bytes() == png(20)
        assert images.left_out == {LeftOut.NO_LABEL.value: 1}
    # One part by itself divides nothing.
    shutil.rmtree(tmp_path / "saved" / "test")
    assert set(read_labels(tmp_path / "saved").official) == {None}


def test_images_beside_are_found_by_name_and_none_outside(tmp_path):
    touch(tmp_path / "films" / "a.png", tmp_path / "secret.png")
    path = tmp_path / "films" / "table.parquet"
    names = ["a.png", "../secret.png", str(tmp_path / "secret.png"), "gone.png"]
    parquet.write_table(pa.table({"file": names, "labels": ["Mass"] * 4}), path)
    assert read_labels(path).files == (tmp_path / "films" / "a.png",)
    inner = [{"bytes": None, "path": name} for name in names]
    parquet.write_table(pa.table({"image": inner, "labels": ["Mass"] * 4}), path)
    assert read_labels(path).files == (tmp_path / "films" / "a.png",)
    shutil.rmtree(tmp_path / "films" / "table.images")
    images = read_source(f"parquet:{path}", Reading(check_files=False))
    assert len(images) == 4 and not (tmp_path / "films" / "table.images").exists()


@pytest.mark.attack
def test_a_name_inside_chooses_no_file_to_write(tmp_path):
    path = tmp_path / "films.parquet"
    rows = [{"bytes": png(1), "path": name} for name in ("../../x.png", "/etc/x.png", "a\0b.png")]
    parquet.write_table(pa.table({"image": rows, "labels": ["Mass"] * 3}), path)
    for file in read_labels(path).files:
        assert file.is_relative_to(tmp_path / "films.images") and file.name.isdigit()


def test_memory_does_not_grow_with_the_images(tmp_path):
    side = 700
    noise = np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)
    packed = io.BytesIO()
    Image.fromarray(noise).save(packed, "PNG")
    most = []
    for count in (100, 400):
        path = tmp_path / f"{count}.parquet"
        with parquet.ParquetWriter(path, pa.schema({"image": pa.binary(), "labels": pa.string()})) as file:
            for _ in range(count // 50):
                file.write_table(pa.table({"image": [packed.getvalue()] * 50, "labels": ["Mass"] * 50}))
        pa.default_memory_pool().release_unused()
        tracemalloc.start()
        assert len(read_labels(path)) == count
        most.append(tracemalloc.get_traced_memory()[1] + pa.default_memory_pool().max_memory())
        tracemalloc.stop()
        shutil.rmtree(tmp_path / f"{count}.images")
    assert most[1] < 1.5 * most[0]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_is_one_sentence(tmp_path, data):
    whole = io.BytesIO()
    parquet.write_table(table(), whole)
    content = bytearray(whole.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "films.parquet"
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    try:
        read_labels(path)
    except DataError:
        pass
    finally:
        shutil.rmtree(tmp_path / "films.images", ignore_errors=True)


def test_what_cannot_be_is_one_sentence(tmp_path):
    path = tmp_path / "train.parquet"
    parquet.write_table(table(), path)
    (tmp_path / "train.images").write_text("in the way")
    with pytest.raises(OutputError, match="name another folder with --images"):
        read_labels(path)
    parquet.write_table(pa.table({"labels": ["Mass"]}), tmp_path / "zz.parquet")
    with pytest.raises(DataError, match="neither a Parquet file"):
        read_source(f"parquet:{tmp_path / 'none.parquet'}")
    folder = tmp_path / "two"
    folder.mkdir()
    for first, second in (("a", "b"), ("b", "a")):
        parquet.write_table(table(age=[1, 2, 3]), folder / f"{first}.parquet")
        parquet.write_table(table(), folder / f"{second}.parquet")
        with pytest.raises(DataError, match="differ in the column age"):
            read_labels(folder)
    parquet.write_table(table(), folder / "train-0.parquet")
    with pytest.raises(DataError, match=r"rename it, such as train-a\.parquet"):
        read_labels(folder)


def test_the_commands_take_it(tmp_path):
    path = tmp_path / "films.parquet"
    parquet.write_table(table(), path)
    found = CliRunner().invoke(app, ["findings", "sources", f"parquet:{path}", "--json"])
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["images"] == 2
