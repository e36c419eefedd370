"""DICOM files without what identifies: PS3.15, annex E, the Basic Application Level Confidentiality Profile.

Each attribute goes the way the standard's table states (`profile.toml`), private attributes, overlays and
curves go, UIDs and dates are replaced consistently by a secret key, comments of codestreams and unused bits
are blanked, and what names the patient is looked for once more in all that stays. Text in the pixels is
looked for and refused. Faces that could be rebuilt from slices of a head are not looked for.
"""

from tetkik.imaging.deidentify.files import deidentify_bytes, deidentify_files
from tetkik.imaging.deidentify.profile import BurnedIn, Deidentified, Options, Secret, new_secret, secret_of

__all__ = [
    "BurnedIn",
    "Deidentified",
    "Options",
    "Secret",
    "deidentify_bytes",
    "deidentify_files",
    "new_secret",
    "secret_of",
]
