"""Model cards in the language that was chosen: whole, and with sound tables."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.triage.sentences import invented
from tetkik.lab.triage.linear.train import LinearOptions, train_linear

LAB = Path(__file__).parents[3] / "src" / "tetkik"
CARDS = sorted(path for path in LAB.rglob("card.md.jinja") if path.parent.name != "gate")
FILLED = re.compile(r"\{\{(.*?)\}\}|\{% (?:if|for|elif) (.*?) %\}", re.DOTALL)


@pytest.mark.parametrize("english", CARDS, ids=lambda path: "/".join(path.parts[-4:-1]))
def test_every_card_has_a_turkish_one_with_the_same_sections_and_values(english):
    turkish = english.with_name("card.tr.md.jinja").read_text("utf-8")
    text = english.read_text("utf-8")
    assert text.count("\n## ") == turkish.count("\n## ")

    def values(card):
        filled = " ".join(map("".join, FILLED.findall(card)))
        names = re.findall(r"\b[a-z_]+(?:\.[a-z_]+)+|\b(?:table|trials|epochs|judged)\b", filled)
        return set(names) - {"loop.last"}

    assert values(text) == values(turkish)


@pytest.mark.usefixtures("turkish_messages")
def test_a_card_is_turkish_as_a_whole(tmp_path):
    train_linear(invented(60), tmp_path / "m", LinearOptions(assess=False), lambda *_: None)
    card = (tmp_path / "m" / "README.md").read_text("utf-8").split("```json")[0]
    titles = re.findall(r"^## (.+)$", card, re.MULTILINE)
    assert "|".join(titles) == (
        "Kullanım|Etiketler|Sayılar|Veri|Nasıl değerlendirildi|Sınırlar|Kayma için referans|Eğitim ayarları"
    )
    own = re.sub(r"```.*?```|^\*\*.*$|^---.*?^---", "", card, flags=re.DOTALL | re.MULTILINE)
    assert not re.findall(r"\b(?:the|of|and|with|rows|fold|label)\b", own)
