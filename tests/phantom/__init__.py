"""Synthetic images that the project draws itself: a chest radiograph and a slice of a brain MRI.

They say that they are synthetic wherever a name can stand. `draw_phantom` gives pixels, `make_phantom` also
the region of each sign, `write_phantom` a DICOM file.
"""

from tests.phantom.draw import BITS, Options, Phantom, draw_phantom, make_phantom
from tests.phantom.file import write_phantom
from tests.phantom.signs import CHEST_SIGNS

__all__ = ["BITS", "CHEST_SIGNS", "Options", "Phantom", "draw_phantom", "make_phantom", "write_phantom"]
