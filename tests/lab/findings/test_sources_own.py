"""A user's own tables and folders: what a row knows, and what stays unknown."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lab.findings.tables import touch, write
from tests.lab.findings.test_sources_public import said
from tetkik.errors import DataError
from tetkik.files import inside
from tetkik.lab.engine.splits import Split
from tetkik.lab.findings.data import read_labels, read_source
from tetkik.lab.findings.sources import LeftOut, Reading, parse_rule
from tetkik.values import BRAIN_LABELS, FINDING_LABELS, NIH_LABELS, Sex, View

TABLE = """\
file,labels,view,patient_id,group,source,original,sex,age,split
images/1.jpg,Mass;Effusion,PA,P1,0,one,00000075_000.png,M,40,train
images/2.jpg,COVID-19,AP,,1,two,image (3).jpg,F,,test
images/3.jpg,Glioma,MRI,,2,three,gg (1).jpg,,,
images/4.jpg,Normal,PA,P2,1,one,00000076_001.png,,,
"""


@pytest.fixture
def table(tmp_path):
    touch(*(tmp_path / "images" / f"{number}.jpg" for number in range(1, 5)))
    return write(tmp_path / "labels.csv", TABLE)


def test_a_row_knows_only_what_it_lists(table):
    images = read_labels(table)
    assert [said(images, row) for row in range(4)] == [
        {"Mass": 1, "Effusion": 1},
        {"COVID-19": 1},
        {"Glioma": 1},
        {"Normal": 1},
    ]
    assert images.view == (View.PA, View.AP, View.OTHER, View.PA)
    assert images.sex[:2] == (Sex.MALE, Sex.FEMALE) and images.age[:2] == (40.0, None)
    assert images.official == (Split.TRAIN, Split.TEST, None, None)
    assert images.source == ("one", "two", "three", "one")
    assert images.patient == ("labels:P1", None, None, "labels:P2")
    assert images.image[0] == "nih:00000075_000.png" and images.image[1] is None
    assert images.group[1] == images.group[3] and len(set(images.group.tolist())) == 3


def test_rules_say_what_more_it_knows(table):
    rules = [parse_rule(r"original~\d{8}_\d{3}\.png=nih"), parse_rule("view~MRI=brain")]
    images = read_labels(table, known=rules)
    assert set(said(images, 0)) == {*NIH_LABELS, "Normal"} and sum(said(images, 0).values()) == 2
    assert said(images, 1) == {"COVID-19": 1}
    assert said(images, 2) == {label: int(label == "Glioma") for label in BRAIN_LABELS}
    assert said(images, 3)["Mass"] == 0 and said(images, 3)["Normal"] == 1


def test_rules_lie_beside_the_table_or_are_named(table):
    rule = '[[known]]\ncolumn = "source"\nmatches = "t.o"\nlabels = ["Normal", "pleural effusion"]\n'
    named = write(table.parent / "mine.toml", rule)
    expected = {"COVID-19": 1, "Normal": 0, "Effusion": 0}
    assert said(read_source(f"csv:{table}?known={named}"), 1) == expected
    write(table.with_name("labels.known.toml"), rule)
    images = read_labels(table)
    assert said(images, 1) == expected and said(images, 2) == {"Glioma": 1}


def test_a_column_says_what_each_row_knows(tmp_path):
    touch(tmp_path / "a.png", tmp_path / "b.png", tmp_path / "c.png")
    path = write(tmp_path / "t.csv", "file;labels;known\na.png;Mass;brain|Normal\nb.png;;Hernia\nc.png;;\n")
    images = read_labels(path)
    assert said(images, 0) == {"Mass": 1, "Normal": 0, **dict.fromkeys(BRAIN_LABELS, 0)}
    assert said(images, 1) == {"Hernia": 0}
    assert images.left_out == {LeftOut.NO_LABEL: 1}
    write(path, "file;labels;known\na.png;Mass;Lump\n")
    with pytest.raises(DataError, match="Lump"):
        read_labels(path)


def test_a_rule_about_a_column_that_is_not_there(table):
    with pytest.raises(DataError, match="hospital"):
        read_labels(table, known=[parse_rule("hospital~x=nih")])


def test_labels_under_other_names_and_unknown_ones(tmp_path):
    touch(tmp_path / "a.png", tmp_path / "b.png")
    path = write(
        tmp_path / "t.csv",
        "image,label\na.png,pleural  effusion|Infiltrate|Pleural-Thickening\nb.png,Kardiyomegali;Mass\n",
    )
    images = read_labels(path)
    assert said(images, 0) == {"Effusion": 1, "Infiltration": 1, "Pleural_Thickening": 1}
    assert said(images, 1) == {"Mass": 1} and images.other_labels == {"Kardiyomegali": 1}
    kept = read_labels(path, keep_others=True)
    assert kept.labels == (*FINDING_LABELS, "Kardiyomegali") and said(kept, 1)["Kardiyomegali"] == 1
    assert "Kardiyomegali" not in said(kept, 0), "unknown, not absent"


def test_a_wide_table(tmp_path):
    touch(*(tmp_path / f"{name}.png" for name in "abcd"))
    path = write(
        tmp_path / "t.csv",
        "file,Mass,Pleural Effusion,Lesion,remark,Normal\n"
        "a.png,1,0,1,öksürük,0\nb.png,-1,,0,,\nc.png,1.0,-1,,,1\nd.png,yes,0,,,\n",
    )
    images = read_labels(path)
    assert said(images, 0) == {"Mass": 1, "Effusion": 0, "Normal": 0}
    assert images.left_out == {LeftOut.NO_LABEL: 1, LeftOut.CONTRADICTION: 1, LeftOut.BAD_CELL: 1}
    assert images.other_labels == {"Lesion": 1}
    ones = read_source(f"csv:{path}?uncertain=ones&uncertain.Mass=zeros", Reading(keep_others=True))
    assert said(ones, 1) == {"Mass": 0, "Lesion": 0} and said(ones, 0)["Lesion"] == 1
    ruled = read_labels(path, known=[parse_rule("file~b.*=Mass,Effusion,Hernia")])
    assert said(ruled, 1) == {"Effusion": 0, "Hernia": 0}, "an uncertain label stays unknown under a rule"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a,labels\nx,Mass\n", "no column of image files"),
        ("file,remark\na.png,x\n", "neither a column of labels"),
        ("file,Mass,mass\na.png,1,1\n", "two columns for one label"),
        ("file,labels\na.png,Mass\n", "image file missing"),
        ("file,labels\n", "no row at all"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, content, says):
    with pytest.raises(DataError, match=says):
        read_labels(write(tmp_path / "t.csv", content))


def test_images_are_found_where_people_put_them(tmp_path):
    touch(tmp_path / "films" / "göğüs.png", tmp_path / "films" / "alt" / "b.png")
    path = write(tmp_path / "t.csv", "file,labels\nfilms/göğüs.png,Mass\nfilms\\alt\\b.png,Mass\n")
    assert len(read_labels(path)) == 2
    assert len(read_labels(path, tmp_path)) == 2
    assert len(read_labels(path, tmp_path / "films")) == 2


def test_letters_composed_and_decomposed_are_one(tmp_path):
    import unicodedata

    name = "göğüs.png"
    touch(tmp_path / unicodedata.normalize("NFD", name))
    path = write(tmp_path / "t.csv", f"file,labels\n{unicodedata.normalize('NFC', name)},Mass\n")
    assert read_labels(path).files[0].is_file()


@pytest.mark.parametrize(
    "name",
    [
        "../a.png",
        "x/../../a.png",
        "/etc/a.png",
        "\\\\host\\a.png",
        "C:\\a.png",
        "c:a.png",
        "a\x00.png",
        "a\n.png",
        "..",
        ".",
    ],
)
def test_names_that_lead_outside_are_refused(name):
    assert inside(name) is None


@settings(deadline=None)
@given(st.text(max_size=30) | st.text("./\\:ab", max_size=12))
def test_no_name_leads_outside(name):
    from pathlib import PurePosixPath

    found = inside(name)
    if found is not None:
        path = PurePosixPath(found)
        assert not path.is_absolute() and ".." not in path.parts and "\\" not in found


# A folder a class


def test_a_folder_a_class(tmp_path):
    touch(
        tmp_path / "Training" / "glioma_tumor" / "a.jpg",
        tmp_path / "Training" / "no_tumor" / "b.JPG",
        tmp_path / "Testing" / "pituitary_tumor" / "c.png",
        tmp_path / "Testing" / "pituitary_tumor" / "Thumbs.db",
        tmp_path / "Testing" / "diğer" / "d.png",
    )
    images = read_source(f"folder:{tmp_path}")
    assert images.official == (Split.TEST, Split.TRAIN, Split.TRAIN)
    assert said(images, 0) == {"Glioma": 0, "Pituitary": 1, "No_Tumor": 0}, "Meningioma has no folder"
    assert images.left_out == {LeftOut.NOT_AN_IMAGE: 1, LeftOut.NO_CLASS: 1}
    assert images.other_labels == {"diğer": 1}
    assert said(read_source(f"folder:{tmp_path}?exclusive=no"), 0) == {"Pituitary": 1}


def test_kinds_of_pneumonia_do_not_exclude_one_another(tmp_path):
    touch(*(tmp_path / name / "a.png" for name in ("COVID", "NORMAL", "PNEUMONIA")))
    images = read_source(f"folder:{tmp_path}")
    by_class = {name.split("/")[0]: said(images, row) for row, name in enumerate(images.names)}
    assert by_class == {
        "COVID": {"COVID-19": 1, "Normal": 0},
        "NORMAL": {"COVID-19": 0, "Normal": 1, "Pneumonia": 0},
        "PNEUMONIA": {"Pneumonia": 1, "Normal": 0},
    }


def test_folders_that_cannot_be_used(tmp_path):
    with pytest.raises(DataError, match="not a folder"):
        read_source(f"folder:{tmp_path / 'none'}")
    touch(tmp_path / "cats" / "a.png")
    with pytest.raises(DataError, match="named after a label"):
        read_source(f"folder:{tmp_path}")
