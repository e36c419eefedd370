"""No identifier is left anywhere in a de-identified file, and what belongs together stays together."""

from __future__ import annotations

import io
import re
from datetime import date
from uuid import RFC_4122, UUID

import numpy as np
import pydicom
import pytest
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from tests.phantom import write_phantom
from tetkik.errors import InputError
from tetkik.imaging.deidentify import Options, Secret, deidentify_bytes
from tetkik.imaging.deidentify.profile import TagAction, basic_profile

SECRET = Secret(b"0123456789abcdef")
WORD, NAME, NUMBER = "ZQXWORD", "ŞAHİNOĞLU", "QX7781234"
UID_PART, DAY, YEARS = "1.2.3.99887766", "19530929", "098Y"
OF_VR = {
    "AE": WORD,
    "AS": YEARS,
    "CS": WORD,
    "DA": DAY,
    "DT": f"{DAY}101112",
    "LO": WORD,
    "LT": WORD,
    "OB": WORD.encode() + b"\0",
    "PN": f"{WORD}^{WORD}",
    "SH": WORD,
    "ST": WORD,
    "UC": WORD,
    "UI": UID_PART,
    "UN": WORD.encode() + b"\0",
    "UR": f"http://{WORD}",
    "UT": WORD,
}
NUMERIC = {"DS", "IS", "FD", "FL", "SV", "UV", "SL", "UL"}
NEEDED = {"SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID", "PatientName"}


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    file = tmp_path_factory.mktemp("phantom") / "p.dcm"
    write_phantom(file, 1, rows=128, columns=120, marker=False)
    return file.read_bytes()


@pytest.fixture
def dataset(phantom):
    found = pydicom.dcmread(io.BytesIO(phantom))
    found.PatientName, found.PatientID = f"{NAME}^AYŞE", NUMBER
    return found


def saved(dataset):
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def deidentified(dataset, options=None, secret=SECRET):
    content, uid, _ = deidentify_bytes(saved(dataset), "file", secret, options)
    again = pydicom.dcmread(io.BytesIO(content))
    assert again.SOPInstanceUID == uid == again.file_meta.MediaStorageSOPInstanceUID
    return content, again


def traces(content, *more):
    wanted = (WORD, NAME, NUMBER, UID_PART, DAY, *more)
    forms = {form for word in wanted for form in (word.encode(), word.encode("iso8859-9", "ignore"))}
    return [form for form in forms if form in content]


def test_every_attribute_of_the_table_is_gone(dataset):
    tags = [pydicom.tag.Tag(tag) for tag in basic_profile().actions]
    skipped = {"EncapsulatedDocument", "ContentSequence", "DataSetTrailingPadding", *NEEDED}
    tried = 0
    for tag in tags:
        keyword, vr = keyword_for_tag(tag), dictionary_VR(tag).split(" or ")[0]
        if keyword in skipped or tag.group in (0, 2, 4) or (vr not in OF_VR and vr != "SQ"):
            continue
        if vr == "SQ":
            item = Dataset()
            item.CodeMeaning, item.PatientComments, item.PersonName = "chest", WORD, f"{WORD}^X"
            item.ReferencedSOPInstanceUID = UID_PART
            dataset.add_new(tag, vr, Sequence([item]))
        else:
            dataset.add_new(tag, vr, OF_VR[vr])
        tried += 1
    assert tried > 530
    content, _ = deidentified(dataset)
    assert traces(content, YEARS) == []
    content, _ = deidentified(dataset, Options(shift_dates=True))
    assert traces(content, YEARS) == []


def test_the_table_is_the_standards():
    profile = basic_profile()
    assert profile.edition == "2024b" and len(profile.actions) > 600
    stated = {
        "PatientName": TagAction.EMPTY,
        "PatientID": TagAction.DUMMY,
        "PatientAge": TagAction.REMOVE,
        "StudyDate": TagAction.EMPTY,
        "ContentDate": TagAction.DUMMY,
        "SeriesDescription": TagAction.REMOVE,
        "StationName": TagAction.DUMMY,
        "SOPInstanceUID": TagAction.UID,
        "SourceImageSequence": TagAction.KEEP,
    }
    for keyword, action in stated.items():
        assert profile.actions[int(pydicom.tag.Tag(keyword))] is action, keyword


