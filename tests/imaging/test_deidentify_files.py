"""De-identification of files and folders, of codestreams, of text in the pixels; and the command."""

from __future__ import annotations

import io
import json
import os
import stat

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont
from pydicom.encaps import encapsulate, generate_frames
from typer.testing import CliRunner

from tests.phantom import draw_phantom, write_phantom
from tetkik.cli.app import app
from tetkik.errors import InputError, OutputError, TetkikError
from tetkik.imaging.burned_in import burned_in_text
from tetkik.imaging.deidentify import (
    BurnedIn,
    Deidentified,
    Options,
    Secret,
    deidentify_bytes,
    deidentify_files,
    secret_of,
)
from tetkik.imaging.deidentify.pixels import clean_codestream
from tetkik.values import FileFormat, Radiograph

SECRET = Secret(b"0123456789abcdef")
WORD = b"ZQXWORD OF A COMMENT"
J2K, JPEG = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.50"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("studies")
    for seed in (1, 2):
        write_phantom(made / f"YILMAZ_AYSE_{seed}.dcm", seed, rows=64, columns=64, marker=False)
    return made


@pytest.fixture(scope="module")
def film():
    return (draw_phantom(3, rows=512, columns=480) >> 4).astype(np.uint8)


def radiograph(pixels):
    return Radiograph(
        pixels=np.ascontiguousarray(pixels), white=255, file_format=FileFormat.PNG, sha256="0" * 64
    )


def written(film, text, size=16, place=(14, 470), ink=255):
    picture = Image.fromarray(film)
    ImageDraw.Draw(picture).text(place, text, fill=ink, font=ImageFont.load_default(size))
    return np.asarray(picture)


def test_a_bad_file_costs_itself_alone(folder, tmp_path):
    bad = tmp_path / "bad.dcm"
    bad.write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 300)
    files = [folder / "YILMAZ_AYSE_1.dcm", bad, tmp_path / "missing.dcm", folder / "YILMAZ_AYSE_2.dcm"]
    results = list(deidentify_files(files, tmp_path / "out", SECRET))
    assert [isinstance(result, Deidentified) for result in results] == [True, False, False, True]
    for result in results:
        assert isinstance(result, TetkikError | Deidentified)
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert len(names) == 2 and not [name for name in names if "YILMAZ" in name]
    for file in (tmp_path / "out").iterdir():
        assert f"{pydicom.dcmread(file).SOPInstanceUID}.dcm" == file.name


def test_nothing_is_written_over(folder, tmp_path):
    files = [folder / "YILMAZ_AYSE_1.dcm"] * 2
    first, second = deidentify_files(files, tmp_path, SECRET)
    assert isinstance(first, Deidentified) and isinstance(second, OutputError)
    assert len(list(tmp_path.iterdir())) == 1


