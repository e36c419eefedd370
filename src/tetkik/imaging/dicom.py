"""A DICOM file becomes a radiograph (PS3.10 for the file, PS3.3 and PS3.5 for what is in it)."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.filereader import read_dataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from tetkik.errors import InputError
from tetkik.imaging.decoders import Samples, contiguous, grey_of_rgb, looked_up, rgb_of_ybr
from tetkik.imaging.dicom_pixels import (
    Frame,
    Grey,
    PixelLayout,
    WideFrame,
    grey_of,
    narrowed,
    narrowed_colour,
    pixels_of,
    read_frame,
    read_layout,
)
from tetkik.imaging.limits import BoundedBytes, cut_short, damaged, inflate
from tetkik.imaging.tags import (
    FrameTags,
    equipment_of,
    identity_of,
    image_tags,
    laterality_of,
    name_of_uid,
    spacing_of,
    text,
    texts,
    view_of,
)
from tetkik.language import Sentence
from tetkik.values.radiograph import DisplayPixels, FileFormat, Radiograph, ValueScale, middle_frame

# What a viewer shows of a DICOM file: its colours, or its values before any window, in their unit.


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


_PREAMBLE = 128
_UNDEFINED = 0xFFFFFFFF
_MARK = b"DICM"


def is_marked(data: bytes) -> bool:
    """Whether `data` has DICOM's mark behind a preamble, which may be a TIFF's head (PS3.10 7.1)."""
    return data[_PREAMBLE : _PREAMBLE + 4] == _MARK


def is_dicom(data: bytes) -> bool:
    """Whether `data` is a DICOM file: by its mark, or without a preamble by its first data element."""
    if is_marked(data):
        return True
    if len(data) < 8:
        return False
    # Group 0002 or 0008 opens every file; its elements have low numbers, and lengths that the file can hold.
    for order in "<>":
        group, element = struct.unpack_from(f"{order}HH", data)
        (length,) = struct.unpack_from(f"{order}I", data, 4)
        if group in (0x0002, 0x0008) and element <= 0x0070 and (data[4:6].isalpha() or length < len(data)):
            return True
    return False


def read_dicom(data: bytes, sha256: str, file: str, frame: int | None = None) -> Radiograph:
    """The radiograph in `data`: the frame of that number, from 1, or the middle one."""
    return radiograph_of(*parse_dicom(data, file), sha256, file, frame)


def radiograph_of(
    dataset: Dataset, syntax: UID, sha256: str, file: str, frame: int | None = None
) -> Radiograph:
    """The same of a file that was parsed."""
    if pixels_of(dataset) is None:
        raise without_image(dataset, file)
    layout = read_layout(dataset, syntax, file)
    index = _chosen(layout.frames, frame, file)
    tags = FrameTags(dataset, index, big_endian=syntax == ExplicitVRBigEndian)
    with np.errstate(all="ignore"):  # the file's numbers may be of any size
        shown = _shown(read_frame(dataset, layout, index, file), layout, tags, file)
    spacing, plane = spacing_of(tags)
    return Radiograph(
        pixels=shown.pixels,
        white=shown.white,
        file_format=FileFormat.DICOM,
        sha256=sha256,
        spacing=spacing,
        view=view_of(dataset),
        laterality=laterality_of(dataset),
        tags=image_tags(dataset, layout.frames),
        identity=identity_of(dataset),
        colour=shown.colour,
        notes=(*_frame_note(layout.frames, index), *_side_note(dataset)),
        plane=plane,
        display=shown.display,
        equipment=equipment_of(dataset),
    )


def parse_dicom(data: bytes, file: str) -> tuple[Dataset, UID]:
    """The data set and how it was written."""
    try:
        if (body := _deflated_body(data)) is not None:
            inflated = BoundedBytes(inflate(body, file))
            return read_dataset(inflated, False, True), DeflatedExplicitVRLittleEndian
        dataset = dcmread(BoundedBytes(data), force=True)
        stated = text(getattr(dataset, "file_meta", Dataset()), "TransferSyntaxUID")
        implicit, little = dataset.original_encoding
    except (InputError, MemoryError):
        raise
    except Exception:  # Of damaged bytes pydicom raises whatever they lead to.
        raise damaged(file) from None
    if stated:
        return dataset, UID(stated)
    if not little:
        return dataset, ExplicitVRBigEndian
    return dataset, ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian


def _deflated_body(data: bytes) -> bytes | None:
    """What follows the file meta information of a deflated file (PS3.5 A.5), still packed; else None.

    pydicom would unpack it whatever its size.
    """
    start = _PREAMBLE + 4 if is_marked(data) else 0
    if DeflatedExplicitVRLittleEndian.encode() not in data[start : start + 4096]:
        return None
    content = BoundedBytes(data)
    content.seek(start)
    meta = read_dataset(content, False, True, stop_when=lambda tag, *_: tag.group != 0x0002)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return None
    return data[content.tell() :]


def without_image(dataset: Dataset, file: str) -> InputError:
    """Why there are no pixels: they have never been there, or what is there is not all of the file."""
    meta = getattr(dataset, "file_meta", Dataset())
    kind = name_of_uid(text(dataset, "SOPClassUID") or text(meta, "MediaStorageSOPClassUID"))
    # Where a value without a length is cut short, pydicom gives back nothing at all.
    is_image = "Rows" in dataset or "Image Storage" in kind
    if not len(dataset) or ((is_image or kind == "?") and _ends_early(dataset)):
        return cut_short(file)
    if is_image:
        return InputError(
            "{file} describes an image and holds no pixels; it was cut short, or exported without them, so "
            "fetch it again.",
            file=file,
        )
    if kind == "?":
        return InputError(
            "{file} is a DICOM file without an image, and does not say what it holds; choose one with an "
            "image.",
            file=file,
        )
    return InputError(
        "{file} is a DICOM file without an image that can be read ({kind}); choose one with an image.",
        file=file,
        kind=kind,
    )


def _ends_early(dataset: Dataset) -> bool:
    """Whether the last element has fewer bytes than it says: pydicom takes what there is."""
    try:
        last = dataset.get_item(max(dataset.keys()))
    except Exception:  # pydicom tries to convert one without a value, whatever its bytes are.
        return True
    return isinstance(last, RawDataElement) and len(last.value or b"") < last.length < _UNDEFINED


def _chosen(frames: int, wanted: int | None, file: str) -> int:
    """The frame to read, counted from 0."""
    if wanted is None:
        return middle_frame(frames) - 1
    if not 1 <= wanted <= frames:
        raise InputError(
            "{file} has no frame {frame}; choose one from 1 to {frames}.",
            file=file,
            frame=wanted,
            frames=frames,
        )
    return wanted - 1


def _frame_note(frames: int, index: int) -> tuple[Sentence, ...]:
    if frames == 1:
        return ()
    return (
        Sentence(
            "The file has {frames} frames; this is frame {frame}.", {"frames": frames, "frame": index + 1}
        ),
    )


def _side_note(dataset: Dataset) -> tuple[Sentence, ...]:
    """What Patient Orientation says against a radiograph that is looked at as if facing the patient.

    The pixels stay as they are: the tag is wrong too often to turn a film by.
    """
    along_rows = texts(dataset, "PatientOrientation")[:1]
    if (text(dataset, "Modality") or "") not in ("CR", "DX") or not along_rows or along_rows[0][:1] != "R":
        return ()
    return (Sentence("The file says that left and right are exchanged in it; compare the side marker."),)


@dataclass(frozen=True, slots=True, eq=False)
class _Shown:
    """The pixels as they should be looked at, the value of white, and how much colour there was."""

    pixels: Samples
    white: int
    colour: float = 0.0
    display: DisplayPixels | None = None


def _shown(frame: Frame | WideFrame, layout: PixelLayout, tags: FrameTags, file: str) -> _Shown:
    if layout.samples == 3:
        return _in_colour(
            _full_range(frame) if isinstance(frame, Frame) else narrowed_colour(frame), frame.is_ybr
        )
    inverted = layout.photometric == "MONOCHROME1"
    if isinstance(frame, WideFrame):
        if layout.photometric == "PALETTE COLOR":
            raise damaged(file)
        samples, grey = narrowed(frame, tags, inverted=inverted)
        return _Shown(grey.shades(samples, 0xFFFF)[samples], 0xFFFF, display=in_units(tags, samples, grey))
    if layout.photometric == "PALETTE COLOR":
        return _from_palette(frame, tags.dataset, file)
    white = 0xFF if frame.words.bits <= 8 else 0xFFFF
    grey = grey_of(tags, frame.words, inverted=inverted)
    shades = grey.shades(frame.samples, white)
    table: Samples = shades.astype(np.uint8) if white == 0xFF else shades
    return _Shown(looked_up(table, frame.samples), white, display=in_units(tags, frame.samples, grey))


def _in_colour(samples: Samples, is_ybr: bool) -> _Shown:
    rgb = rgb_of_ybr(samples) if is_ybr else samples
    grey, colour = grey_of_rgb(rgb)
    return _Shown(grey, int(np.iinfo(grey.dtype).max), colour, in_colour(rgb) if colour else None)


def _full_range(frame: Frame) -> Samples:
    """Colour samples over the whole range of their type, where they were stored in fewer bits."""
    words = frame.words
    if words.bits == words.size and not words.signed:
        return frame.samples
    stored = words.stored()
    white = (1 << words.size) - 1
    table = (stored - stored.min()) * white // ((1 << words.bits) - 1)
    return looked_up(table.astype(frame.samples.dtype), frame.samples)


def _from_palette(frame: Frame, dataset: Dataset, file: str) -> _Shown:
    """Palette Color (PS3.3 C.7.9): every entry is made grey, then the pixels are looked up."""
    try:
        entries = frame.words.stored().astype(frame.samples.dtype)
        rgb = apply_color_lut(entries, dataset)[:, :3]
    except Exception:  # Of a damaged palette pydicom raises whatever its bytes lead to.
        raise damaged(file) from None
    grey, _ = grey_of_rgb(rgb[:, None, :])
    used = np.bincount(frame.samples.ravel(), minlength=len(rgb)) / frame.samples.size
    wide = rgb.astype(np.int64)
    span = wide.max(axis=1) - wide.min(axis=1)
    white = int(np.iinfo(rgb.dtype).max)
    colour = float(2 * (used @ span) / (3 * white))
    display = in_colour(in_colour(rgb[:, None]).values[:, 0][frame.samples]) if colour else None
    return _Shown(looked_up(grey[:, 0], frame.samples), white, colour, display)
