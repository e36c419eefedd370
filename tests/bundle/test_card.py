"""The model card: what the hub reads, and what a person reads."""

from __future__ import annotations

import json
import re

from tetkik.bundle import CardSection, Metric, render_card
from tetkik.bundle.card import metrics_table
from tetkik.lab.engine.card import markdown_table
from tetkik.language import Sentence


def test_the_card_says_what_the_manifest_says(tmp_path, make_bundle):
    metric = Metric(
        name="accuracy", value=0.75, low=0.7, high=0.8, n=40, data="invented", split=(Sentence("a fifth"),)
    )
    manifest = make_bundle(
        tmp_path / "b", metrics=(metric,), licence="apache-2.0", libraries={"numpy": "2.0"}
    ).manifest
    card = render_card(manifest, "It sorts complaints.", [CardSection("Limits", "It knows two departments.")])
    head = dict(line.split(": ", 1) for line in card.split("---")[1].strip().splitlines())
    assert json.loads(head["license"]) == "apache-2.0"
    assert json.loads(head["pipeline_tag"]) == "text-classification"
    assert "| accuracy | 0.750 | 0.700 to 0.800 | 40 | invented | a fifth |" in card
    assert "## Limits\n\nIt knows two departments." in card
    assert "Araştırma ve eğitim yazılımıdır" in card
    assert "Research and education software" in card
    assert "--model ornek" in card


def test_no_name_breaks_a_table(tmp_path, make_bundle):
    metric = Metric(name="auroc:A|B", value=0.75, n=40, data="one | two", split=(Sentence("first\nsecond"),))
    lines = metrics_table(make_bundle(tmp_path / "b", metrics=(metric,)).manifest).splitlines()
    lines += markdown_table(("label", "rows"), [("A|B", 3), ("C\nD", None)]).splitlines()
    assert len(lines) == 3 + 4
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in lines] == [7, 7, 7, 3, 3, 3, 3]


def test_no_figure_is_said_plainly(tmp_path, make_bundle):
    assert metrics_table(make_bundle(tmp_path / "b").manifest) == "No figure was measured."