@pytest.mark.filterwarnings("ignore:.*:UserWarning:pydicom")
def test_the_name_is_looked_for_where_no_table_expects_it(dataset):
    for keyword, vr in (
        ("ManufacturerModelName", "LO"),
        ("CollimatorGridName", "SH"),
        ("BodyPartExamined", "CS"),
        ("FilterMaterial", "CS"),
        ("TransducerData", "LO"),
    ):
        dataset.add_new(keyword, vr, f"x {NAME.lower()}" if vr != "CS" else "QX7781234")
    dataset.AnatomicRegionSequence[0].CodeMeaning = f"chest of {NAME}"
    dataset.SoftwareVersions = ["1.0", NUMBER.lower()]
    content, again = deidentified(dataset)
    assert traces(content) == [] and NAME.lower().encode() not in content
    assert not again.ManufacturerModelName and again.SoftwareVersions == ["1.0", ""]


@pytest.mark.attack
def test_an_identity_within_the_digits_of_a_number_is_gone(dataset):
    number, known, day = "10000000146", "7781234", "19530929"
    dataset.PatientID, dataset.PatientBirthDate = f"A-{known}", day
    planted = {
        "RescaleSlope": ("DS", f"0.{number}"),
        "RescaleIntercept": ("DS", "1000000.0146"),
        "KVP": ("DS", "1.0000000146E10"),
        "PixelSpacing": ("DS", [f"0.1{known}", "0.5"]),
        "ImagerPixelSpacing": ("DS", [f"0.{day}", f"{day[:4]}.{day[4:]}"]),
        "ImagePositionPatient": ("DS", ["-123.456789012", "0.1", "987.65432101"]),
        "ExposureTimeInms": ("FD", float(number)),
        "DiffusionBValue": ("FD", float(f"1.{number}")),
        "TableSpeed": ("FD", 12.5),
        "RecommendedDisplayFrameRateInFloat": ("FL", 7781234.0),
        "FileOffsetInContainer": ("UV", int(number)),
        "SelectorULValue": ("UL", int(day)),
    }
    for keyword, (vr, value) in planted.items():
        dataset.add_new(keyword, vr, value)
    _, again = deidentified(dataset)
    digits = " ".join(re.sub(r"[^\d ]", "", str(element.value)) for element in again if element.VR in NUMERIC)
    assert [word for word in (number, known, day) if word in digits] == []
    assert str(again.ImagePositionPatient[0]) == "-123.456789012" and again.TableSpeed == 12.5
    assert float(again.RescaleSlope) == pytest.approx(0.1, abs=1e-8)  # rounded, for it is still of use
    assert again.KVP is None and again.DiffusionBValue == 1.1


def test_geometry_keeps_its_digits_unless_they_are_an_identity_number(dataset):
    """Eleven of many digits pass the check of an identity number now and then; -1234.5678901 was -1234.6."""
    cosines = ["0.98598873566372", "0", "1", "0", "1", "0"]
    place = ["-1234.5678901", "-1.10000000146", "7.7812345"]
    dataset.PatientID = "A-7812345"
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = place, cosines
    _, again = deidentified(dataset)
    assert [float(one) for one in again.ImageOrientationPatient] == [float(one) for one in cosines]
    assert [float(one) for one in again.ImagePositionPatient] == [-1234.5678901, -1.1, 7.781234]


