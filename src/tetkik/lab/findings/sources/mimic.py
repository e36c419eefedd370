"""MIMIC-CXR-JPG: labels by study, split and view by image, files as `files/p10/p10000032/s.../DICOM.jpg`.

Johnson et al., "MIMIC-CXR-JPG", 2019 (PhysioNet). The label files are those of the CheXpert labeler and of
NegBio, with the observations of CheXpert; what holds for its blanks and for No Finding holds here.
"""

from __future__ import annotations

from pathlib import Path

from tetkik.files import inside
from tetkik.findings.label_names import view_named
from tetkik.lab.engine.tables import read_table
from tetkik.lab.findings.sources.chexpert import OBSERVATIONS, VIEWS, observations, view_faults
from tetkik.lab.findings.sources.files import ImageFolder, Reading, SourceSpec, the_file
from tetkik.lab.findings.sources.hospital_table import split_named
from tetkik.lab.findings.sources.rows import UNCERTAIN_OPTIONS, LeftOut, Rows, settled

_LABELERS = ("chexpert", "negbio")
_METADATA = ("dicom_id", "subject_id", "study_id", "ViewPosition")


OPTIONS = {"labels": _LABELERS, "views": VIEWS, "images": (), **UNCERTAIN_OPTIONS}


def read_mimic(spec: SourceSpec, how: Reading) -> Rows:
    """Read MIMIC-CXR-JPG from its folder: the images of the metadata table, each with its study's labels."""
    labeler = spec.options.get("labels", _LABELERS[0])
    labels = read_table(
        the_file(spec.path, f"mimic-cxr-*-{labeler}.csv*"), need=("subject_id", "study_id", *OBSERVATIONS)
    )
    images = read_table(the_file(spec.path, "mimic-cxr-*-metadata.csv*"), need=_METADATA, wanted=_METADATA)
    splits = read_table(the_file(spec.path, "mimic-cxr-*-split.csv*"), need=("dicom_id", "split"))
    part = dict(zip(splits["dicom_id"], map(split_named, splits["split"]), strict=True))
    row_of = {study: row for row, study in enumerate(labels["study_id"])}
    studies = [row_of.get(study, -1) for study in images["study_id"]]
    marks, wrong = settled({name: labels[name] for name in OBSERVATIONS}, spec.options)
    translated = observations(marks, labels.rows, keep_others=how.keep_others)
    views = [view_named(cell) for cell in images["ViewPosition"]]
    faults = [
        fault or (LeftOut.NO_STUDY if study < 0 else LeftOut.BAD_CELL if wrong[study] else None)
        for fault, study in zip(
            view_faults(views, images["ViewPosition"], spec.options), studies, strict=True
        )
    ]
    names, patients = images["dicom_id"], images["subject_id"]
    return Rows(
        origin="mimic",
        names=[
            inside(f"files/p{patient[:2]}/p{patient}/s{study}/{image}.jpg")
            for image, patient, study in zip(names, patients, images["study_id"], strict=True)
        ],
        labels=translated.labels,
        truth=translated.truth[studies] if labels.rows else translated.truth,
        public_patient=[f"mimic:{patient}" for patient in patients],
        image=[f"mimic:{image}" for image in names],
        view=views,
        official=[part.get(image) for image in names],
        left_out=labels.left_out() + images.left_out() + splits.left_out(),
        other_labels=translated.others,
    ).usable(ImageFolder(Path(spec.options.get("images", spec.path)), check=how.check_files).find, faults)