def test_the_key_is_made_once_and_for_its_owner(tmp_path):
    file = tmp_path / "keys" / "key"
    made = secret_of(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert secret_of(file).uid("1.2.3") == made.uid("1.2.3")
    file.write_text("short")
    with pytest.raises(InputError):
        secret_of(file)
    file.write_bytes(bytes(5_000))  # an image, say, that was named by mistake
    with pytest.raises(InputError, match="too long for a key"):
        secret_of(file)


def segment(marker, content):
    return b"\xff" + bytes([marker]) + (len(content) + 2).to_bytes(2, "big") + content


@pytest.mark.parametrize("syntax", [JPEG, "1.2.840.10008.1.2.4.80", J2K])
def test_comments_of_a_codestream_are_gone(tmp_path, syntax):
    file = tmp_path / "p.dcm"
    bits = 8 if syntax == JPEG else 12
    write_phantom(file, 1, rows=64, columns=72, bits=bits, transfer_syntax=syntax, marker=False)
    dataset = pydicom.dcmread(file)
    before = dataset.pixel_array.copy()
    (stream,) = generate_frames(dataset.PixelData, number_of_frames=1)
    if syntax == J2K:
        main_header = stream.index(b"\xff\x52")  # COD
        stream = stream[:main_header] + segment(0x64, b"\0\1" + WORD) + stream[main_header:]
    else:
        exif = segment(0xE1, b"Exif\0\0" + WORD) + segment(0xFE, WORD) + segment(0xED, WORD)
        stream = stream[:2] + exif + stream[2:]
    dataset.PixelData = encapsulate([stream.rstrip(b"\0") + WORD])
    dataset.save_as(file)
    content, _, _ = deidentify_bytes(file.read_bytes(), "p", SECRET)
    assert WORD not in content
    assert np.array_equal(pydicom.dcmread(io.BytesIO(content)).pixel_array, before)


@pytest.mark.parametrize("padding", [b"", b"\0", b"\0\0\0"])
def test_an_end_marker_within_a_comment_is_not_the_end_of_the_image(padding):
    begin = b"\xff\x4f" + segment(0x51, bytes(36)) + segment(0x64, b"\0\1\xff\xd9" + WORD)
    tile = segment(0x90, (0).to_bytes(2, "big") + (12 + 2 + 40).to_bytes(4, "big") + b"\0\1")
    stream = begin + tile + b"\xff\x93" + b"\x11" * 40 + padding  # the image ends without its marker
    cleaned = clean_codestream(stream)
    assert len(cleaned) == len(stream) and cleaned[-40 - len(padding) :] == b"\x11" * 40 + padding
    assert WORD not in cleaned


def test_a_thumbnail_goes_and_the_colours_stay():
    stream = io.BytesIO()
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(
        stream, "JPEG", exif=b"Exif\0\0" + WORD, comment=WORD
    )
    jfif = b"JFIF\0\1\1\0\0\1\0\1\2\2" + WORD[:12]
    thumbnailed = (
        b"\xff\xd8" + segment(0xE0, jfif) + segment(0xEE, b"Adobe\0\x64\0\0\0\0\1") + stream.getvalue()[2:]
    )
    cleaned = clean_codestream(thumbnailed)
    assert WORD[:12] not in cleaned and b"Adobe" in cleaned and b"Exif" not in cleaned
    assert Image.open(io.BytesIO(cleaned)).size == (16, 16)


@given(
    st.binary(max_size=200), st.integers(0, 3000), st.sampled_from([b"\xff\xd8", b"\xff\x4f\xff\x51", b""])
)
@settings(max_examples=150, deadline=None)
def test_damaged_codestreams_end_in_an_error_at_once(noise, cut, start):
    stream = io.BytesIO()
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(stream, "JPEG")
    for data in (start + noise, stream.getvalue()[:cut] + noise):
        try:
            clean_codestream(data)
        except (ValueError, IndexError, OSError, OverflowError) as error:
            assert not isinstance(error, UnicodeError)
        except Exception as error:
            assert type(error).__name__ == "error"  # struct.error


@given(st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_files_are_refused_or_done(folder, data):
    content = bytearray((folder / "YILMAZ_AYSE_1.dcm").read_bytes())
    head = len(content) - 64 * 64 * 2
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, head))] = data.draw(st.integers(0, 255))
    try:
        cleaned, _, _ = deidentify_bytes(bytes(content), "f", SECRET)
    except InputError:
        return
    assert b"SENTETIK" not in cleaned and b"FANTOM" not in cleaned


@pytest.mark.parametrize("element", [b"\x08\0\x70\0LO", b"\x08\0\x16\0UI", b"\x08\0\x60\0CS"])
def test_an_element_whose_damaged_length_takes_in_the_name_goes(folder, element):
    """It is one that is kept otherwise, and no element is left that would say who the patient is."""
    content = bytearray((folder / "YILMAZ_AYSE_1.dcm").read_bytes())
    value = content.index(element) + 8
    end = content.index(b"FANTOM ") + 7
    content[value - 2 : value] = (end - value).to_bytes(2, "little")
    try:
        cleaned, _, _ = deidentify_bytes(bytes(content), "f", SECRET)
    except InputError:
        return
    assert b"SENTETIK" not in cleaned and b"FANTOM" not in cleaned


@pytest.mark.parametrize("text", ["YILMAZ AYSE", "12345678", "01.02.1970 F"])
@pytest.mark.parametrize("size", [14, 20, 32])
def test_text_in_the_pixels_is_seen(film, text, size):
    lines = burned_in_text(radiograph(written(film, text, size)))
    assert lines and lines[0][0] > 440


def test_dark_text_on_a_light_ground_is_seen(film):
    labelled = film.copy()
    labelled[10:40, 300:470] = 255
    assert burned_in_text(radiograph(written(labelled, "DEMIR 4711", 18, (305, 14), ink=0)))


def test_a_side_marker_is_no_text(film):
    assert burned_in_text(radiograph(film)) == ()  # the phantom's own lead R
    for marker in ("R", "L", "L AP"):
        assert burned_in_text(radiograph(written(film, marker, 28, (400, 20)))) == ()


@pytest.mark.parametrize("shape", [(1, 1), (5, 400), (300, 3)])
def test_pictures_of_any_shape(shape):
    assert burned_in_text(radiograph(np.full(shape, 255, np.uint8))) == ()
    noise = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    assert isinstance(burned_in_text(radiograph(noise)), tuple)


@pytest.mark.attack
def test_a_picture_too_busy_to_look_for_text_is_not_taken_for_one_without(tmp_path, monkeypatch):
    file = tmp_path / "busy.dcm"
    write_phantom(file, 3, rows=512, columns=480, bits=8)
    monkeypatch.setattr("tetkik.imaging.burned_in._MOST_RUNS", 20)
    with pytest.raises(InputError, match="seems to have text"):
        deidentify_bytes(file.read_bytes(), "busy.dcm", SECRET)