@pytest.mark.attack
def test_a_name_in_pieces_of_two_letters_is_gone_and_words_of_technique_stay(dataset):
    dataset.PatientName = "Er^Su"
    planted = {"ManufacturerModelName": "SU ER", "CollimatorGridName": "er", "TransducerData": "Probe ER, su"}
    for keyword, value in planted.items():
        dataset.add_new(keyword, dictionary_VR(keyword).split(" or ")[0], value)
    kept = {"ViewPosition": "PA", "ConvolutionKernel": "SU 3", "FilterMaterial": "ER"}
    for keyword, value in kept.items():
        dataset.add_new(keyword, dictionary_VR(keyword).split(" or ")[0], value)
    _, again = deidentified(dataset)
    assert [keyword for keyword in planted if again.get(keyword)] == []
    assert [again.get(keyword) for keyword in ("ViewPosition", "FilterMaterial")] == ["PA", "ER"]


def test_text_of_any_kind_that_no_table_knows_is_gone(dataset):
    texts = {
        "LT": "ManufacturerModelName",  # the dictionary says otherwise: LO
        "PN": "EvaluatorName",
        "DA": "DateOfGainCalibration",
        "UR": "PixelDataProviderURL",
        "UT": "KVP",
        "ST": "DetectorDescription",
    }
    for vr, keyword in texts.items():
        dataset.add_new(keyword, vr, OF_VR[vr])
    dataset.add_new((0x0009, 0x0010), "LO", WORD)
    dataset.add_new((0x0009, 0x1001), "LT", WORD)
    dataset.add_new((0x0018, 0x9FFE), "LO", WORD)  # no such attribute
    content, again = deidentified(dataset)
    assert traces(content) == []
    assert not [element for element in again if element.tag.is_private]


def test_what_lies_beside_the_attributes_is_gone(dataset):
    dataset.preamble = WORD.encode().ljust(128, b"\0")
    dataset.file_meta.SourceApplicationEntityTitle = WORD
    dataset.file_meta.PrivateInformationCreatorUID = UID(UID_PART)
    dataset.file_meta.PrivateInformation = WORD.encode() + b"\0"
    for group in (0x6000, 0x6002):
        dataset.add_new((group, 0x0010), "US", 16)
        dataset.add_new((group, 0x0022), "LO", WORD)
        dataset.add_new((group, 0x3000), "OW", WORD.encode() + b"\0")
        dataset.add_new((group, 0x4000), "LT", WORD)
    dataset.add_new((0x5000, 0x0022), "LO", WORD)
    dataset.add_new((0x5000, 0x3000), "OW", WORD.encode() + b"\0")
    dataset.add_new((0xFFFC, 0xFFFC), "OB", WORD.encode() + b"\0")
    content, again = deidentified(dataset)
    assert traces(content) == []
    assert set(content[:128]) == {0}
    assert not [element for element in again if element.tag.group & 0xFF00 in (0x5000, 0x6000)]


def test_sequences_are_walked_to_the_bottom(dataset):
    item = dataset
    for _ in range(8):
        inner = Dataset()
        inner.PatientName, inner.PatientComments, inner.ReferencedSOPInstanceUID = f"{WORD}^A", WORD, UID_PART
        inner.add_new((0x0011, 0x0010), "LO", WORD)
        item.DerivationCodeSequence = Sequence([inner])
        item = inner
    content, again = deidentified(dataset)
    assert traces(content) == []
    assert again.DerivationCodeSequence[0].DerivationCodeSequence[0].ReferencedSOPInstanceUID == SECRET.uid(
        UID_PART
    )


def test_bits_that_no_pixel_uses_are_blanked(dataset):
    pixels = dataset.pixel_array.copy()
    hidden = pixels.ravel().copy()
    hidden[:200] |= (np.frombuffer(WORD.encode() * 29, np.uint8)[:200] & 0xF).astype(np.uint16) << 12
    dataset.PixelData = hidden.tobytes() + WORD.encode() + b"\0"
    dataset.add_new((0x6000, 0x0100), "US", 16)
    dataset.add_new((0x6000, 0x0102), "US", 12)
    content, again = deidentified(dataset)
    assert traces(content) == []
    assert np.array_equal(np.frombuffer(again.PixelData, "<u2").reshape(pixels.shape), pixels)


