"""Parts of the complaints, by what can be read in them: length, a stated age, words that tell a sex."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from importlib import resources

import numpy as np

from tetkik import turkish
from tetkik.lab.engine.results import Subgroup
from tetkik.language import Sentence
from tetkik.triage.age_and_duration import read_age

_WORDS = tomllib.loads(resources.files(__package__).joinpath("sex_words.toml").read_text("utf-8"))
_FEMALE, _MALE = (re.compile(rf"\b(?:{'|'.join(_WORDS[sex])})") for sex in ("female", "male"))


def subgroups(texts: Sequence[str]) -> tuple[Subgroup, ...]:
    """Every part of `texts`: by words, stated age, and words that tell a sex; within each a row is in one
    part.
    """
    folded = [" ".join(turkish.fold(text).split()) for text in texts]
    return (*_by_length(texts), *_by_age(folded), *_by_sex(folded))


def _by_length(texts: Sequence[str]) -> tuple[Subgroup, ...]:
    words = np.array([len(text.split()) for text in texts])
    return (
        Subgroup("length", "under_20", Sentence("under 20 words"), words < 20),
        Subgroup("length", "20_to_49", Sentence("20 to 49 words"), (words >= 20) & (words < 50)),
        Subgroup("length", "50_to_99", Sentence("50 to 99 words"), (words >= 50) & (words < 100)),
        Subgroup("length", "100_or_more", Sentence("100 words or more"), words >= 100),
    )


def _by_age(folded: Sequence[str]) -> tuple[Subgroup, ...]:
    ages = [read_age(text) for text in folded]
    years = np.array([np.nan if age is None else age.years for age in ages])
    return (
        Subgroup("age", "child", Sentence("age given, under 18"), years < 18),
        Subgroup("age", "adult", Sentence("age given, 18 to 64"), (years >= 18) & (years < 65)),
        Subgroup("age", "old", Sentence("age given, 65 or more"), years >= 65),
        Subgroup("age", "not_told", Sentence("no age given"), np.isnan(years)),
    )


def _by_sex(folded: Sequence[str]) -> tuple[Subgroup, ...]:
    female = np.array([bool(_FEMALE.search(text)) for text in folded])
    male = np.array([bool(_MALE.search(text)) for text in folded])
    return (
        Subgroup("sex", "female", Sentence("words of a woman or girl"), female & ~male),
        Subgroup("sex", "male", Sentence("words of a man or boy"), male & ~female),
        Subgroup("sex", "both", Sentence("words of both sexes"), female & male),
        Subgroup("sex", "neither", Sentence("no word of either sex"), ~female & ~male),
    )
