"""Files in, files out: each alone, written whole or not at all, named after its new UID."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

from tetkik.errors import InputError, OutputError, TetkikError, as_fault_of, file_fault
from tetkik.files import written_whole
from tetkik.imaging.burned_in import text_if_looked
from tetkik.imaging.deidentify.clean import OWN_WORDS, Cleaner, identifiers_in
from tetkik.imaging.deidentify.pixels import clean_pixels
from tetkik.imaging.deidentify.profile import BurnedIn, Deidentified, Options, Secret, basic_profile
from tetkik.imaging.dicom import is_dicom, parse_dicom, without_image
from tetkik.imaging.dicom_pixels import pixels_of
from tetkik.imaging.limits import damaged, read_file, suppress_library_warnings
from tetkik.imaging.read import read_bytes
from tetkik.language import Sentence

_DIRECTORY = "1.2.840.10008.1.3.10"
_IMPLEMENTATION = UID("2.25.226573841098730412845716293045018273645")

_WRITTEN_WITH_TEXT = Sentence(
    "There seems to be text in the pixels: look at the image before it leaves the hospital."
)
_WRITTEN_UNSEEN = Sentence(
    "The pixels cannot be decoded here: look at the image for text before it leaves the hospital."
)
_SAYS_TEXT = Sentence(
    "The original says that there is text in its pixels: look at the image before it leaves the hospital."
)


def deidentify_bytes(
    data: bytes, name: str, secret: Secret, options: Options | None = None
) -> tuple[bytes, str, tuple[Sentence, ...]]:
    """A DICOM file without what identifies, its new SOP Instance UID, and warnings.

    Raises:
        InputError: no DICOM, damaged, a directory or a document, or with text in its pixels.
    """
    options = options or Options()
    if not is_dicom(data):
        raise InputError("{file} is not a DICOM file; leave it out.", file=name)
    with suppress_library_warnings():
        dataset, syntax = parse_dicom(data, name)
        try:
            _refuse_others(dataset, name)
            warnings = _look_for_text(dataset, data, name, options)
            if any(warning in (_WRITTEN_WITH_TEXT, _SAYS_TEXT) for warning in warnings):
                dataset.BurnedInAnnotation = "YES"
            return *_rewritten(dataset, syntax, name, secret, options), warnings
        except (TetkikError, MemoryError):
            raise
        except Exception:  # Of a damaged file pydicom raises whatever its bytes lead to.
            raise damaged(name) from None


def deidentify_files(
    files: Iterable[Path], out: Path, secret: Secret, options: Options | None = None
) -> Iterator[Deidentified | TetkikError]:
    """De-identify each of `files` into the folder `out`; a file that fails costs itself alone."""
    with as_fault_of(out):
        out.mkdir(parents=True, exist_ok=True)
    for file in files:
        try:
            yield _deidentify_file(file, out, secret, options or Options())
        except TetkikError as error:
            yield error
        except OSError as error:
            yield file_fault(error)


def _deidentify_file(file: Path, out: Path, secret: Secret, options: Options) -> Deidentified:
    content, uid, warnings = deidentify_bytes(read_file(file), str(file), secret, options)
    target = out / f"{uid}.dcm"
    if target.exists():
        raise OutputError(
            "{file} becomes {target}, which exists already; choose another folder, or leave out the file "
            "that is there twice.",
            file=file,
            target=target,
        )
    with as_fault_of(target), written_whole(target) as whole:
        whole.write(content)
    return Deidentified(file, target, warnings)


def _refuse_others(dataset: Dataset, name: str) -> None:
    if dataset.get("SOPClassUID") == _DIRECTORY or "DirectoryRecordSequence" in dataset:
        raise InputError("{file} is a DICOMDIR, a list of other files; leave it out.", file=name)
    if "EncapsulatedDocument" in dataset or "ContentSequence" in dataset:
        raise InputError(
            "{file} is a document or a report, whose text cannot be de-identified; leave it out.", file=name
        )
    if not dataset.get("SOPInstanceUID") or not dataset.get("SOPClassUID"):
        raise InputError("{file} does not say what it is (SOP Instance UID); leave it out.", file=name)
    if "Image Storage" in UID(dataset.SOPClassUID).name and pixels_of(dataset) is None:
        raise without_image(dataset, name)


def _look_for_text(dataset: Dataset, data: bytes, name: str, options: Options) -> tuple[Sentence, ...]:
    """Warnings about text in the pixels, or the refusal."""
    if pixels_of(dataset) is None:
        return ()
    refuse = options.burned_in is BurnedIn.REFUSE
    if str(dataset.get("BurnedInAnnotation") or "").upper() == "YES":
        if refuse:
            raise InputError(
                "{file} says that there is text in its pixels; remove it there, or choose to be warned "
                "alone.",
                file=name,
            )
        return (_SAYS_TEXT,)
    try:
        first = read_bytes(data, name, frame=1)
        frames = {(first.tags.frames + 1) // 2, first.tags.frames} - {1}
        images = [first, *(read_bytes(data, name, frame=frame) for frame in sorted(frames))]
    except InputError:
        if refuse:
            raise InputError(
                "{file} cannot be decoded, so nobody can tell whether there is text in its pixels; "
                "leave it out, or choose to be warned alone.",
                file=name,
            ) from None
        return (_WRITTEN_UNSEEN,)
    if all(text_if_looked(image) == () for image in images):
        return ()
    if refuse:
        raise InputError(
            "{file} seems to have text in its pixels; remove it there, or choose to be warned alone.",
            file=name,
        )
    return (_WRITTEN_WITH_TEXT,)


def _rewritten(
    dataset: Dataset, syntax: UID, name: str, secret: Secret, options: Options
) -> tuple[bytes, str]:
    traces = identifiers_in(dataset)
    patient = str(dataset.get("PatientID") or "").strip() or str(dataset.get("StudyInstanceUID") or "")
    cleaner = Cleaner(basic_profile(), options, secret, traces, patient)
    clean_pixels(dataset, syntax, name)
    cleaner.clean(dataset)
    cleaner.mark(dataset)
    uid = str(dataset.SOPInstanceUID)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(uid)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.ImplementationClassUID = _IMPLEMENTATION
    dataset.file_meta.ImplementationVersionName = "TETKIK"
    dataset.preamble = b"\0" * 128
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    content = stream.getvalue()
    if traces.in_bytes(content, OWN_WORDS):
        raise InputError(
            "{file} would keep a name or a number of the patient in a place that is not known; leave it out.",
            file=name,
        )
    return content, uid
