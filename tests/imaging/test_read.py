"""What a file is, its content says; what cannot be read is one sentence, in either language."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import threading
import warnings

import numpy as np
import pytest
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRBigEndian, ImplicitVRLittleEndian

from tests.imaging.files import LOSSLESS, as_bytes, dataset, picture
from tests.phantom import write_phantom
from tetkik.errors import InputError
from tetkik.imaging.limits import suppress_library_warnings
from tetkik.imaging.prepare import Preprocessing, prepare
from tetkik.imaging.read import read_bytes, read_image
from tetkik.language import Language
from tetkik.settings import settings
from tetkik.values import FileFormat, View


@pytest.fixture
def plain() -> bytes:
    return as_bytes(dataset(picture(), 12))


@pytest.mark.parametrize("name", ["a.dcm", "a", "a.png", "a.txt", "görüntü 1.jpg"])
def test_the_name_does_not_matter(name, tmp_path, plain):
    file = tmp_path / name
    file.write_bytes(plain)
    image = read_image(file)
    assert image.file_format is FileFormat.DICOM
    assert image.sha256 == hashlib.sha256(plain).hexdigest()
    assert np.array_equal(image.pixels, read_image(str(file)).pixels)
    assert np.array_equal(image.pixels, read_bytes(plain, "x").pixels)


@pytest.mark.parametrize("syntax", LOSSLESS[:3], ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("cut", ["preamble", "preamble and group 2"])
def test_a_file_without_its_head(syntax, cut, plain):
    data = as_bytes(dataset(picture(), 12), syntax)
    first = data.index(b"\0\x08\0\x16" if syntax == ExplicitVRBigEndian else b"\x08\0\x16\0")
    headless = data[first:] if cut == "preamble and group 2" else data[132:]
    assert np.array_equal(read_bytes(headless, "x").pixels, read_bytes(plain, "x").pixels)


def test_a_file_whose_syntax_is_not_the_one_it_says(plain):
    """Written as implicit, said to be explicit."""
    data = as_bytes(dataset(picture(), 12), ImplicitVRLittleEndian)
    said = data.replace(b"UI\x12\x001.2.840.10008.1.2\0", b"UI\x14\x001.2.840.10008.1.2.1\0")
    length = data[140:144]
    said = said.replace(length, (int.from_bytes(length, "little") + 2).to_bytes(4, "little"), 1)
    assert said != data
    assert np.array_equal(read_bytes(said, "x").pixels, read_bytes(plain, "x").pixels)


def test_pixels_cannot_be_changed(plain):
    image = read_bytes(plain, "x")
    assert image.pixels.flags.c_contiguous
    with pytest.raises(ValueError, match="read-only"):
        image.pixels[0, 0] = 1


def test_a_link_is_followed(tmp_path, plain):
    (tmp_path / "a").write_bytes(plain)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert read_image(tmp_path / "b").rows == 40


def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"There is no file .*nothing"):
        read_image(tmp_path / "nothing")


def test_a_name_that_no_file_can_have():
    with pytest.raises(InputError, match="There is no file"):
        read_image("a\0b")


def test_a_folder(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        read_image(tmp_path)


def test_an_empty_file(tmp_path):
    (tmp_path / "a.dcm").touch()
    with pytest.raises(InputError, match=r"a\.dcm is empty"):
        read_image(tmp_path / "a.dcm")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe is a pipe or a device"):
        read_image(tmp_path / "pipe")


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device(device):
    with pytest.raises(InputError, match=f"{device} is a pipe or a device"):
        read_image(device)


def test_a_loop_of_links(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(InputError, match="cannot be used"):
        read_image(tmp_path / "a")


def test_too_many_bytes_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setenv("TETKIK_MAX_IMAGE_BYTES", "100000")
    settings.cache_clear()
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(InputError, match="sparse has more than 100000 bytes"):
        read_image(tmp_path / "sparse")
    with pytest.raises(InputError, match="x has more than 100000 bytes"):
        read_bytes(bytes(100_001), "x")


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        b"%PDF-1.7\n" + bytes(500),
        b"PK\x03\x04" + bytes(500),
        b"GIF89a" + bytes(500),
        b"BM" + bytes(500),
        bytes(1000),
        "Hastanın şikâyeti".encode() * 50,
    ],
)
def test_something_else(data):
    with pytest.raises(InputError, match="x is neither DICOM nor PNG, JPEG or TIFF"):
        read_bytes(data, "x")


def test_dicom_without_an_image():
    made = dataset(picture(), 12)
    made.SOPClassUID = EncapsulatedPDFStorage
    for name in ("PixelData", "Rows", "Columns"):
        delattr(made, name)
    with pytest.raises(InputError, match=r"without an image .*\(Encapsulated PDF Storage\)"):
        read_bytes(as_bytes(made), "x")


@pytest.mark.parametrize("attribute", ["Rows", "Columns", "BitsAllocated"])
def test_what_is_needed_is_named(attribute):
    made = dataset(picture(), 12)
    delattr(made, attribute)
    with pytest.raises(InputError, match=f"x does not say its {attribute}"):
        read_bytes(as_bytes(made), "x")


@pytest.mark.parametrize(("samples", "bits"), [(1, 64), (4, 8), (2, 16)])
def test_samples_that_are_not_read(samples, bits):
    made = dataset(picture(), 12)
    made.SamplesPerPixel, made.BitsAllocated = samples, bits
    with pytest.raises(InputError, match=f"x has {samples} samples? of {bits} bits a pixel"):
        read_bytes(as_bytes(made), "x")


def test_photometric_and_samples_must_agree():
    with pytest.raises(InputError, match="x is damaged"):
        read_bytes(as_bytes(dataset(picture(), 12, PhotometricInterpretation="RGB")), "x")


def test_errors_are_said_in_turkish():
    with pytest.raises(InputError) as caught:
        read_bytes(b"hello", "x")
    assert caught.value.in_language(Language.TR).startswith("x DICOM, PNG, JPEG ya da TIFF değil")


def test_nothing_of_the_patient_is_warned_of_or_logged(caplog, recwarn):
    """pydicom quotes what it finds odd; this file is odd in many ways."""
    made = dataset(
        picture(),
        12,
        PatientID="GIZLI" * 20,
        PatientName="GIZLI" * 20,
        StudyDate="GIZLI",
        PatientAge="GIZLI",
        SOPInstanceUID="GIZLI",
        SpecificCharacterSet="GIZLI",
    )
    data = as_bytes(made)
    caplog.clear()
    with warnings.catch_warnings(record=True) as warned, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        read_bytes(data, "x")
        with pytest.raises(InputError):
            read_bytes(data[:-500], "x")
    assert not warned and not caplog.records


def test_the_filters_are_as_they_were():
    before, loggers = list(warnings.filters), list(logging.getLogger("pydicom").filters)
    inside = threading.Barrier(4)

    def read() -> None:
        for _ in range(50):
            with suppress_library_warnings():
                pass
        inside.wait()
        with suppress_library_warnings():
            inside.wait()

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before
    assert list(logging.getLogger("pydicom").filters) == loggers


def test_only_the_libraries_are_silenced():
    with suppress_library_warnings(), pytest.warns(UserWarning, match="ours"):
        warnings.warn("ours", UserWarning, stacklevel=1)


@pytest.mark.parametrize("threads", [8])
def test_threads_read_alike(threads, plain):
    expected = read_bytes(plain, "x").pixels
    wrong = []

    def read() -> None:
        for _ in range(10):
            if not np.array_equal(read_bytes(plain, "x").pixels, expected):
                wrong.append(1)

    running = [threading.Thread(target=read) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert not wrong


def test_the_phantom_is_read_and_prepared(tmp_path):
    write_phantom(tmp_path / "phantom.dcm", seed=1, rows=192, columns=192)
    image = read_image(tmp_path / "phantom.dcm")
    assert image.tags.modality in ("CR", "DX") and image.view is View.PA
    square = prepare(image, Preprocessing(size=64))
    assert square.shape == (3, 64, 64) and np.isfinite(square).all()


def test_an_interrupted_copy(tmp_path, plain):
    """What a full disk leaves behind: the length of the file, and zeros from somewhere on."""
    source = tmp_path / "a"
    source.write_bytes(plain[:200] + bytes(len(plain) - 200))
    shutil.copy(source, tmp_path / "b")
    with pytest.raises(InputError, match="b "):
        read_image(tmp_path / "b")
