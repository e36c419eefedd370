"""Figures become plain JSON; subgroups stand by dimension and id."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from tetkik.lab.engine.figure_tables import bracket
from tetkik.lab.engine.results import (
    SubgroupFigures,
    distinct_names,
    listed,
    subgroups_json,
    to_json,
)
from tetkik.language import Language, Sentence
from tetkik.statistics import Interval
from tetkik.values import Sex


@dataclass(frozen=True, slots=True)
class Part(SubgroupFigures):
    value: float | None = None


PARTS = (
    Part("sex", "F", Sentence("women and girls"), 40, Interval(0.25, 0.75), value=0.5),
    Part("sex", "M", Sentence("men and boys"), 2, reason=Sentence("No image has this label.")),
    Part("age", "old", Sentence("65 years or more"), 40, value=1.0),
)


def test_every_kind_of_value_becomes_plain():
    values = {
        "array": np.arange(3),
        "number": np.float64(0.5),
        "sex": Sex.FEMALE,
        "pair": (1, None),
        "parts": PARTS,
    }
    content = to_json(values)
    assert json.loads(json.dumps(content)) == content
    assert content["array"] == [0, 1, 2] and content["sex"] == "F" and content["pair"] == [1, None]
    assert content["parts"][0]["ci"] == [0.25, 0.75]


def test_subgroups_stand_by_dimension_and_id_in_the_language_asked_for():
    english, turkish = (subgroups_json(PARTS, language) for language in (Language.EN, Language.TR))
    assert {name: list(inner) for name, inner in english.items()} == {"sex": ["F", "M"], "age": ["old"]}
    assert english["sex"]["F"] == {"n": 40, "ci": [0.25, 0.75], "reason": None, "value": 0.5}
    assert english["sex"]["M"]["reason"] == "No image has this label."
    assert turkish["sex"]["M"]["reason"] != english["sex"]["M"]["reason"]


def test_names_and_words():
    assert distinct_names("a", "b") == ("a", "b") and distinct_names("a", "a") == ("A (a)", "B (a)")
    assert bracket(Interval(0.1, 0.2)) == " [0.10, 0.20]" and bracket(None) == ""
    joined = listed((Sentence("women and girls"), Sentence("men and boys")), ", ")
    assert joined.in_language(Language.EN) == "women and girls, men and boys"
