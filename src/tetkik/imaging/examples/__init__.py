"""Example images that ship with the package; `tests/phantom` of the source draws them."""

from importlib import resources

CHEST_SIGNS = ("Consolidation", "Pneumonia")
"""What `chest.dcm` shows."""


def example(name: str) -> bytes:
    """A drawn image as a DICOM file (12 bits, JPEG 2000): `chest`, `normal`, `pneumothorax`, `before` and
    `effusion` of one imaginary patient, `brain`.
    """
    return resources.files(__package__).joinpath(f"{name}.dcm").read_bytes()


def example_chest() -> bytes:
    """A synthetic PA chest radiograph as a DICOM file: 1024 x 1024, 12 bits, JPEG 2000."""
    return example("chest")
