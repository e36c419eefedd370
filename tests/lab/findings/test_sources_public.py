"""Public data sets in their original formats: what each row says of each label, and what it leaves open."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from tests.lab.findings.tables import (
    OBSERVATIONS,
    VINDR_LABELS,
    chexpert_row,
    nih_row,
    touch,
    write,
    write_chexpert,
    write_csv,
    write_nih,
)
from tetkik.errors import DataError, UsageError
from tetkik.lab.engine.splits import Split
from tetkik.lab.findings.agreement import read_adjudicated
from tetkik.lab.findings.data import LabelledImages, read_source
from tetkik.lab.findings.sources import LeftOut, Reading
from tetkik.lab.findings.sources.rows import CHEXPERT, GOOGLE, VINDR, Meaning
from tetkik.values import FINDING_LABELS, NIH_LABELS, Sex, View

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))
from findings_boxes import read_nih_boxes, read_vindr_boxes


def said(images: LabelledImages, row: int) -> dict[str, int]:
    """What a row knows: label to 1 or 0."""
    values = images.truth[row].tolist()
    return {label: value for label, value in zip(images.labels, values, strict=True) if value != -1}


# NIH ChestX-ray14


def test_nih_rows_know_the_14_labels_and_normal(tmp_path):
    root = write_nih(
        tmp_path,
        [
            nih_row("00000013_008.png", "Effusion|Pleural_Thickening", 13, "060Y", "F", "AP"),
            nih_row("00000013_009.png", "No Finding", 13, "414"),
            nih_row("00000014_000.png", "Hernia", 14, "011M"),
        ],
    )
    images = read_source(f"nih:{root}")
    assert set(said(images, 0)) == {*NIH_LABELS, "Normal"}
    assert [label for label, value in said(images, 0).items() if value] == ["Effusion", "Pleural_Thickening"]
    assert [label for label, value in said(images, 1).items() if value] == ["Normal"]
    assert images.patient == ("nih:13", "nih:13", "nih:14")
    assert images.view == (View.AP, View.PA, View.PA) and images.sex[0] is Sex.FEMALE
    assert images.age[0] == 60 and images.age[1] is None and images.age[2] == pytest.approx(11 / 12)
    assert images.group[0] == images.group[1] != images.group[2]
    assert all(file.is_file() for file in images.files)


@pytest.mark.parametrize("layout", ["images", ".", "images_001"])
def test_nih_images_lie_in_any_layout(tmp_path, layout):
    write_nih(tmp_path / "elsewhere", [nih_row("00000001_000.png", "Mass", 1)])
    touch(tmp_path / "films" / layout / "00000001_000.png")
    images = read_source(f"nih:{tmp_path / 'elsewhere'}?images={tmp_path / 'films'}")
    assert images.files == (tmp_path / "films" / layout / "00000001_000.png",)


def test_bad_nih_rows_cost_themselves_alone(tmp_path):
    good = nih_row("00000001_000.png", "Mass", 1)
    root = write_nih(tmp_path, [good])
    rows = [
        good,
        good,
        nih_row("00000002_000.png", "Mass|Lump", 2),
        nih_row("00000003_000.png", "Mass|No Finding", 3),
        nih_row("../00000004_000.png", "Mass", 4),
        nih_row("/etc/00000004_000.png", "Mass", 4),
        nih_row("00000005_000.png", "Mass", 5),
        nih_row("", "Mass", 6),
        "00000006_000.png,Mass",
    ]
    write(
        root / "Data_Entry_2017_v2020.csv",
        "\n".join([(root / "Data_Entry_2017_v2020.csv").read_text().splitlines()[0], *rows]),
    )
    images = read_source(f"nih:{root}")
    assert len(images) == 1
    assert images.left_out == {
        LeftOut.BROKEN: 1,
        LeftOut.REPEATED: 1,
        LeftOut.FOREIGN_LABEL: 1,
        LeftOut.CONTRADICTION: 1,
        LeftOut.BAD_PATH: 2,
        LeftOut.MISSING_FILE: 1,
        LeftOut.NO_FILE_NAME: 1,
    }


def test_the_official_nih_lists_are_kept(tmp_path):
    names = [f"{patient:08d}_000.png" for patient in range(6)]
    root = write_nih(tmp_path, [nih_row(name, "Mass", place) for place, name in enumerate(names)])
    write(root / "train_val_list.txt", "\r\n".join(names[:4]))
    write(root / "test_list.txt", "\n".join(names[4:5]) + "\n")
    images = read_source(f"nih:{root}")
    assert images.official == (*[Split.TRAIN] * 4, Split.TEST, None)
    write(root / "test_list.txt", "\n".join(names[3:]))
    with pytest.raises(DataError, match="other split list"):
        read_source(f"nih:{root}")


def test_the_first_release_with_its_last_comma_reads_the_same(tmp_path):
    rows = [nih_row("00000001_000.png", "Mass", 1)]
    header = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    header += "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
    root = write_nih(tmp_path, rows)
    (root / "Data_Entry_2017_v2020.csv").unlink()
    write(root / "Data_Entry_2017.csv", "\n".join([header, rows[0] + ","]))
    assert said(read_source(f"nih:{root}"), 0)["Mass"] == 1
    write(root / "Data_Entry_2017.csv.gz", "\n".join([header, rows[0] + ","]))
    assert len(read_source(f"nih:{root}")) == 1, "the packed mapping beside it is no second table"
    write(root / "Data_Entry_2017_v2020.csv", "\n".join([header, rows[0] + ","]))
    with pytest.raises(DataError, match="several tables"):
        read_source(f"nih:{root}")


# CheXpert and MIMIC-CXR-JPG


def chexpert(tmp_path, marks, options="", **how):
    row = chexpert_row("train/patient00001/study1/view1_frontal.jpg", marks)
    return read_source(f"chexpert:{write_chexpert(tmp_path, [row])}{options}", Reading(**how))


def test_a_chexpert_blank_is_unknown(tmp_path):
    images = chexpert(tmp_path, {"Edema": "1.0", "Cardiomegaly": "0.0", "Pleural Effusion": "-1.0"})
    assert said(images, 0) == {"Edema": 1, "Cardiomegaly": 0, "Normal": 0}
    assert images.official == (Split.TRAIN,) and images.patient == ("chexpert:patient00001",)


@pytest.mark.parametrize(
    ("options", "effusion", "edema"),
    [
        ("", None, None),
        ("?uncertain=ignore", None, None),
        ("?uncertain=zeros", 0, 0),
        ("?uncertain=ones", 1, 1),
        ("?uncertain=zeros&uncertain.Effusion=ones", 1, 0),
        ("?uncertain.pleural effusion=ones", 1, None),
        ("?uncertain=ones&uncertain.Edema=ignore=2", 1, None),
    ],
)
def test_uncertainty_policies(tmp_path, options, effusion, edema):
    marks = {"Pleural Effusion": "-1.0", "Edema": "-1.0", "Atelectasis": "1.0"}
    found = said(chexpert(tmp_path, marks, options), 0)
    assert (found.get("Effusion"), found.get("Edema")) == (effusion, edema)


def test_a_policy_for_a_label_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match=r"uncertain\.Glioma"):
        chexpert(tmp_path, {"Edema": "1.0"}, "?uncertain.Glioma=ones")


def test_no_finding_knows_the_others_absent(tmp_path):
    found = said(chexpert(tmp_path, {"No Finding": "1.0", "Support Devices": "1.0"}), 0)
    assert found.pop("Normal") == 1
    assert set(found) == {
        "Cardiomegaly", "Edema", "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Effusion",
        "Mass", "Nodule", "Pleural_Thickening",
    } and not any(found.values())  # fmt: skip


def test_an_uncertain_row_is_neither_normal_nor_not(tmp_path):
    assert "Normal" not in said(chexpert(tmp_path, {"Pneumonia": "-1.0", "Edema": "0.0"}), 0)
    assert said(chexpert(tmp_path, {"Fracture": "1.0"}), 0) == {"Normal": 0}
    assert "Normal" not in said(chexpert(tmp_path, {"Support Devices": "1.0", "Edema": "0.0"}), 0)


def test_a_wider_label_tells_absence_only(tmp_path):
    found = said(chexpert(tmp_path, {"Lung Lesion": "1.0", "Pleural Other": "0.0"}), 0)
    assert found == {"Normal": 0, "Pleural_Thickening": 0}
    assert said(chexpert(tmp_path, {"Lung Lesion": "0.0"}), 0) == {"Mass": 0, "Nodule": 0}


def test_labels_without_a_twin_are_counted_or_kept(tmp_path):
    marks = {"Lung Opacity": "1.0", "Support Devices": "0.0", "Edema": "1.0"}
    assert chexpert(tmp_path, marks).other_labels["Lung Opacity"] == 1
    kept = chexpert(tmp_path, marks, keep_others=True)
    assert kept.labels[: len(FINDING_LABELS)] == FINDING_LABELS
    assert said(kept, 0)["Lung_Opacity"] == 1 and said(kept, 0)["Support_Devices"] == 0
    assert "Lung_Opacity" not in kept.other_labels


def test_lateral_films_are_left_out_unless_asked_for(tmp_path):
    rows = [
        chexpert_row("train/patient00001/study1/view1_frontal.jpg", {"Edema": "1.0"}),
        chexpert_row("train/patient00001/study1/view2_lateral.jpg", {"Edema": "1.0"}, side="Lateral"),
        chexpert_row("train/patient00002/study1/view1_frontal.jpg", {"Edema": "2.0"}),
        chexpert_row("train/patient00003/study1/view1_frontal.jpg", {}),
    ]
    root = write_chexpert(tmp_path, rows)
    write_chexpert(
        root, [chexpert_row("valid/patient64541/study1/view1_frontal.jpg", {"Edema": "0.0"})], "valid.csv"
    )
    images = read_source(f"chexpert:{root}")
    assert images.official == (Split.TRAIN, Split.VALIDATION)
    assert images.left_out == {LeftOut.LATERAL: 1, LeftOut.BAD_CELL: 1, LeftOut.NO_LABEL: 1}
    both = read_source(f"chexpert:{root}?views=all")
    assert both.view == (View.AP, View.LATERAL, View.AP) and len(np.unique(both.group)) == 2


def write_mimic(root, labels, images):
    """Labels: study to marks. Images: (dicom, subject, study, view, split)."""
    order = sorted(OBSERVATIONS)
    header = ("subject_id", "study_id", *order)
    write_csv(root / "mimic-cxr-2.0.0-chexpert.csv", header, [
        (subject, study, *(marks.get(name, "") for name in order)) for subject, study, marks in labels
    ])  # fmt: skip
    write_csv(
        root / "mimic-cxr-2.0.0-metadata.csv",
        ("dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition", "Rows"),
        [
            (dicom, subject, study, "CHEST (PA AND LAT)", view, 3056)
            for dicom, subject, study, view, _ in images
        ],
    )
    write_csv(
        root / "mimic-cxr-2.0.0-split.csv",
        ("dicom_id", "study_id", "subject_id", "split"),
        [(dicom, study, subject, part) for dicom, subject, study, _, part in images],
    )
    for dicom, subject, study, _, _ in images:
        touch(root / "files" / f"p{subject[:2]}" / f"p{subject}" / f"s{study}" / f"{dicom}.jpg")
    return root


def dicom(number: int) -> str:
    return "-".join(f"{number:08x}" for _ in range(5))


def test_mimic_joins_labels_split_and_view(tmp_path):
    root = write_mimic(
        tmp_path,
        [
            ("10000032", "50414267", {"Edema": "1.0", "Pneumonia": "-1.0"}),
            ("10000764", "57375967", {"No Finding": "1.0"}),
        ],
        [
            (dicom(1), "10000032", "50414267", "PA", "train"),
            (dicom(2), "10000032", "50414267", "LATERAL", "train"),
            (dicom(3), "10000764", "57375967", "AP", "test"),
            (dicom(4), "10000764", "57375967", "", "test"),
            (dicom(5), "10000980", "50985099", "AP", "validate"),
        ],
    )
    images = read_source(f"mimic:{root}")
    assert images.official == (Split.TRAIN, Split.TEST) and images.view == (View.PA, View.AP)
    assert images.files[0] == root / "files/p10/p10000032/s50414267" / f"{dicom(1)}.jpg"
    assert said(images, 0) == {"Edema": 1, "Normal": 0} and said(images, 1)["Normal"] == 1
    assert images.patient == ("mimic:10000032", "mimic:10000764")
    assert images.left_out == {LeftOut.LATERAL: 1, LeftOut.NO_VIEW: 1, LeftOut.NO_STUDY: 1}
    assert len(read_source(f"mimic:{root}?views=all&uncertain=ones")) == 4


def test_mimic_labels_of_the_other_labeler(tmp_path):
    root = write_mimic(
        tmp_path,
        [("10000032", "50414267", {"Edema": "1.0"})],
        [(dicom(1), "10000032", "50414267", "PA", "train")],
    )
    with pytest.raises(DataError, match="negbio"):
        read_source(f"mimic:{root}?labels=negbio")
    text = (root / "mimic-cxr-2.0.0-chexpert.csv").read_text().replace("1.0", "0.0")
    write(root / "mimic-cxr-2.0.0-negbio.csv.gz", text)
    assert said(read_source(f"mimic:{root}?labels=negbio"), 0) == {"Edema": 0}


# VinDr-CXR


def write_vindr(root, votes):
    """Votes: image to one set of labels a radiologist."""
    rows = [
        (image, f"R{reader}", *(int(label in marks) for label in VINDR_LABELS))
        for image, readers in votes.items()
        for reader, marks in enumerate(readers)
    ]
    write_csv(root / "annotations" / "image_labels_train.csv", ("image_id", "rad_id", *VINDR_LABELS), rows)
    touch(*(root / "train" / f"{image}.dicom" for image in votes))
    return root


@pytest.mark.parametrize(("policy", "expected"), [("majority", 0), ("any", 1), ("unanimous", None)])
def test_vindr_votes(tmp_path, policy, expected):
    root = write_vindr(tmp_path, {"a" * 32: [{"Pneumothorax"}, {"Cardiomegaly"}, {"Cardiomegaly"}]})
    found = said(read_source(f"vindr:{root}?votes={policy}"), 0)
    assert found.get("Pneumothorax") == expected
    assert found["Effusion"] == 0 and "Hernia" not in found and "COVID-19" not in found


def test_vindr_tells_a_tie_and_a_wider_label(tmp_path):
    root = write_vindr(
        tmp_path,
        {"b" * 32: [{"Nodule/Mass", "Edema"}, {"Nodule/Mass"}], "c" * 32: [{"No finding"}, {"No finding"}]},
    )
    write_csv(root / "annotations" / "image_labels_test.csv", ("image_id", *VINDR_LABELS), [
        ("d" * 32, *(int(label == "Tuberculosis") for label in VINDR_LABELS))
    ])  # fmt: skip
    touch(root / "test" / ("d" * 32 + ".png"))
    images = read_source(f"vindr:{root}")
    first, second, third = (said(images, row) for row in range(3))
    assert "Edema" not in first and "Mass" not in first and first["Normal"] == 0
    assert second["Normal"] == 1 and second["Mass"] == 0 and second["Nodule"] == 0
    assert third["Tuberculosis"] == 1 and images.files[2].suffix == ".png"
    assert images.official == (Split.TRAIN, Split.TRAIN, Split.TEST)
    assert images.other_labels["Nodule/Mass"] == 1


# The mappings, boxes and adjudicated labels


@pytest.mark.parametrize("mappings", [CHEXPERT, VINDR, GOOGLE])
def test_every_mapping_is_whole(mappings):
    for mapping in mappings:
        assert set(mapping.ours) <= set(FINDING_LABELS) and mapping.reason
        assert len(mapping.ours) == {Meaning.SAME: 1, Meaning.NONE: 0}.get(mapping.meaning, len(mapping.ours))
    same = [mapping.ours[0] for mapping in mappings if mapping.meaning is Meaning.SAME]
    assert len(same) == len(set(same))
    assert {mapping.theirs for mapping in CHEXPERT} == set(OBSERVATIONS)
    assert {mapping.theirs for mapping in VINDR} >= set(VINDR_LABELS)


def test_nih_boxes(tmp_path):
    path = write(
        tmp_path / "b.csv",
        'Image Index,Finding Label,"Bbox [x",y,w,h],,,\na.png,Infiltrate,1.5,2,30,40.25,,,\n',
    )
    (box,) = read_nih_boxes(path)
    assert (box.image, box.label, box.left, box.height) == ("a.png", "Infiltration", 1.5, 40.25)
    for bad in ("a.png,Mass,1,2,0,4", "a.png,Mass,x,2,3,4", "a.png,Mass,1,2,inf,4", "a.png,Mass,-1,2,3,4"):
        write(path, f"Image Index,Finding Label,Bbox [x,y,w,h],,,\n{bad}\n")
        with pytest.raises(DataError, match="box"):
            read_nih_boxes(path)


def test_vindr_boxes(tmp_path):
    path = write(
        tmp_path / "b.csv",
        "image_id,rad_id,class_name,x_min,y_min,x_max,y_max\n"
        "x,R1,No finding,,,,\nx,R2,Pleural effusion,10,20,110,220\nx,R2,Nodule/Mass,1,2,3,4\n",
    )
    first, second = read_vindr_boxes(path)
    assert (first.label, first.width, first.height, first.reader) == ("Effusion", 100, 200, "R2")
    assert second.label == "Nodule/Mass"


def test_adjudicated_labels(tmp_path):
    header = (
        "Image Index",
        "Finding Labels",
        "Patient ID",
        "Fracture",
        "Pneumothorax",
        "Airspace opacity",
        "Nodule or mass",
        "Set Id",
    )
    path = write_csv(
        tmp_path / "a.csv", header, [("a.png", "Mass|Effusion", "1", "NO", "YES", "NO", "NO", "test")]
    )
    table = read_adjudicated(path)
    assert table.truth.tolist() == [[0, 1, 0, 0]] and table.part == ("test",)
    assert table.text[0, FINDING_LABELS.index("Mass")] == 1
    write_csv(path, header, [("a.png", "Mass", "1", "NO", "MAYBE", "NO", "NO", "test")])
    with pytest.raises(DataError, match="neither YES nor NO"):
        read_adjudicated(path)
