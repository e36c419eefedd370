"""Example images that ship with the package; `tests/phantom` of the source draws them."""

from importlib import resources

CHEST_SIGNS = ("Consolidation", "Pneumonia")
"""What `chest.dcm` shows."""


def example_chest() -> bytes:
    """A synthetic PA chest radiograph as a DICOM file: 1024 x 1024, 12 bits, JPEG 2000."""
    return resources.files(__package__).joinpath("chest.dcm").read_bytes()