def file_with_text(tmp_path, film):
    file = tmp_path / "text.dcm"
    write_phantom(file, 3, rows=512, columns=480, bits=8)
    dataset = pydicom.dcmread(file)
    dataset.PixelData = written(film, "YILMAZ AYSE 1234").tobytes()
    dataset.save_as(file)
    return file


def test_text_in_the_pixels_is_refused_or_warned_of(tmp_path, film):
    content = file_with_text(tmp_path, film).read_bytes()
    with pytest.raises(InputError, match="text in its pixels"):
        deidentify_bytes(content, "f", SECRET)
    kept, _, warnings = deidentify_bytes(content, "f", SECRET, Options(burned_in=BurnedIn.WARN))
    assert len(warnings) == 1
    assert pydicom.dcmread(io.BytesIO(kept)).BurnedInAnnotation == "YES"


@pytest.mark.parametrize("place", [0, 2, 4])
def test_text_in_the_first_the_middle_or_the_last_frame_is_seen(tmp_path, film, place):
    file = tmp_path / "loop.dcm"
    write_phantom(file, 3, rows=512, columns=480, bits=8, marker=False)
    dataset = pydicom.dcmread(file)
    frames = [np.zeros_like(film)] * 5
    dataset.NumberOfFrames = len(frames)
    dataset.PixelData = b"".join(frame.tobytes() for frame in frames)
    dataset.save_as(file)
    assert deidentify_bytes(file.read_bytes(), "f", SECRET)[2] == ()
    frames[place] = written(frames[place], "YILMAZ AYSE 1234")
    dataset.PixelData = b"".join(frame.tobytes() for frame in frames)
    dataset.save_as(file)
    with pytest.raises(InputError, match="text in its pixels"):
        deidentify_bytes(file.read_bytes(), "f", SECRET)


def test_a_file_that_says_it_has_text_is_believed(folder):
    dataset = pydicom.dcmread(folder / "YILMAZ_AYSE_1.dcm")
    dataset.BurnedInAnnotation = "YES"
    stream = io.BytesIO()
    dataset.save_as(stream)
    with pytest.raises(InputError, match="says that there is text"):
        deidentify_bytes(stream.getvalue(), "f", SECRET)
    _, _, warnings = deidentify_bytes(stream.getvalue(), "f", SECRET, Options(burned_in=BurnedIn.WARN))
    assert len(warnings) == 1


def run(*arguments):
    return CliRunner().invoke(app, ["deidentify", *map(str, arguments)], catch_exceptions=False)


def test_the_command(folder, tmp_path, film):
    (tmp_path / "in").mkdir()
    for file in folder.iterdir():
        (tmp_path / "in" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "in" / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    (tmp_path / "in" / "notes.txt").write_text("no image")
    key, first, second = tmp_path / "key", tmp_path / "one", tmp_path / "two"
    result = run(tmp_path / "in", "--out", first, "--key", key, "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert (
        result.exit_code == 0
        and len(lines) == 2
        and all(set(line) == {"path", "out", "warnings"} for line in lines)
    )
    assert run(tmp_path / "in", "--out", second, "--key", key).exit_code == 0
    assert {file.name for file in first.iterdir()} == {file.name for file in second.iterdir()}
    failed = run(file_with_text(tmp_path, film), "--out", tmp_path / "three", "--json")
    assert failed.exit_code == 1 and "error" in json.loads(failed.stdout)
    warned = run(tmp_path / "text.dcm", "--out", tmp_path / "three", "--burned-in", "warn")
    assert warned.exit_code == 0 and "Look at" in warned.stderr


def test_a_folder_that_cannot_be_listed_is_said_and_the_others_are_done(folder, tmp_path):
    """Here one whose path is longer than any may be; one without permission is the same to the walk."""
    within = tmp_path / "in"
    within.mkdir()
    (within / "a.dcm").write_bytes((folder / "YILMAZ_AYSE_1.dcm").read_bytes())
    place = os.open(within, os.O_RDONLY)
    for _ in range(17):
        os.mkdir("k" * 250, dir_fd=place)
        deeper = os.open("k" * 250, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = deeper
    os.close(place)
    result = run(within, "--out", tmp_path / "out", "--json")
    fault, done = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1 and "k" * 250 in fault["path"] and "cannot be used" in fault["error"]
    assert done["path"] == str(within / "a.dcm") and len(list((tmp_path / "out").iterdir())) == 1


def test_an_empty_name_is_not_the_folder_at_hand(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(app, ["deidentify", "", "--out", str(tmp_path / "out")])
    assert done.exit_code == 2 and not (tmp_path / "out").exists()


def test_the_command_keeps_the_key_apart(folder, tmp_path):
    result = run(folder, "--out", tmp_path / "out", "--key", tmp_path / "out" / "key")
    assert result.exit_code == 2 and not (tmp_path / "out").exists()
    empty = tmp_path / "empty"
    empty.mkdir()
    assert run(empty, "--out", tmp_path / "out").exit_code == 1
