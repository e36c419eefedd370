"""The gate as it ships: its own network, on the synthetic films and slices that the project draws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.phantom import draw_phantom
from tetkik.bundle import Task, resolve
from tetkik.bundle.store import staged_folder, write_manifest
from tetkik.errors import BundleCorrupt, BundleMismatch
from tetkik.imaging.gate import judge
from tetkik.imaging.gate.judge import (
    BUILT_IN,
    LEAST_SIDE,
    OUTPUTS,
    Classifier,
    exposure_flaws,
    is_page,
    load_classifier,
)
from tetkik.language import Language
from tetkik.values import FileFormat, Flaw, GateResult, Identity, ImageTags, Radiograph, Route, View

WHITE = 4095


def image(pixels, white=WHITE, **more) -> Radiograph:
    return Radiograph(
        pixels=np.array(pixels, order="C"), white=white, file_format=FileFormat.PNG, sha256="0" * 64, **more
    )


def phantom(kind=Route.CHEST, seed=1, signs=(), side=384):
    return draw_phantom(seed, signs, kind=kind, rows=side, columns=side)


def flaws(result: GateResult) -> set[Flaw]:
    return {reason.flaw for reason in result.reasons}


FILM = phantom()


@pytest.mark.parametrize(
    ("kind", "seed"), [(Route.CHEST, 1), (Route.CHEST, 7), (Route.BRAIN_MRI, 1), (Route.BRAIN_MRI, 7)]
)
def test_a_phantom_takes_its_route_without_a_word(kind, seed):
    result = judge(image(phantom(kind, seed)))
    assert result == GateResult(kind)
    assert result.suitable


def test_a_sick_chest_is_a_chest():
    assert judge(image(phantom(signs=("Effusion", "Cardiomegaly")))).suitable


@pytest.mark.parametrize(
    ("pixels", "flaw", "word"),
    [
        (WHITE - FILM, Flaw.INVERTED, "exchanged"),
        (np.rot90(FILM), Flaw.ROTATED, "left"),
        (np.rot90(FILM, 2), Flaw.ROTATED, "upside down"),
        (FILM[::-1], Flaw.ROTATED, "upside down"),
        (np.rot90(FILM, 3), Flaw.ROTATED, "right"),
        (FILM[:, : FILM.shape[1] // 2], Flaw.CROPPED, "cut off"),
        (FILM // 12, Flaw.EXPOSURE, "black"),
        (WHITE - FILM // 12, Flaw.EXPOSURE, "white"),
        (1800 + FILM // 20, Flaw.EXPOSURE, "contrast"),
        (FILM[::4, ::4], Flaw.TOO_SMALL, "96 x 96"),
    ],
    ids=["inverted", "left", "over", "mirrored over", "right", "half", "dark", "bright", "flat", "small"],
)
def test_a_spoilt_film_is_refused_and_told_why(pixels, flaw, word):
    result = judge(image(pixels))
    assert flaw in flaws(result)
    assert not result.suitable
    assert any(word in sentence for sentence in result.words(Language.EN))


def test_a_mirrored_film_is_not_told_from_one_that_is_not():
    assert judge(image(FILM[:, ::-1])).suitable


def test_the_network_sees_a_mirrored_film_as_its_twin():
    classifier = Classifier(resolve(BUILT_IN, Task.GATE))
    left = classifier.predict(image(np.rot90(FILM)))
    right = classifier.predict(image(np.rot90(FILM)[:, ::-1]))
    assert left.routes == pytest.approx(right.routes, abs=1e-4)
    assert left.turned == pytest.approx(right.turned[::-1], abs=1e-4)
    assert left.turned[0] > 0.5


def test_a_small_part_of_a_film_is_no_film():
    assert not judge(image(FILM[150:300, 20:170])).suitable


def test_a_strip_is_refused():
    strip = draw_phantom(1, rows=200, columns=800)
    assert Flaw.CROPPED in flaws(judge(image(strip)))


@pytest.mark.parametrize("kind", list(Route))
def test_bits_and_size_do_not_matter(kind):
    pixels = phantom(kind, side=512)
    eight = image((pixels >> 4).astype(np.uint8), white=255)
    sixteen = image(pixels.astype(np.uint16) * 16, white=65535)
    large = image(np.kron(pixels, np.ones((4, 4), np.uint16)))
    assert judge(eight) == judge(sixteen) == judge(large) == GateResult(kind)


@pytest.mark.parametrize(
    "pixels",
    [
        np.random.default_rng(0).integers(0, WHITE, (300, 300)).astype(np.uint16),
        np.full((300, 300), 2000, np.uint16),
        np.zeros((300, 300), np.uint16),
        np.tile(np.linspace(0, WHITE, 300).astype(np.uint16), (300, 1)),
        (np.indices((300, 300)).sum(axis=0) // 30 % 2 * WHITE).astype(np.uint16),
    ],
    ids=["noise", "grey", "black", "slope", "checks"],
)
def test_what_is_no_image_of_a_body_is_refused(pixels):
    result = judge(image(pixels))
    assert result.route is None
    assert result.reasons[0].flaw is Flaw.NOT_A_RADIOGRAPH


@pytest.mark.parametrize(
    ("white", "said"), [(0.45, None), (0.55, "nearly white"), (0.99, "nearly white"), (0.0, None)]
)
def test_a_chest_film_may_be_half_white_and_no_more(white, said):
    pixels = np.tile(np.linspace(0, 0.9 * WHITE, 200), (200, 1)).astype(np.uint16)
    pixels[: round(white * 200)] = WHITE
    reasons = [reason.sentence.template for reason in exposure_flaws(image(pixels), Route.CHEST)]
    assert [said in reason for reason in reasons] == ([] if said is None else [True])


def test_a_page_has_print_on_it_and_a_film_without_contrast_has_none():
    blank = np.full((200, 200), 3000, np.uint16)
    blank[:40] += 200  # a faint step: a film that was hardly exposed
    printed = blank.copy()
    printed[100:120:4] = 100
    assert not is_page(image(blank)) and is_page(image(printed))


def test_a_page_under_a_chest_is_no_film():
    page = np.full((800, 600), 230, np.uint8)
    page[100:400, 100:400] = np.array(FILM[:300, :300] >> 4, np.uint8)
    page[450:760:12, 60:540] = 20
    assert judge(image(page, white=255)).route is None


def test_an_upright_brain_slice_is_not_asked_for_its_pose():
    assert judge(image(np.rot90(phantom(Route.BRAIN_MRI)))).suitable


def test_an_inverted_brain_slice_is_refused():
    assert not judge(image(WHITE - phantom(Route.BRAIN_MRI))).suitable


# Tags


def tagged(pixels, *, view=None, **tags) -> GateResult:
    return judge(image(pixels, view=view, tags=ImageTags(**tags)))


@pytest.mark.parametrize("modality", ["CT", "US", "MG", "PT", "SEG", "ES"])
def test_another_machine_is_refused_whatever_the_picture_shows(modality):
    result = tagged(FILM, modality=modality, body_part="CHEST")
    assert result.route is None
    assert modality in result.words(Language.EN)[0]


def test_a_sop_class_overrules_a_wrong_modality():
    ct = "1.2.840.10008.5.1.4.1.1.2"
    assert tagged(FILM, modality="CR", sop_class=ct).route is None
    assert "CT" in tagged(FILM, modality="CR", sop_class=ct).words(Language.EN)[0]


def test_a_chest_from_a_magnet_is_no_radiograph_and_a_brain_from_a_tube_no_slice():
    assert tagged(FILM, modality="MR").route is None
    assert tagged(phantom(Route.BRAIN_MRI), modality="CR", body_part="CHEST").route is None


def test_a_picture_that_is_no_chest_is_refused_though_its_tag_says_chest():
    noise = np.random.default_rng(0).integers(0, WHITE, (300, 300)).astype(np.uint16)
    result = tagged(noise, modality="CR", body_part="CHEST", view=View.PA)
    assert flaws(result) == {Flaw.NOT_A_RADIOGRAPH}


def test_a_chest_under_another_name_is_read_and_doubted():
    result = tagged(FILM, modality="CR", body_part="KNEE")
    assert result.route is Route.CHEST and result.suitable
    assert flaws(result) == {Flaw.DOUBTFUL}


def test_a_body_part_that_cannot_be_read_is_named():
    noise = np.random.default_rng(0).integers(0, WHITE, (300, 300)).astype(np.uint16)
    result = tagged(noise, modality="DX", body_part="KNEE")
    assert "part of the body" in result.words(Language.EN)[0]


@pytest.mark.parametrize(
    ("view", "description", "expected"),
    [
        (View.LATERAL, None, {Flaw.LATERAL}),
        (None, "akciğer yan grafi", {Flaw.LATERAL}),
        (None, "chest lateral", {Flaw.LATERAL}),
        (None, "akciğer pa + lateral", set()),
        (View.PA, "akciğer yan grafi", {Flaw.DOUBTFUL}),
        (View.PA, "pa akciğer grafisi", set()),
    ],
)
def test_a_lateral_film_is_known_by_its_tags(view, description, expected):
    assert flaws(tagged(FILM, modality="DX", description=description, view=view)) == expected


def test_a_lateral_chest_film_is_named_though_its_pixels_look_like_no_chest():
    noise = np.random.default_rng(0).integers(0, WHITE, (300, 300)).astype(np.uint16)
    result = tagged(noise, modality="CR", body_part="CHEST", view=View.LATERAL)
    assert flaws(result) == {Flaw.LATERAL} and not result.suitable


# Circumstances


@pytest.mark.parametrize(
    ("age", "ages", "told"),
    [
        (4, (18, 90), True),
        (95, (18, 90), True),
        (18, (18, 90), False),
        (None, (18, 90), False),
        (4, None, False),
    ],
)
def test_an_age_outside_the_training_is_said_and_not_refused(age, ages, told):
    result = judge(image(FILM, identity=Identity(age_years=age)), ages)
    assert result.suitable
    assert (flaws(result) == {Flaw.AGE}) is told
    assert str(age) not in " ".join(result.words(Language.EN)) or not told


def test_text_and_photographs_are_said_and_not_refused():
    result = judge(image(FILM, tags=ImageTags(burned_in=True), degraded=True))
    assert result.suitable
    assert flaws(result) == {Flaw.BURNED_IN_TEXT, Flaw.PHOTOGRAPH}


def test_a_picture_in_colour_is_doubted_and_a_photographed_film_is_not():
    assert flaws(judge(image(FILM, colour=0.2))) == {Flaw.DOUBTFUL}
    assert Flaw.DOUBTFUL not in flaws(judge(image(FILM, colour=0.2, degraded=True)))


def test_the_gravest_comes_first():
    result = judge(
        image(np.rot90(WHITE - FILM), degraded=True, identity=Identity(age_years=3)), ages=(18, 90)
    )
    order = [reason.flaw for reason in result.reasons]
    assert order == sorted(order, key=list(Flaw).index)
    assert result.reasons[0].flaw.refuses


def test_every_reason_speaks_turkish():
    spoilt = [
        image(np.rot90(WHITE - FILM[::4, ::4])),
        image(FILM // 12, tags=ImageTags(burned_in=True), degraded=True, identity=Identity(age_years=3)),
        image(FILM, tags=ImageTags(modality="US")),
        image(FILM, tags=ImageTags(modality="CR", body_part="KNEE")),
        image(np.zeros((LEAST_SIDE, LEAST_SIDE), np.uint16)),
        image(FILM, view=View.LATERAL),
    ]
    for one in spoilt:
        result = judge(one, ages=(18, 90))
        assert result.reasons
        assert set(result.words(Language.EN)).isdisjoint(result.words(Language.TR))


# The bundle


def test_the_built_in_network_is_small_and_sound():
    bundle = resolve(BUILT_IN, Task.GATE)
    assert bundle.manifest.labels == OUTPUTS
    assert sum(file.stat().st_size for file in bundle.path.iterdir()) < 1_000_000
    assert bundle.manifest.metrics


def test_a_bundle_for_another_task_is_refused():
    with pytest.raises(BundleMismatch):
        load_classifier(resolve("triage-linear-tr").path)


@pytest.mark.parametrize(
    "change",
    [{"labels": ("a", "b")}, {"thresholds": {"accept": 0.5, "other": 1.0}}, {"preprocessing": {"size": 80}}],
    ids=["labels", "thresholds", "preprocessing"],
)
def test_a_bundle_that_is_no_gate_is_refused(tmp_path, change):
    built_in = resolve(BUILT_IN, Task.GATE)
    with staged_folder(tmp_path / "gate") as stage:
        (stage / "model.onnx").write_bytes(built_in.file("model.onnx").read_bytes())
        write_manifest(stage, built_in.manifest.model_copy(update=change))
    with pytest.raises(BundleCorrupt, match="imaging_gate_training"):
        load_classifier(tmp_path / "gate")


def test_a_network_that_is_no_network_is_refused(tmp_path):
    built_in = resolve(BUILT_IN, Task.GATE)
    with staged_folder(tmp_path / "gate") as stage:
        (stage / "model.onnx").write_bytes(b"no network")
        write_manifest(stage, built_in.manifest)
    with pytest.raises(BundleCorrupt, match="is not the file of a model"):
        load_classifier(tmp_path / "gate")


def test_limits_of_the_bundle_decide():
    classifier = Classifier(resolve(BUILT_IN, Task.GATE))
    classifier.limits = replace(classifier.limits, accept=1.1)
    assert judge(image(FILM), classifier=classifier).route is None
