"""What a viewer shows of a DICOM file: its colours, or its values before any window, in their unit."""

from __future__ import annotations

import re

import numpy as np

from tetkik.imaging.colour import Samples, contiguous, looked_up
from tetkik.imaging.greyscale import Grey
from tetkik.imaging.tags import FrameTags, text
from tetkik.values import DisplayPixels, ValueScale

_CT = (-1024.0, 3071.0)
"""Hounsfield units that a viewer can tell apart, the same in every slice: 12 bits, as most scanners have.
Metal and padding lie beyond."""
_WORDS = 65_535
_UNIT = re.compile(r"[A-Za-z0-9/%^*. -]{1,16}")
_UNITS = {"GY": "Gy", "RELATIVE": None, "US": None}
"""Dose Units (3004,0002) and Rescale Type (0028,1054) that are written otherwise, or are none."""


def in_colour(rgb: Samples) -> DisplayPixels:
    """Of (rows, columns, 3), uint8 or uint16."""
    eight = rgb.astype(np.uint8) if rgb.dtype == np.uint8 else (rgb >> 8).astype(np.uint8)
    return DisplayPixels(contiguous(eight), 0xFF, (127.5, 255.0))


def in_units(tags: FrameTags, samples: Samples, grey: Grey) -> DisplayPixels | None:
    """Of a CT, a map of doses, or a frame that was `narrowed`; None of anything else.

    None too where a table makes the values, since they have no unit then.
    """
    dataset = tags.dataset
    modality = (text(dataset, "Modality") or "").upper()
    if grey.rescale is None or not np.isfinite(grey.rescale).all():
        return None
    slope = abs(grey.rescale[0])
    with np.errstate(all="ignore"):
        modal = grey.modality(grey.words.stored().astype(np.float64))
    holder = tags.holder("RescaleIntercept", "PixelValueTransformationSequence")
    stated = text(holder, "RescaleType") or text(dataset, "DoseUnits")
    unit = _unit(stated)
    if grey.highest is not None:
        low, step, white = float(modal[: grey.highest + 1].min()), slope, grey.highest
    elif modality == "RTDOSE":
        low, step, white = float(modal.min()), slope, len(modal) - 1
    elif modality == "CT" and stated in (None, "HU") and text(holder, "RescaleIntercept"):
        low, high = _CT
        unit, step = "HU", max(slope, (high - low) / _WORDS)
        white = round((high - low) / step)
    else:
        return None
    if not (np.isfinite(low) and 0 < step < np.inf and white):
        return None
    levels = np.clip(np.rint((modal - low) / step), 0, white)
    centre, width = ((number / step) for number in grey.first_window(samples))
    centre -= low / step
    if grey.inverted:
        levels, centre, low, step = white - levels, white - centre, low + step * white, -step
    levels[grey.is_padding(grey.words.stored())] = 0
    window = (centre, width) if np.isfinite(centre) and 0 < width < np.inf else (white / 2, float(white))
    return DisplayPixels(
        looked_up(levels.astype(np.uint16), samples), white, window, ValueScale(step, low, unit)
    )


def _unit(stated: str | None) -> str | None:
    """As a viewer writes it; None where it could be anything, or is none."""
    if stated is None or not _UNIT.fullmatch(stated):
        return None
    return _UNITS.get(stated.upper(), stated)