def test_signed_pixels_keep_their_sign(dataset):
    signed = dataset.pixel_array.astype(np.int16) - 2048
    dataset.PixelData, dataset.PixelRepresentation = signed.tobytes(), 1
    _, again = deidentified(dataset)
    assert np.array_equal(again.pixel_array, signed)


@pytest.mark.parametrize(
    "syntax",
    [f"1.2.840.10008.1.2{rest}" for rest in ("", ".1.99", ".2", ".5", ".4.80", ".4.90", ".4.91")],
)
def test_the_image_stays_bit_for_bit(tmp_path, syntax):
    write_phantom(tmp_path / "p.dcm", 1, rows=64, columns=72, transfer_syntax=syntax, marker=False)
    content, _, _ = deidentify_bytes((tmp_path / "p.dcm").read_bytes(), "p", SECRET)
    before, after = pydicom.dcmread(tmp_path / "p.dcm"), pydicom.dcmread(io.BytesIO(content))
    assert after.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(before.pixel_array, after.pixel_array)
    assert after.PatientIdentityRemoved == "YES"


def test_uids_are_replaced_alike_everywhere(dataset):
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = (
        dataset.SOPClassUID,
        dataset.SOPInstanceUID,
    )
    other = pydicom.dcmread(io.BytesIO(saved(dataset)))
    other.SOPInstanceUID = generate_uid()
    other.SourceImageSequence = Sequence([reference])
    _, first = deidentified(dataset)
    _, second = deidentified(other)
    assert first.StudyInstanceUID == second.StudyInstanceUID != dataset.StudyInstanceUID
    assert first.PatientID == second.PatientID != NUMBER
    assert second.SourceImageSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert second.SourceImageSequence[0].ReferencedSOPClassUID == dataset.SOPClassUID
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.SOPInstanceUID.startswith("2.25.") and first.SOPInstanceUID.is_valid
    _, foreign = deidentified(dataset, secret=Secret(b"another key, as long"))
    assert foreign.StudyInstanceUID != first.StudyInstanceUID and foreign.PatientID != first.PatientID


def test_dates_are_removed_or_moved_together(dataset):
    dataset.StudyDate, dataset.SeriesDate, dataset.AcquisitionDateTime = (
        "20240131",
        "20240202",
        "20240203101112.5",
    )
    dataset.DateOfGainCalibration = "20230101"
    _, removed = deidentified(dataset)
    assert removed.StudyDate == "" and removed.SeriesDate == "19000101"
    assert "DateOfGainCalibration" not in removed
    assert removed.LongitudinalTemporalInformationModified == "REMOVED"
    _, moved = deidentified(dataset, Options(shift_dates=True))
    days = [date(int(v[:4]), int(v[4:6]), int(v[6:8])) for v in (moved.StudyDate, moved.SeriesDate)]
    assert (days[1] - days[0]).days == 2 and days[0] < date(2024, 1, 2)
    assert moved.AcquisitionDateTime.endswith("101112.5") and moved.StudyTime == "120000"
    assert moved.PatientBirthDate == "" and moved.LongitudinalTemporalInformationModified == "MODIFIED"
    dataset.SOPInstanceUID = generate_uid()
    _, again = deidentified(dataset, Options(shift_dates=True))
    assert again.StudyDate == moved.StudyDate


@pytest.mark.parametrize("value", ["2024", "20241399", "yesterday", "20240101-20240301"])
@pytest.mark.filterwarnings("ignore:.*:UserWarning:pydicom")
def test_what_is_no_date_is_not_moved_but_removed(dataset, value):
    with pydicom.config.disable_value_validation():
        dataset.add_new("StudyDate", "DA", value)
        dataset.add_new("AcquisitionDateTime", "DT", f"{value}{WORD}")
        dataset.add_new("StudyTime", "TM", WORD)
        content, again = deidentified(dataset, Options(shift_dates=True))
    assert traces(content) == [] and value not in str(again.get("StudyDate"))


