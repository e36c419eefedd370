"""Heatmaps show what the scores hang on, in the image's own geometry, in a picture that names nobody."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper
from PIL import Image

from tests.findings.bundles import SIZE, blob_image, make_findings_bundle
from tetkik.bundle import open_bundle, write_manifest
from tetkik.drawing.typeface import typeface, wrapped
from tetkik.findings.heatmaps import HeatmapWriter, Method, Occlusion, heatmaps_for, onto_image
from tetkik.findings.heatmaps.choice import ActivationMaps
from tetkik.findings.heatmaps.method import scaled
from tetkik.findings.heatmaps.overlay import Legend, blended, coloured, draw
from tetkik.findings.heatmaps.writer import worth_showing
from tetkik.findings.operating_points import OperatingPoint
from tetkik.findings.predict import load_findings, load_model
from tetkik.imaging.prepare import normalise, to_square
from tetkik.language import Language
from tetkik.values import FINDING_LABELS, Finding, FindingsResult, Fit, Route, ThresholdOn

NODULE, NORMAL = FINDING_LABELS.index("Nodule"), FINDING_LABELS.index("Normal")
PLACES = [(0.25, 0.25), (0.25, 0.75), (0.5, 0.5), (0.75, 0.3), (0.7, 0.8)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(make_findings_bundle(tmp_path_factory.mktemp("bundles") / "maps"))


@pytest.fixture(scope="module")
def mapless(tmp_path_factory):
    return load_model(make_findings_bundle(tmp_path_factory.mktemp("bundles") / "mapless", maps=False))


def heat_of(model, image, label=NODULE):
    square = to_square(image, model.preprocessing)
    (heat,) = heatmaps_for(model).maps(square, [label])
    return onto_image(heat, image.rows, image.columns, model.preprocessing.fit)


def peak(heat):
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    return (row + 0.5) / heat.shape[0], (column + 0.5) / heat.shape[1]


def test_each_model_gets_the_best_method_that_it_allows(model, mapless):
    assert isinstance(heatmaps_for(model), ActivationMaps)
    assert isinstance(heatmaps_for(mapless), Occlusion)
    assert (heatmaps_for(model).method, heatmaps_for(mapless).method) == (Method.CAM, Method.OCCLUSION)


@pytest.mark.parametrize("place", PLACES)
def test_the_blob_is_where_the_heat_is(model, mapless, place):
    for network, tolerance in ((model, 0.04), (mapless, 0.08)):
        heat = heat_of(network, blob_image(*place))
        assert heat.shape == (SIZE, SIZE) and heat.dtype == np.float32
        assert heat.min() >= 0 and heat.max() <= 1
        assert peak(heat) == pytest.approx(place, abs=tolerance)


def test_the_maps_mean_to_the_logit(model):
    """What makes a class activation map exact: its mean and the bias are the logit."""
    batch = normalise(to_square(blob_image(0.4, 0.4), model.preprocessing)[None], model.preprocessing)
    scores, maps = model.scores_and_maps(batch)
    score = float(scores[0, NODULE])
    assert maps[0, NODULE].mean() - 2 == pytest.approx(np.log(score / (1 - score)), abs=1e-3)


def test_nothing_speaks_for_a_label_that_the_blob_speaks_against(model, mapless):
    for network in (model, mapless):
        assert heat_of(network, blob_image(0.4, 0.4), NORMAL).max() == 0


def test_blanking_the_hot_region_lowers_the_score_more_than_blanking_elsewhere(model, mapless):
    for network in (model, mapless):
        for place in PLACES:
            square = to_square(blob_image(*place), network.preprocessing)
            (heat,) = heatmaps_for(network).maps(square, [NODULE])
            hot = onto_image(heat, SIZE, SIZE, Fit.SQUASH)
            inside = hot > 0.25
            elsewhere = np.roll(inside, SIZE // 2, axis=(0, 1))
            assert not (inside & elsewhere).any()
            blanked = np.stack([np.where(mask, np.median(square), square) for mask in (inside, elsewhere)])
            hit, missed = network.scores(normalise(blanked.astype(np.float32), network.preprocessing))[
                :, NODULE
            ]
            assert hit < 0.5 < missed


def test_random_weights_destroy_the_map(tmp_path, model):
    """Adebayo et al., NeurIPS 2018: a map that a random network draws as well says nothing of the network."""
    image = blob_image(0.3, 0.7)
    sane = heat_of(model, image)
    correlations = []
    for seed in range(5):
        bundle = make_findings_bundle(tmp_path / str(seed))
        network = onnx.load(bundle.path / "model.onnx")
        rng = np.random.default_rng(seed)
        for weights in network.graph.initializer:
            if weights.name in ("kernel", "weights"):
                values = numpy_helper.to_array(weights)
                noise = rng.normal(0, values.std(), values.shape).astype(np.float32)
                weights.CopyFrom(numpy_helper.from_array(noise, weights.name))
        onnx.save(network, bundle.path / "model.onnx")
        write_manifest(bundle.path, bundle.manifest)
        shuffled = heat_of(load_model(open_bundle(bundle.path)), image)
        correlations.append(rank_correlation(sane, shuffled))
    assert abs(np.mean(correlations)) < 0.35


def rank_correlation(first, second):
    """Spearman's, with ties at their mean rank."""
    ranks = []
    for values in (first.ravel(), second.ravel()):
        _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(counts) - (counts - 1) / 2)[place])
    if min(rank.std() for rank in ranks) == 0:
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


