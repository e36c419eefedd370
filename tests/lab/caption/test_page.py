"""An evaluation in words and as files: safe, complete, in both languages."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from tetkik.caption.network import DecodingOptions
from tetkik.lab.caption.evaluate import systems_of
from tetkik.lab.caption.evaluation_page import interpret, view
from tetkik.lab.caption.figures import CaptionEvaluation, Example, ExampleKind, Provenance
from tetkik.lab.caption.metrics.scores import Wanted, score_systems
from tetkik.lab.caption.prepared import Split
from tetkik.lab.engine.charts import PAGE, write_evaluation
from tetkik.lab.engine.options import LearnedTreatment
from tetkik.lab.engine.results import LearnedReport
from tetkik.language import Language, Sentence
from tetkik.statistics import ClusterBootstrap

TRUE = [
    f"Radiograph of the {part} with {thing}."
    for part in ("chest", "hip", "jaw")
    for thing in ("a cyst", "air")
]
HOSTILE = "<script>alert('x')</script><img src=http://evil.example/a.png onerror=alert(1)>"
CONSTANT = "Radiograph of the chest with a cyst."


def report(given, same):
    return LearnedReport(LearnedTreatment.SEPARATE, given, same, 0)


def evaluation_of(made, near=None, **changes):
    """Six rows with these captions."""
    captions = {"model": tuple(made), "constant": (CONSTANT,) * len(TRUE)}
    if near is not None:
        captions["nearest"] = tuple(near)
    judged = score_systems(list(captions.values()), [[text] for text in TRUE], Wanted(meteor=False))
    scores = dict(zip(captions, judged, strict=True))
    draws = ClusterBootstrap(np.arange(len(TRUE)), 200)
    random = np.random.default_rng(0)
    fields = {
        "model": "caption-x 1.0",
        "data": "invented",
        "provenance": Provenance(Split.TEST, len(TRUE), 0, report(len(TRUE), 0), None),
        "ids": tuple(f"row <{number}>" for number in range(len(TRUE))),
        "references": tuple(TRUE),
        "confidence": np.array([0.5, np.nan, 0.25, 1, 0, 0.125]),
        "groups": len(TRUE),
        "systems": systems_of(captions, scores, draws),
        "ceiling": None,
        "examples": tuple(
            Example(kind, row, random.integers(0, 256, (32, 32, 3), dtype=np.uint8))
            for row, kind in enumerate(ExampleKind)
        ),
        "not_computed": {"meteor": Sentence("It was not asked for.")},
        "decoding": DecodingOptions(),
        "replicates": 200,
        "seed": 0,
    }
    return CaptionEvaluation(**{**fields, **changes})


class Tags(HTMLParser):
    """What a browser would build."""

    def __init__(self):
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def said(evaluation):
    return [sentence.in_language(Language.EN) for sentence in interpret(evaluation)]


def test_files_are_written_whole(tmp_path):
    evaluation = evaluation_of([HOSTILE, *TRUE[1:]], near=TRUE[::-1])
    paths = write_evaluation(view(evaluation), tmp_path / "out", Language.EN)
    assert [path.name for path in paths] == ["captions.csv", "lengths.png", "metrics.json", PAGE]
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text("utf-8"))
    assert metrics["n"] == 6 and metrics["meteor"] is None
    table = list(csv.DictReader(io.StringIO((tmp_path / "out" / "captions.csv").read_text("utf-8"))))
    assert [row["caption"] for row in table] == list(evaluation.judged.captions)
    assert [row["true_caption"] for row in table] == TRUE
    assert [row["confidence"] for row in table[:2]] == ["0.500000", ""]
    cider = evaluation.judged.scores.measures["cider"]
    assert cider is not None
    np.testing.assert_allclose([float(row["cider"]) for row in table], cider.rows, atol=1e-6)
    with Image.open(tmp_path / "out" / "lengths.png") as picture:
        assert picture.format == "PNG" and min(picture.size) > 300
    again = write_evaluation(view(evaluation), tmp_path / "out", Language.TR)
    assert again == paths and sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        path.name for path in paths
    ]


@pytest.mark.parametrize("language", list(Language))
def test_the_page_needs_nothing_and_runs_nothing(tmp_path, language):
    evaluation = evaluation_of([HOSTILE, *TRUE[1:]], near=[HOSTILE] * 6)
    evaluation = replace(evaluation, interpretation=interpret(evaluation))
    write_evaluation(view(evaluation), tmp_path, language)
    page = (tmp_path / PAGE).read_text("utf-8")
    tags = Tags()
    tags.feed(page)
    assert "script" not in tags.names and tags.names.count("img") == 4
    assert not [name for name, _ in tags.attributes if name.startswith("on")]
    assert all(value.startswith("data:image/") for name, value in tags.attributes if name in ("src", "href"))
    assert page.count("&lt;script&gt;") == 4
    assert "row &lt;0&gt;" in page
    pictures = re.findall(r"data:image/jpeg;base64,([^\"]+)", page)
    assert len(pictures) == 3
    for picture, example in zip(pictures, evaluation.examples, strict=True):
        image = Image.open(io.BytesIO(base64.b64decode(picture)))
        assert (image.format, image.size) == ("JPEG", (32, 32))
        assert abs(np.asarray(image, float).mean() - example.square.mean()) < 8
    assert ("En iyiler" in page) is (language is Language.TR)
    assert ("What the figures say" in page) is (language is Language.EN)
    assert CONSTANT in page


def test_a_collapsed_captioner_is_warned_of():
    collapsed = said(evaluation_of([CONSTANT] * 6))
    assert collapsed[0].startswith("Warning: only 17% of the captions are distinct (100% of the true ones)")
    assert not any("distinct (" in sentence for sentence in said(evaluation_of(TRUE)))


def test_captions_without_words_and_of_other_lengths_are_warned_of():
    sentences = said(evaluation_of(["", "", *(text * 3 for text in TRUE[2:])]))
    assert any("33% of the captions are without a word" in sentence for sentence in sentences)
    assert any("far from that of true captions" in sentence for sentence in sentences)


def test_the_model_against_its_baselines():
    better = said(evaluation_of(TRUE))
    assert any(sentence.startswith("CIDEr: better than one caption for all by") for sentence in better)
    worse = said(evaluation_of(["air"] * 6, near=TRUE))
    assert any(
        sentence.startswith("Warning, ROUGE-L: worse than caption of the nearest training image by -0.")
        for sentence in worse
    )
    same = said(evaluation_of([CONSTANT] * 6))
    assert any(
        sentence.startswith("CIDEr: not shown to be better than one caption for all") for sentence in same
    )


def test_what_the_figures_rest_on():
    drawn = said(evaluation_of(TRUE, provenance=Provenance(Split.TEST, 20, 4, report(20, 4), 6)))
    assert drawn[0].startswith("4 of the 20 rows are among those that caption-x 1.0 learned")
    assert drawn[1].startswith("6 of 16 rows were drawn")
    concepts = evaluation_of(TRUE)
    assert not any("Concept F1" in sentence for sentence in said(concepts))
