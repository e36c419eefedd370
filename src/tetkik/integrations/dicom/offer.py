"""What we offer who calls us by DICOM: SOP classes and transfer syntaxes, by what a peer may do.

The conformance statement (docs/conformance-dicom.md) is written from here.
"""

from __future__ import annotations

from pydicom.uid import UID
from pynetdicom.presentation import AllStoragePresentationContexts, PresentationContext, build_context

from tetkik.integrations.configuration import Service

VERIFICATION = UID("1.2.840.10008.1.1")
STORAGE_COMMITMENT = UID("1.2.840.10008.1.20.1")
MODALITY_WORKLIST = UID("1.2.840.10008.5.1.4.31")
PLAIN_SYNTAXES = (
    "1.2.840.10008.1.2.1",  # Explicit VR Little Endian
    "1.2.840.10008.1.2",  # Implicit VR Little Endian
)
STORAGE_SYNTAXES = (
    *PLAIN_SYNTAXES,
    "1.2.840.10008.1.2.1.99",  # Deflated Explicit VR Little Endian
    "1.2.840.10008.1.2.2",  # Explicit VR Big Endian
    "1.2.840.10008.1.2.4.50",  # JPEG Baseline
    "1.2.840.10008.1.2.4.51",  # JPEG Extended
    "1.2.840.10008.1.2.4.57",  # JPEG Lossless
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless, first-order prediction
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.81",  # JPEG-LS Near-lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.5",  # RLE Lossless
)
"""What our decoders read. An object is stored as it came: none is converted."""
STORAGE_CLASSES = tuple(str(context.abstract_syntax) for context in AllStoragePresentationContexts)


def offered(service: Service) -> tuple[PresentationContext, ...]:
    """The presentation contexts of a service, of which we are the SCP; none for one that is no DICOM."""
    if service is Service.STORE:
        return tuple(build_context(uid, list(STORAGE_SYNTAXES)) for uid in STORAGE_CLASSES)
    single = {
        Service.ECHO: VERIFICATION,
        Service.COMMIT: STORAGE_COMMITMENT,
        Service.WORKLIST: MODALITY_WORKLIST,
    }
    return (build_context(single[service], list(PLAIN_SYNTAXES)),) if service in single else ()