@pytest.mark.parametrize("fit", list(Fit))
@pytest.mark.parametrize(("rows", "columns"), [(96, 200), (200, 96), (128, 128), (301, 77)])
@pytest.mark.parametrize("place", [(0.5, 0.5), (0.4, 0.55)])
def test_the_map_lies_on_the_image_as_it_came(fit, rows, columns, place, model):
    """The way there and back: what is bright in the image is hot in the map at the same place."""
    image = blob_image(*place, rows=rows, columns=columns)
    square = to_square(image, replace(model.preprocessing, fit=fit))
    heat = onto_image(square, rows, columns, fit)
    assert heat.shape == (rows, columns)
    assert peak(heat) == pytest.approx(place, abs=0.03)
    if fit is Fit.CROP and rows != columns:
        side = min(rows, columns)
        unseen = np.ones((rows, columns), bool)
        top, left = (rows - side) // 2, (columns - side) // 2
        unseen[top : top + side, left : left + side] = False
        assert heat[unseen].max() == 0


@given(st.integers(1, 40), st.integers(1, 200), st.integers(1, 200), st.sampled_from(list(Fit)))
def test_any_map_fits_any_image(side, rows, columns, fit):
    heat = onto_image(np.ones((side, side), np.float32), rows, columns, fit)
    assert heat.shape == (rows, columns)
    assert np.isfinite(heat).all() and heat.max() == pytest.approx(1)
    if fit is not Fit.CROP:
        assert heat.min() == pytest.approx(1)


def test_scaling():
    maps = np.array([[[-1.0, 2.0], [4.0, np.nan]], [[-1.0, -2.0], [0.0, -3.0]]])
    np.testing.assert_array_equal(scaled(maps), [[[0, 0.5], [1, 0]], [[0, 0], [0, 0]]])


def test_little_heat_leaves_the_image_as_it_is():
    picture = np.arange(256, dtype=np.uint8).reshape(16, 16)
    clear = blended(picture, np.full((16, 16), 0.19, np.float32))
    np.testing.assert_array_equal(clear, np.repeat(picture[..., None], 3, axis=-1))
    covered = blended(picture, np.ones((16, 16), np.float32)).astype(int)
    assert (covered[..., 0] - covered[..., 2] > 40).all(), "yellow over any grey"


def test_the_colours_grow_lighter_evenly():
    colours = coloured(np.linspace(0, 1, 50, dtype=np.float32)) / 255
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    lightness = 116 * np.cbrt(luminance) - 16  # CIE L*
    steps = np.diff(lightness)
    assert steps.min() > 0
    assert steps.max() < 2 * np.median(steps)


def test_the_typeface_has_every_turkish_letter():
    missing = bytes(typeface(24).getmask("\U0010ffff"))
    for letter in "abcçdefgğhıijklmnoöprsştuüvyzABCÇDEFGĞHIİJKLMNOÖPRSŞTUÜVYZâîû%·–’“”≥":
        assert bytes(typeface(24).getmask(letter)) != missing, letter
    assert wrapped("one two three", 15, 60) == ["one two", "three"]