def test_characteristics_are_kept_when_asked_for(dataset):
    dataset.PatientSex, dataset.PatientSize, dataset.PatientAge = "F", "1.65", "093Y"
    _, without = deidentified(dataset)
    assert without.PatientSex == "" and "PatientAge" not in without and "PatientSize" not in without
    _, kept = deidentified(dataset, Options(keep_characteristics=True))
    assert (kept.PatientSex, kept.PatientSize, kept.PatientAge) == ("F", 1.65, "090Y")
    assert kept.PatientBirthDate == ""


def test_the_file_says_what_was_done(dataset):
    _, plain = deidentified(dataset)
    _, both = deidentified(dataset, Options(shift_dates=True, keep_characteristics=True))
    codes = [[code.CodeValue for code in file.DeidentificationMethodCodeSequence] for file in (plain, both)]
    assert codes == [["113100"], ["113100", "113107", "113108"]]
    assert plain.PatientIdentityRemoved == "YES"
    assert all(len(line) <= 64 for line in plain.DeidentificationMethod)
    assert plain.BodyPartExamined == "CHEST" and plain.ViewPosition == "PA"  # the image keeps its meaning


def test_a_file_without_its_head_is_done_too(dataset):
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, implicit_vr=False, little_endian=True, enforce_file_format=False)
    whole = stream.getvalue()
    headless = whole[whole.index(b"\x08\x00\x05\x00CS") :]
    content, _, _ = deidentify_bytes(headless, "headless", SECRET)
    assert traces(content) == []
    assert pydicom.dcmread(io.BytesIO(content)).file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


def refusal(content):
    with pytest.raises(InputError) as caught:
        deidentify_bytes(content, "FILE.dcm", SECRET)
    message = str(caught.value)
    assert "FILE.dcm" in message and WORD not in message and NAME not in message
    return message


def test_what_cannot_be_done_is_refused(dataset, phantom):
    assert "not a DICOM" in refusal(b"GIF89a" + bytes(500))
    dataset.ContentSequence = Sequence([Dataset()])
    assert "report" in refusal(saved(dataset))
    del dataset.ContentSequence
    dataset.EncapsulatedDocument = WORD.encode() + b"\0"
    assert "document" in refusal(saved(dataset))
    del dataset.EncapsulatedDocument
    dataset.DirectoryRecordSequence = Sequence()
    assert "DICOMDIR" in refusal(saved(dataset))
    refusal(phantom[: len(phantom) // 3])
    refusal(phantom[:600])


def test_video_is_refused(dataset):
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.102")
    dataset.PixelData = pydicom.encaps.encapsulate([WORD.encode() * 10])
    dataset["PixelData"].is_undefined_length = True
    dataset["PixelData"].VR = "OB"
    refusal(saved(dataset))


def test_a_new_uid_is_a_uuid_of_version_8():
    """Made by a rule of one's own, and not drawn at random (RFC 9562, 5.8)."""
    for number in range(50):
        made = UUID(int=int(SECRET.uid(f"1.2.{number}").removeprefix("2.25.")))
        assert made.version == 8 and made.variant == RFC_4122


def test_dates_of_each_patient_move_by_a_number_of_days_of_their_own():
    shifts = [SECRET.shift(f"patient {number}").days for number in range(400)]
    assert shifts == [SECRET.shift(f" patient {number} ").days for number in range(400)]
    assert 30 <= min(shifts) < 200 and 3500 < max(shifts) <= 3679
    assert len(set(shifts)) > 350
    assert shifts != [Secret(b"another key, as long").shift(f"patient {n}").days for n in range(400)]


def test_a_key_does_not_show():
    assert "0123" not in repr(SECRET)
    with pytest.raises(ValueError):
        Secret(b"short")
