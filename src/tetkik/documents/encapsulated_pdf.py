"""A report's PDF as a DICOM object (Encapsulated PDF, PS3.3, A.45.1), for archives that show no SR."""

from __future__ import annotations

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, EncapsulatedPDFStorage, ExplicitVRLittleEndian

from tetkik.documents import dicom
from tetkik.documents.pdf import to_pdf
from tetkik.language import translate
from tetkik.values import ReportDocument

_SERIES_NUMBER = 9005


def to_encapsulated_pdf(document: ReportDocument) -> bytes:
    """The PDF as a file (PS3.10), Explicit VR Little Endian, in the study of the image, in its own series.

    Raises ValueError where the report was withdrawn: an archive learns of it by `rejection.to_rejection`.
    """
    if document.withdrawal is not None:
        raise ValueError("a withdrawn document")
    instance = dicom.encapsulated(document)
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = EncapsulatedPDFStorage
    made.file_meta.MediaStorageSOPInstanceUID = UID(instance.uid)
    dicom.identify(made, document)
    dicom.date_it(made, document)
    made.SOPClassUID, made.SOPInstanceUID = instance.sop_class, instance.uid
    made.SeriesInstanceUID, made.SeriesNumber = instance.series, _SERIES_NUMBER
    made.InstanceNumber = document.version
    made.Modality, made.ConversionType = "DOC", "WSD"
    title = translate("Radiology report", document.draft.language)
    made.SeriesDescription = dicom.text(f"Tetkik: {title}", 64)
    # PS3.3, C.24.2: when what it tells of was acquired is said by the images.
    made.AcquisitionDateTime = ""
    made.BurnedInAnnotation = "YES"
    made.DocumentTitle = dicom.text(title, 1024)
    # CID 7020, Document Titles, takes LOINC's.
    made.ConceptNameCodeSequence = [dicom.code("18748-4", "LN", "Diagnostic imaging study")]
    made.VerificationFlag = "UNVERIFIED" if document.signature is None else "VERIFIED"
    if (origin := dicom.image_of(document)) is not None:
        reference = Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = origin.sop_class, origin.uid
        made.SourceInstanceSequence = [reference]
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    content = to_pdf(document)
    made.EncapsulatedDocumentLength = len(content)
    made.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    return dicom.to_bytes(made)
