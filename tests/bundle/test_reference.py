"""`reference.json`: counts alone, as written, and refused where it was changed."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tetkik.bundle import (
    REFERENCE,
    ComplaintReference,
    Histogram,
    ImageReference,
    InputReference,
    LabelReference,
    Task,
    open_bundle,
    read_reference,
    reference_section,
    resolve,
    write_manifest,
    write_reference,
)
from tetkik.bundle.card import with_section
from tetkik.errors import BundleCorrupt
from tetkik.language import Sentence

SCORES = Histogram(edges=(0.1, 0.5), counts=(6, 3, 1), mean=0.2)
REFERENCE_MADE = ImageReference(
    data="drawn",
    split=(Sentence("a fifth"),),
    images=12,
    created="2026-01-01",
    labels={"Mass": LabelReference(scores=SCORES, positive=1, present=2, absent=6)},
    inputs={"chest": InputReference(images=12, refused=2, without_spacing=3, brightness=SCORES)},
)
COMPLAINTS_MADE = ComplaintReference(
    data="said",
    split=(Sentence("a fifth"),),
    created="2026-01-01",
    labels={"Dahiliye": LabelReference(scores=SCORES, positive=4, present=3, absent=7)},
    complaints=12,
    refused=2,
    plain=5,
    words=SCORES,
    probability=SCORES,
    abstained=3,
    urgency={"yesil": 11, "kirmizi": 1},
)


@pytest.fixture
def bundle(tmp_path, make_bundle):
    made = make_bundle(tmp_path / "b", task=Task.FINDINGS)
    write_reference(made.path, REFERENCE_MADE)
    write_manifest(made.path, made.manifest)
    return open_bundle(made.path)


def test_what_was_written_comes_back(bundle):
    assert read_reference(bundle) == REFERENCE_MADE
    assert REFERENCE in bundle.manifest.files


def test_what_it_holds_goes_by_the_task(tmp_path, make_bundle):
    made = make_bundle(tmp_path / "t")
    write_reference(made.path, COMPLAINTS_MADE)
    write_manifest(made.path, made.manifest)
    assert read_reference(open_bundle(made.path)) == COMPLAINTS_MADE
    assert COMPLAINTS_MADE.total == REFERENCE_MADE.total == 12
    write_reference(made.path, REFERENCE_MADE)  # of images, in a bundle of triage
    write_manifest(made.path, made.manifest)
    with pytest.raises(BundleCorrupt, match="newer Tetkik"):
        read_reference(open_bundle(made.path))


def test_a_bundle_without_one_is_as_sound_as_before(tmp_path, make_bundle):
    assert read_reference(make_bundle(tmp_path / "old")) is None


@pytest.mark.parametrize(
    "change",
    [lambda text: text.replace('"images":12', '"images":13', 1), lambda text: text[:40]],
    ids=["altered", "cut short"],
)
def test_one_that_was_changed_is_refused(bundle, change):
    file = bundle.path / REFERENCE
    file.write_text(change(file.read_text("utf-8")), encoding="utf-8")
    with pytest.raises(BundleCorrupt, match="damaged"):
        read_reference(bundle)


def test_one_of_another_form_is_refused(bundle):
    (bundle.path / REFERENCE).write_text('{"images": 1, "more": 2}', encoding="utf-8")
    write_manifest(bundle.path, bundle.manifest)
    with pytest.raises(BundleCorrupt, match="newer Tetkik"):
        read_reference(open_bundle(bundle.path))


@pytest.mark.parametrize(
    ("edges", "counts"), [((0.1,), (1,)), ((0.5, 0.1), (1, 1, 1)), ((), (0,)), ((0.1,), (2, -1))]
)
def test_a_histogram_is_whole(edges, counts):
    with pytest.raises(ValidationError):
        Histogram(edges=edges, counts=counts, mean=0.0)


def test_a_quantile_is_the_edge_below_which_the_share_lies():
    assert [SCORES.quantile(share) for share in (0.5, 0.6, 0.7, 0.95)] == [0.1, 0.1, 0.5, None]


def test_the_card_says_it_once_and_in_figures():
    card = with_section("# a 1.0\n\n## Data\n\nsome", REFERENCE_MADE)
    assert "12 images of drawn: a fifth." in card and "chest 12 (2 refused" in card
    assert "| Mass | 10 | 0.250 | 0.100, 0.100, – | 0.100 |" in card
    again = with_section(f"{card}\n## Made with\n\nnumpy\n", COMPLAINTS_MADE)
    assert again.count("## Reference for drift") == 1 and "Mass" not in again
    assert "## Data\n\nsome" in again and "## Made with\n\nnumpy" in again


def test_the_card_of_triage_says_it_too():
    text = reference_section(COMPLAINTS_MADE).text
    assert "12 complaints of said: a fifth. Not read: 2." in text and "3 of 10" in text
    assert "yesil 11; kirmizi 1" in text
    assert "| Dahiliye | 10 | 0.300 | 0.100, 0.100, – | 0.400 |" in text


def test_the_built_in_triage_carries_one_of_complaints_that_its_judges_had_not_learned():
    bundle = resolve("triage-linear-tr")
    reference = read_reference(bundle)
    assert isinstance(reference, ComplaintReference) and "had not learned it" in reference.split[0].template
    assert tuple(reference.labels) == bundle.manifest.labels
    learned = bundle.manifest.training["rows_by_label"]
    assert {label: one.present for label, one in reference.labels.items()} == learned
    assert reference.complaints == sum(reference.urgency.values()) == sum(learned.values())
    assert sum(one.positive for one in reference.labels.values()) == reference.complaints - reference.refused
    # Its abstention was chosen so that 92% are answered, on these very answers.
    assert reference.abstained / reference.complaints == pytest.approx(0.08, abs=0.005)
    assert (bundle.path / REFERENCE).stat().st_size < 12_000


def test_the_built_in_model_carries_one():
    bundle = resolve("findings-mobilenet-cxr")
    reference = read_reference(bundle)
    assert isinstance(reference, ImageReference) and "had not learned" in reference.split[0].template
    assert set(reference.labels) == set(bundle.manifest.thresholds)
    assert {route: seen.images for route, seen in reference.inputs.items()} == {
        "chest": 1364,
        "brain_mri": 2478,
        "": 135,
    }
    # What lies above the threshold in the reference is what the card's figures amount to.
    figures = {metric.name: metric for metric in bundle.manifest.metrics}
    for label in ("Effusion", "Mass", "Normal"):
        sick, healthy = figures[f"sensitivity:{label}"], figures[f"specificity:{label}"]
        called = (sick.value * sick.n + (1 - healthy.value) * healthy.n) / (sick.n + healthy.n)
        one = reference.labels[label]
        assert one.positive / one.scores.total == pytest.approx(called, abs=0.05)
        assert one.prevalence == pytest.approx(sick.n / (sick.n + healthy.n), abs=0.005)
