"""Labelled images: joined sources, and what they hold in figures."""

from __future__ import annotations

import numpy as np
import pytest

from tests.lab.findings.tables import NIH_HEADER, nih_row, touch, write, write_nih
from tetkik.errors import DataError, UsageError
from tetkik.lab.findings.data import read_labels, read_source, read_sources
from tetkik.lab.findings.source_summary import summarise, summary_files
from tetkik.lab.findings.sources import Reading
from tetkik.values import FINDING_LABELS


@pytest.fixture
def two(tmp_path):
    """NIH, and a hospital's table that holds a copy of one of its images and another film of a patient."""
    nih = write_nih(
        tmp_path / "nih",
        [
            nih_row("00000001_000.png", "Mass", 1, view="PA"),
            nih_row("00000001_001.png", "No Finding", 1, sex="F"),
            nih_row("00000002_000.png", "Effusion|Mass", 2, view="AP"),
        ],
    )
    own = write(
        tmp_path / "own" / "own.csv",
        "file,labels,patient_id,original,group\n"
        "a.png,COVID-19,x,00000001_000.png,7\n"
        "b.png,Lump;Mass,y,mine.png,8\n"
        "c.png,Mass,,mine2.png,8\n"
        "d.png,Mass,z,00000002_004.png,\n",
    )
    touch(*(own.with_name(f"{name}.png") for name in "abcd"))
    return f"nih:{nih}", f"csv:{own}"


def test_sources_are_joined_with_their_weights(two):
    images = read_sources([f"{two[0]}=2", f"{two[1]}=0.5"])
    assert images.source == ("nih",) * 3 + ("own",) * 4
    assert images.weight.tolist() == [2.0] * 3 + [0.5] * 4 and images.weight.dtype == np.float32
    assert images.labels == FINDING_LABELS and images.truth.dtype == np.int8
    assert images.column("COVID-19").tolist() == [-1, -1, -1, 1, -1, -1, -1]
    assert images.other_labels == {"Lump": 1}


def test_patients_and_copies_join_across_sources(two):
    group = read_sources(two).group.tolist()
    assert group[0] == group[1] == group[3], "the same NIH patient, by the original file's name"
    assert group[2] == group[6], "another film of a NIH patient"
    assert group[4] == group[5], "one duplicate group"
    assert len(set(group)) == 3


def test_groups_depend_on_names_alone(two):
    one, other = read_sources(two), read_sources(reversed(two))
    found = dict(zip(one.files, one.group.tolist(), strict=True))
    assert found == dict(zip(other.files, other.group.tolist(), strict=True))


def test_two_hospitals_have_patients_of_their_own(tmp_path):
    for name in ("x", "y"):
        write(tmp_path / name / "labels.csv", "file,labels,patient_id,group\na.png,Mass,1,1\n")
        touch(tmp_path / name / "a.png")
    images = read_sources([f"csv:{tmp_path / 'x' / 'labels.csv'}", f"csv:{tmp_path / 'y' / 'labels.csv'}"])
    assert len(set(images.group.tolist())) == 2, "patient 1 of one is not patient 1 of the other"
    assert images.patient == ("labels:1", "labels#2:1")
    with pytest.raises(UsageError, match="twice"):
        read_sources([f"csv:{tmp_path / 'x' / 'labels.csv'}"] * 2)


def test_only_chooses_rows_in_order(two):
    images = read_sources(two)
    part = images.only([4, 0])
    assert part.files == (images.files[4], images.files[0])
    assert part.truth.tolist() == images.truth[[4, 0]].tolist() and part.source == ("own", "nih")
    mask = np.array([True, False, False, False, False, False, True])
    assert images.only(mask).names == (images.names[0], images.names[6])
    assert len(images.only([])) == 0
    with pytest.raises(ValueError, match="read-only"):
        images.truth[0, 0] = 0


def test_kept_labels_are_unknown_in_other_sources(two):
    images = read_sources(two, Reading(keep_others=True))
    assert images.labels == (*FINDING_LABELS, "Lump")
    assert images.column("Lump").tolist() == [-1, -1, -1, -1, 1, -1, -1]


def test_nothing_to_read_is_said():
    with pytest.raises(DataError, match="no source"):
        read_sources([])


def test_groups_found_by_look_join_components(two):
    images = read_sources(two)
    joined = images.grouped(np.array([0, 1, 2, 3, 2, 5, 6]))
    assert joined.group[4] == joined.group[2] == joined.group[5] == joined.group[6]
    assert joined.group[0] != joined.group[2]


# Components


def test_a_summary_counts_by_source(two):
    summary = summarise(read_sources([two[0], f"{two[1]}=3"]))
    nih, own = summary.sources
    assert (nih.images, nih.patients, nih.groups) == (3, 2, 2) and (own.images, own.unnamed) == (4, 1)
    assert own.weight == pytest.approx(12 / 15) and nih.views == {"PA": 2, "AP": 1}
    mass = next(count for count in nih.labels if count.label == "Mass")
    assert (mass.present, mass.absent) == (2, 1) and mass.prevalence == pytest.approx(2 / 3)
    assert next(count for count in own.labels if count.label == "Mass").prevalence is None
    (overlap,) = summary.overlaps
    assert (overlap.groups, overlap.images, overlap.first_rows, overlap.second_rows) == (2, 1, 3, 2)
    pair = next(pair for pair in summary.pairs() if (pair.first, pair.second) == ("Effusion", "Mass"))
    assert (pair.n, pair.observed) == (3, 1) and pair.expected == pytest.approx(2 / 3)
    assert pair.ratio == pytest.approx(1.5)


def test_a_summary_is_written_as_files(two):
    import csv
    import io
    import json

    summary = summarise(read_source(two[0]))
    files = summary_files(summary)
    assert json.loads(files["sources.json"])["images"] == 3
    rows = list(csv.DictReader(io.StringIO(files["prevalence.csv"].decode())))
    assert {
        "source": "nih",
        "label": "Mass",
        "present": "2",
        "absent": "1",
        "unknown": "0",
        "prevalence": "0.6667",
    } in rows
    assert len(list(csv.reader(io.StringIO(files["co_occurrence.csv"].decode())))) == 1 + len(summary.pairs())


def test_tables_are_read_without_their_images(tmp_path):
    rows = [nih_row(f"{row // 4:08d}_{row % 4:03d}.png", "Mass|Nodule", row // 4) for row in range(4000)]
    write(tmp_path / "Data_Entry_2017.csv", "\n".join([NIH_HEADER, *rows]))
    images = read_source(f"nih:{tmp_path}", Reading(check_files=False))
    assert len(images) == 4000 and len(np.unique(images.group)) == 1000
    own = write(tmp_path / "t.csv", "file,labels\na.png,Mass\n")
    assert read_labels(own, check_files=False).files == (tmp_path / "a.png",)