FOUND = OperatingPoint("Effusion", 0.3, ThresholdOn.PROBABILITY, (1.0, 0.0)).read(0.64)
UNSURE = OperatingPoint("Mass", 0.4, ThresholdOn.SCORE, band=(0.3, 0.5)).read(0.45)


@pytest.mark.parametrize("finding", [FOUND, UNSURE])
@pytest.mark.parametrize(("rows", "columns"), [(400, 500), (2000, 30), (30, 2000), (1, 1)])
def test_a_picture_of_any_shape(finding, rows, columns):
    picture = np.full((rows, columns), 90, np.uint8)
    heat = np.ones((rows, columns), np.float32)
    sheets = [draw(picture, heat, Legend(finding, Method.CAM, "m 1.0", language)) for language in Language]
    assert all(sheet.mode == "RGB" and min(sheet.size) > 100 and max(sheet.size) < 3000 for sheet in sheets)
    assert np.asarray(sheets[0]).tobytes() != np.asarray(sheets[1]).tobytes(), "the words are translated"


def result_of(*findings):
    return FindingsResult("p", Route.CHEST, True, (), (), None, findings, "m", "0" * 64)


def test_what_is_worth_showing():
    points = {
        label: OperatingPoint(label, 0.5, ThresholdOn.SCORE)
        for label in ("Mass", "Nodule", "Hernia", "Normal")
    }
    found, near, far = points["Mass"].read(0.9), points["Nodule"].read(0.4), points["Hernia"].read(0.1)
    normal = points["Normal"].read(0.99)
    other = Finding("Edema", assessed=False)
    assert worth_showing(result_of(found, near, far, normal, UNSURE, other)) == [found, UNSURE]
    assert worth_showing(result_of(far, near, normal, other)) == [near]
    assert worth_showing(result_of(normal, other)) == []


def test_pictures_are_named_by_the_hash_and_hold_nothing_but_pixels(tmp_path, chest):
    secret = tmp_path / "AYSE_YILMAZ_1970.dcm"
    secret.write_bytes(chest.read_bytes())
    findings = load_findings(make_findings_bundle(tmp_path / "b"), Language.TR)
    writer = HeatmapWriter.open(findings, tmp_path / "new" / "maps")
    study = findings.study(secret, picture=writer.side)
    drawn = writer.write(study)
    assert drawn and set(drawn) <= {"Nodule", "Effusion"}
    files = sorted(path.name for path in (tmp_path / "new" / "maps").iterdir())
    assert files == sorted(f"{study.result.sha256[:16]}-{label}.png" for label in drawn)
    for path in drawn.values():
        content = path.read_bytes()
        for word in (b"YILMAZ", b"AYSE", b"FANTOM", b"SYNTHETIC"):
            assert word not in content
        with Image.open(path) as picture:
            assert picture.info == {}


def test_text_in_the_image_cannot_be_read_in_the_picture(tmp_path, chest):
    import pydicom

    findings = load_findings(make_findings_bundle(tmp_path / "b"), Language.EN)
    dataset = pydicom.dcmread(chest)
    dataset.BurnedInAnnotation = "YES"
    dataset.save_as(tmp_path / "a.dcm")
    detail = {}
    for path in (chest, tmp_path / "a.dcm"):
        writer = HeatmapWriter.open(findings, tmp_path / path.stem)
        (drawn, *_) = writer.write(findings.study(path, picture=writer.side)).values()
        with Image.open(drawn) as picture:
            film = np.asarray(picture.convert("L"), float)[20:500, 20:500]
        detail[path.stem] = np.abs(np.diff(film, axis=1)).mean()
    assert detail["a"] < detail["chest"] / 2


def test_a_refused_image_gets_no_picture(tmp_path):
    findings = load_findings(make_findings_bundle(tmp_path / "b"))
    Image.new("L", (300, 300), 90).save(tmp_path / "flat.png")
    writer = HeatmapWriter.open(findings, tmp_path / "maps")
    assert writer.write(findings.study(tmp_path / "flat.png", picture=writer.side)) == {}
    assert list((tmp_path / "maps").iterdir()) == []
