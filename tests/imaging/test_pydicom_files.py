"""The files that pydicom ships for its own tests: decoded as pydicom does, or refused for the true reason."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import dcmread

from tetkik.errors import InputError
from tetkik.imaging.decoders import rgb_of_ybr
from tetkik.imaging.deidentify import BurnedIn, Options, deidentify_bytes, new_secret
from tetkik.imaging.dicom import parse_dicom
from tetkik.imaging.dicom_pixels import read_frame, read_layout
from tetkik.imaging.gate import judge
from tetkik.imaging.limits import suppress_library_warnings
from tetkik.imaging.read import read_bytes
from tetkik.language import Language
from tetkik.values import DisplayPixels, Flaw, Radiograph

DATA = Path(pydicom.__file__).parent / "data"
NO_DICOM = "neither DICOM nor PNG"
NO_PIXELS = "describes an image and holds no pixels"
REFUSED = {
    "FileInfo.txt": NO_DICOM,
    "README.txt": NO_DICOM,
    "README": NO_DICOM,
    "crayons.icc": NO_DICOM,
    "rtplan.dump": NO_DICOM,
    "rtstruct.dump": NO_DICOM,
    "test1.json": NO_DICOM,
    "test_PN.json": NO_DICOM,
    "zipMR.gz": NO_DICOM,
    "no_meta.dcm": NO_DICOM,
    "chrJapMulti.dcm": NO_PIXELS,
    "chrJapMultiExplicitIR6.dcm": NO_PIXELS,
    "chrKoreanMulti.dcm": NO_PIXELS,
    "chrSQEncoding.dcm": NO_PIXELS,
    "chrSQEncoding1.dcm": NO_PIXELS,
    "UN_sequence.dcm": NO_PIXELS,
    "no_meta_group_length.dcm": NO_PIXELS,
    "priv_SQ.dcm": NO_PIXELS,
    "TINY_ALPHA": NO_PIXELS,
    "empty_charset_LEI.dcm": "does not say what it holds",
    "ExplVR_BigEndNoMeta.dcm": r"\(RT Ion Plan Storage\)",
    "ExplVR_LitEndNoMeta.dcm": r"\(RT Ion Plan Storage\)",
    "rtplan.dcm": r"\(RT Plan Storage\)",
    "rtplan_truncated.dcm": r"\(RT Plan Storage\)",
    "rtstruct.dcm": r"\(RT Structure Set Storage\)",
    "reportsi.dcm": r"\(Basic Text SR Storage\)",
    "reportsi_with_empty_number_tags.dcm": r"\(Basic Text SR Storage\)",
    "test-SR.dcm": r"\(Comprehensive SR Storage\)",
    "waveform_ecg.dcm": r"\(12-lead ECG Waveform Storage\)",
    "DICOMDIR": r"\(Media Storage Directory Storage\)",
    "MR_truncated.dcm": "ends before its image does",
    "JPEG2000-embedded-sequence-delimiter.dcm": "cannot be decoded, as it is damaged",
    "meta_missing_tsyntax.dcm": "does not say its Rows",
    "nested_priv_SQ.dcm": "does not say its Rows",
}
"""By the name of the file or of a folder, why it is no image. pydicom decodes none of them."""
BEYOND = {"JPEG-lossy.dcm", "JPGExtended.dcm", "badVR.dcm"}
"""What pydicom does not decode with the libraries that are installed here."""


@cache
def files() -> dict[Path, bytes]:
    paths = (path for part in ("test_files", "charset_files") for path in (DATA / part).rglob("*"))
    return {path: path.read_bytes() for path in sorted(paths) if path.is_file()}


def reason_for(path: Path) -> str | None:
    names = [path.name, *path.parent.parts]
    if path.name.startswith("DICOMDIR"):
        names.append("DICOMDIR")
    return next((REFUSED[name] for name in names if name in REFUSED), None)


@cache
def read_all() -> dict[Path, Radiograph]:
    """Every file that is an image; those that are none are refused for the reason of the table."""
    images = {}
    for path, data in files().items():
        reason = reason_for(path)
        if reason is None:
            images[path] = read_bytes(data, "x")
            continue
        with pytest.raises(InputError, match=f"^x .*{reason}"):
            read_bytes(data, "x")
    return images


def frames_of(data: bytes) -> list[np.ndarray]:
    """Every frame as it is stored; what pydicom's `pixel_array` gives, with the colour transform undone."""
    with suppress_library_warnings():
        dataset, syntax = parse_dicom(data, "x")
        layout = read_layout(dataset, syntax, "x")
    frames = [read_frame(dataset, layout, index, "x") for index in range(layout.frames)]
    if layout.is_float:
        return [frame.samples for frame in frames]
    return [
        rgb_of_ybr(frame.samples) if frame.is_ybr else frame.words.stored_in(frame.samples)
        for frame in frames
    ]


