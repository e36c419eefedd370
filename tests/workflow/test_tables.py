"""Images in memory, heatmaps by label, and answers as tables: what the Python API offers beside paths."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

import tetkik
from tetkik.imaging.examples import example
from tetkik.imaging.image_source import load_content, name_of, source_of
from tetkik.imaging.read import read_bytes


@pytest.fixture(scope="module")
def findings():
    return tetkik.load_findings(language=tetkik.Language.EN)


@pytest.fixture(scope="module")
def chest():
    """(rows, columns), uint8."""
    image = read_bytes(example("chest"), "chest")
    return np.array(
        Image.fromarray((image.pixels / (image.white / 255)).round().astype(np.uint8)).resize((320, 320))
    )


def scores(result):
    return {finding.label: finding.score for finding in result.findings if finding.assessed}


def as_png(image):
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def test_an_image_in_memory_is_read_as_its_file_is(findings, chest, tmp_path):
    path = tmp_path / "chest.png"
    path.write_bytes(as_png(Image.fromarray(chest)))
    expected = scores(findings.predict(path))
    assert len(expected) > 10
    for image in (path.read_bytes(), Image.open(path), chest, chest[..., None], chest / 255):
        assert scores(findings.predict(image)) == expected
    assert [scores(item) for item in findings.predict_many([path, chest], workers=0)] == [expected, expected]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (np.array([[0, 4095]], np.uint16), [[0, 4095]]),
        (Image.fromarray(np.array([[0, 70], [5, 9]], np.int32)), [[0, 70], [5, 9]]),
        (Image.new("CMYK", (2, 1), (0, 0, 0, 0)), [[255, 255]]),
        (np.array([[[1.0, 1.0, 1.0], [0, 0, 0]]]), [[255, 0]]),
        (Image.fromarray(np.array([[0.2, 1]], np.float32)), [[51, 255]]),
    ],
    ids=["16 bits", "32 bits", "CMYK", "floats in colour", "floats of Pillow"],
)
def test_pixels_keep_their_values(image, expected):
    assert read_bytes(load_content(source_of(image)), "x").pixels.tolist() == expected


def test_a_picture_is_turned_as_its_camera_says():
    image = Image.fromarray(np.array([[1, 2, 3]], np.uint8))
    image.getexif()[274] = 6  # turned by 90 degrees
    assert read_bytes(load_content(source_of(image)), "x").pixels.shape == (3, 1)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_is_taken_as_it_is_when_it_comes(findings, chest, tmp_path, workers):
    Image.fromarray(chest).save(tmp_path / "chest.png")

    def images():
        buffer = chest.copy()
        yield buffer
        buffer[:] = 0
        with Image.open(tmp_path / "chest.png") as image:
            yield image
        yield from (chest, chest, None)

    *answers, fault = findings.predict_many(images(), workers=workers)
    assert [scores(item) for item in answers] == [scores(findings.predict(chest))] * 4
    assert "no image" in str(fault)


def test_a_tiff_of_16_bits_whose_white_is_zero_is_read_as_its_file_is(tmp_path):
    file = tmp_path / "film.tif"
    Image.fromarray(np.array([[0, 4000, 4095]], np.uint16)).save(file)
    content = file.read_bytes()
    content = content.replace(
        b"\x06\x01\x03\x00\x01\x00\x00\x00\x01", b"\x06\x01\x03\x00\x01\x00\x00\x00\x00"
    )
    file.write_bytes(content)
    with Image.open(file) as image:
        image.filename = file  # as some readers leave it
        source = source_of(image)
    assert read_bytes(load_content(source), "x").pixels.tolist() == [[4095, 95, 0]]
    assert read_bytes(content, "x").pixels.tolist() == [[4095, 95, 0]]
    assert name_of(source) == str(file)


@pytest.mark.parametrize(
    "image",
    [
        None,
        3,
        np.zeros((4, 4), bool),
        np.full((4, 4), np.nan),
        np.full((4, 4), 2.0),
        np.full((4, 4), -1),
        np.zeros((2, 4, 4), np.uint8),
        np.zeros((0, 3)),
    ],
)
def test_what_is_no_image_is_one_sentence(findings, image):
    with pytest.raises(tetkik.TetkikError, match=r"^image "):
        findings.predict(image)
    (error,) = findings.predict_many([image], workers=0)
    assert str(error).startswith("image 1 ")


def test_too_many_pixels_are_refused_before_they_are_copied(findings, monkeypatch):
    monkeypatch.setattr("tetkik.imaging.image_source.np.rint", None)
    with pytest.raises(tetkik.TetkikError, match="more than the limit"):
        findings.predict(np.broadcast_to(np.float32(0), (1 << 15, 1 << 15)))


def test_a_heatmap_is_of_its_label(findings, chest):
    heat, other = (findings.heatmap(chest, label) for label in ("Cardiomegaly", "Emphysema"))
    assert heat.values.shape == heat.picture.shape and heat.finding.label == "Cardiomegaly"
    assert 0.5 < heat.values.max() <= 1 and not np.array_equal(heat.values, other.values)
    assert heat.overlay().mode == "RGB"
    with pytest.raises(tetkik.TetkikError, match=r"Glioma is not assessed in image; choose from Atelectasis"):
        findings.heatmap(chest, "Glioma")
    with pytest.raises(tetkik.TetkikError, match="not suitable, so there is no heatmap: "):
        findings.heatmap(chest[:60, :60], "Effusion")


def test_answers_become_a_table(findings, chest):
    answers = [*findings.predict_many([chest, chest[:60, :60], None], workers=0)]
    table = tetkik.to_arrow(answers)
    assert (table.num_rows, table["suitable"].to_pylist()) == (3, [True, False, None])
    assert table["score:Effusion"].to_pylist() == [scores(answers[0])["Effusion"], None, None]
    assert "score:Glioma" not in table.column_names
    assert table["error"].to_pylist()[:2] == [None, None] and "no image" in table["error"].to_pylist()[2]
    triage = tetkik.load_triage(urgency=False)
    frame = tetkik.to_pandas(triage.predict_many(["Dizim ağrıyor", ""]))
    assert frame["department"].tolist()[0] == "Ortopedi" and frame["abstain"].tolist() == [False, True]
    assert frame["probability:Ortopedi"][0] == frame["probability"][0]
    assert tetkik.to_arrow([]).num_rows == 0


def test_a_data_set_gets_the_answers_beside_its_rows(findings, chest):
    import datasets

    columns = {"image": [Image.fromarray(chest), Image.fromarray(chest[:60, :60])], "path": ["a", "b"]}
    types = datasets.Features({"image": datasets.Image(), "path": datasets.Value("string")})
    made = tetkik.predict_dataset(findings, datasets.Dataset.from_dict(columns, features=types))
    assert made["path"][:] == ["a", "b"] and made["suitable"][:] == [True, False]
    assert made[0]["score:Effusion"] == scores(findings.predict(chest))["Effusion"]
    with pytest.raises(tetkik.TetkikError, match="no column text; choose from image, path"):
        tetkik.predict_dataset(findings, datasets.Dataset.from_dict(columns, features=types), "text")
    with pytest.raises(tetkik.TetkikError, match="DatasetDict is no data set with rows"):
        tetkik.predict_dataset(findings, datasets.DatasetDict())


def test_a_row_without_a_text_is_an_error_of_its_own():
    import datasets

    triage = tetkik.load_triage(urgency=False)
    data = datasets.Dataset.from_dict({"said": [None, "Dizim ağrıyor", None]})
    made = tetkik.predict_dataset(triage, data, "said")
    assert made["department"][:] == [None, "Ortopedi", None]
    assert made["error"][:] == ["Row 1 has no said.", None, "Row 3 has no said."]
    again = tetkik.predict_dataset(triage, made, "said")
    assert again.column_names == made.column_names and len(again) == 3


def test_a_missing_library_is_one_sentence(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(tetkik.TetkikError, match="need the package pyarrow"):
        tetkik.to_arrow([])
