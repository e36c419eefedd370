"""A codestream becomes samples, by the decoder that is sound for its kind.

The codestream decides (`codestream.Codec`), whatever the transfer syntax says: files that say one lossless
JPEG and hold another are common. Every one has passed `parse_codestream`, and its dimensions are those of the
file: without that mutated JPEG-LS and lossless JPEG streams bring the native decoders down.
"""

from __future__ import annotations

from functools import cache
from io import BytesIO
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik.imaging.codestream import Codec, Codestream, CodestreamError
from tetkik.imaging.colour import Samples, contiguous

_END = b"\xff\xd9"
_RGB_IDS = (tuple(b"RGB"), tuple(b"rgb"))


def decode(data: bytes, stream: Codestream, *, is_rgb: bool) -> Samples:
    """The samples of one frame: (rows, columns) or (rows, columns, 3), uint8 or uint16.

    Signed samples are two's complement. A JPEG of 8 bits with a colour transform is RGB; else components are
    as they were coded. `is_rgb` is what the file says of them; what the codestream itself states wins.

    Raises:
        CodestreamError: cut short, or damaged as far as the decoder can tell.
        Exception: whatever else a decoder raises at damaged data.
    """
    match stream.codec:
        case Codec.JPEG:
            samples = _pillow(data, stream, is_rgb=is_rgb)
        case Codec.JPEG_LS:
            samples = _charls(data, stream)
        case Codec.JPEG_2000:
            samples = _openjpeg(data)
        case Codec.JPEG_LOSSLESS | Codec.JPEG_12:
            samples = _gdcm(data, stream)
    shape = (stream.rows, stream.columns) if stream.samples == 1 else (stream.rows, stream.columns, -1)
    return samples.reshape(shape)


def states_rgb(stream: Codestream) -> bool:
    """Whether the codestream itself says that its components are RGB."""
    return stream.component_ids in _RGB_IDS or stream.adobe_transform == 0


def _pillow(data: bytes, stream: Codestream, *, is_rgb: bool) -> Samples:
    from PIL import Image

    with Image.open(BytesIO(data), formats=("JPEG",)) as image:
        marked = states_rgb(stream) or stream.adobe_transform is not None or stream.jfif
        if is_rgb and stream.samples == 3 and not marked:
            # Without a marker libjpeg supposes YCbCr; asked for YCbCr it leaves the components alone.
            image.draft("YCbCr", image.size)
        return np.asarray(image)


def _openjpeg(data: bytes) -> Samples:
    import openjpeg

    samples = openjpeg.decode(data)
    unsigned: Samples = samples.view(f"u{samples.dtype.itemsize}")
    return unsigned


def _charls(data: bytes, stream: Codestream) -> Samples:
    import jpeg_ls

    # Without an end marker CharLS reads on past a truncated stream, for minutes.
    buffer, facts = jpeg_ls.decode_buffer(data + _END)
    samples: Samples = np.frombuffer(buffer, "<u1" if stream.bits <= 8 else "<u2")
    if stream.samples > 1 and facts["interleave_mode"] == 0:
        planes = samples.reshape(stream.samples, stream.rows, stream.columns)
        return contiguous(planes.transpose(1, 2, 0))
    return samples


def load_decoders() -> None:
    """Load the native libraries now, and not with the first file that needs one."""
    import jpeg_ls  # noqa: F401
    import openjpeg  # noqa: F401

    _silent_gdcm()


@cache
def _silent_gdcm() -> ModuleType:
    import gdcm

    # Else it writes about every damaged file to standard error, past Python.
    for trace in (gdcm.Trace.WarningOff, gdcm.Trace.ErrorOff, gdcm.Trace.DebugOff):
        trace()
    module: ModuleType = gdcm
    return module


def _gdcm(data: bytes, stream: Codestream) -> Samples:
    if not stream.ended:
        # libjpeg would fill up what is missing.
        raise CodestreamError("cut short")
    gdcm = _silent_gdcm()
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(data)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((stream.columns, stream.rows, 1))
    image.SetDataElement(element)
    colours, syntaxes = gdcm.PhotometricInterpretation, gdcm.TransferSyntax
    image.SetPhotometricInterpretation(colours(colours.RGB if stream.samples > 1 else colours.MONOCHROME2))
    if stream.samples > 1:
        image.SetPlanarConfiguration(0)
    lossless = stream.codec is Codec.JPEG_LOSSLESS
    syntax = syntaxes.JPEGLosslessProcess14 if lossless else syntaxes.JPEGExtendedProcess2_4
    image.SetTransferSyntax(syntaxes(syntax))
    # By this size GDCM chooses among three codecs, and the wrong one complains on standard error.
    size = next(size for size in (8, 12, 16) if stream.bits <= size)
    image.SetPixelFormat(gdcm.PixelFormat(stream.samples, size, size, size - 1, 0))
    # The wrapper gives `char *` as text.
    buffer = image.GetBuffer().encode("utf-8", "surrogateescape")
    return np.frombuffer(buffer, "<u1" if size == 8 else "<u2")


def decode_rle(data: bytes, rows: int, columns: int, samples: int, size: int) -> NDArray[Any]:
    """One frame of RLE Lossless (PS3.5 Annex G): a segment of PackBits for each of `size` bytes of a sample.

    Pillow unpacks a segment as one line of an image, so that runs across the ends of rows, which the standard
    forbids and some encoders write, are no matter, and no more is unpacked than belongs there.

    Raises:
        CodestreamError: the segments are not those of such an image, or one ends early.
    """
    from PIL import Image

    count = samples * size
    header = np.frombuffer(data[:64], "<u4")
    if len(header) != 16 or header[0] != count:
        raise CodestreamError("not as many segments as bytes a pixel")
    starts = [*(int(start) for start in header[1 : 1 + count]), len(data)]
    if starts[0] < 64 or any(start > end for start, end in pairwise(starts)):
        raise CodestreamError("segments out of order")
    octets = np.empty((rows * columns, count), np.uint8)
    for place, (start, end) in enumerate(pairwise(starts)):
        try:
            line = Image.frombytes("L", (rows * columns, 1), data[start:end], "packbits", "L")
        except ValueError:
            raise CodestreamError("cut short") from None
        # The most significant byte of a sample comes first.
        sample, byte = divmod(place, size)
        octets[:, sample * size + size - 1 - byte] = np.asarray(line)[0]
    shape = (rows, columns) if samples == 1 else (rows, columns, samples)
    return octets.view(f"<u{size}").astype(f"u{size}", copy=False).reshape(shape)