def test_what_pydicom_decodes_is_decoded_alike():
    assert len(read_all()) == 103
    for path, data in files().items():
        if reason_for(path) is not None or path.name in BEYOND:
            continue
        with suppress_library_warnings():
            theirs = dcmread(path).pixel_array
        ours = np.stack(frames_of(data))
        assert np.array_equal(ours.reshape(theirs.shape), theirs), path.name


def test_what_is_refused_pydicom_does_not_decode_either():
    for path in files():
        if reason_for(path) is not None:
            with suppress_library_warnings(), pytest.raises((AttributeError, RuntimeError, ValueError)):
                _ = dcmread(path, force=True).pixel_array


def test_a_viewer_gets_colours_and_units():
    shown = {path.name: image.display for path, image in read_all().items()}
    for name in (
        "examples_rgb_color.dcm",
        "examples_palette.dcm",
        "examples_ybr_color.dcm",
        "SC_rgb_rle_32bit.dcm",
    ):
        display = shown[name]
        assert display is not None and display.is_colour and display.values.dtype == np.uint8
    assert {name for name, one in shown.items() if one and one.scale and one.scale.unit == "HU"} >= {
        "CT_small.dcm"
    }
    ct, dose = shown["CT_small.dcm"], shown["rtdose.dcm"]
    with suppress_library_warnings():
        assert np.array_equal(
            values(ct), np.clip(dcmread(DATA / "test_files/CT_small.dcm").pixel_array - 1024, -1024, 3071)
        )
        file = dcmread(DATA / "test_files/rtdose.dcm")
    assert np.abs(values(dose) - file.pixel_array[7] * 1e-6).max() < 1e-5
    assert dose is not None and 0 < dose.window[1] <= dose.white <= 65_535


def values(display: DisplayPixels | None) -> np.ndarray:
    assert display is not None and display.scale is not None
    return display.values * display.scale.slope + display.scale.intercept


def test_no_model_reads_what_none_was_taught():
    """Whatever can be decoded gets an answer; none of these files is a film or a large enough slice."""
    for path, image in read_all().items():
        answer = judge(image)
        assert not answer.suitable and answer.words(Language.TR), path.name
        if image.tags.modality in ("RTDOSE", "CT", "US"):
            assert [reason.flaw for reason in answer.reasons] == [Flaw.NOT_A_RADIOGRAPH], path.name
            assert f"of the kind {image.tags.modality}" in answer.words(Language.EN)[0]


def test_deidentified_pixels_are_those_of_the_original():
    secret, options = new_secret(), Options(burned_in=BurnedIn.WARN)
    for path, data in files().items():
        if reason_for(path) is not None:
            try:
                deidentify_bytes(data, "x", secret, options)
            except InputError as error:
                assert re.search(DEIDENTIFIED_NEVER, str(error)), path.name
            continue
        content, _, _ = deidentify_bytes(data, "x", secret, options)
        for one, other in zip(frames_of(data), frames_of(content), strict=True):
            assert np.array_equal(one, other), path.name


DEIDENTIFIED_NEVER = (
    "is not a DICOM file|holds no pixels|does not say what it is|is a DICOMDIR|is a document or a report"
)
