"""Captions: what is no word of theirs is taken out, and nothing else."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetkik.lab.caption.prepared import concepts_of, is_cui, joined
from tetkik.lab.caption.text import LONGEST, caption_print, clean_caption


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Fig. 1a. Axial CT of the chest.", "Axial CT of the chest."),
        ("Figure 12: Axial CT", "Axial CT"),
        ("FIGURE 3 – Axial CT", "Axial CT"),
        ("Fig 2 Axial CT", "Axial CT"),
        ("Figs. 1a-c. Axial CT", "Axial CT"),
        ("Supplementary Figure S2. Axial CT", "Axial CT"),
        ("Şekil 4. Aksiyel BT", "Aksiyel BT"),
        ("Fig. 1. Fig. 2. Axial CT", "Axial CT"),
        ("Figure 1 shows a mass.", "Figure 1 shows a mass."),
        ("Figure of eight sign.", "Figure of eight sign."),
        ("Image quality is poor.", "Image quality is poor."),
        ("CT as in Fig. 2.", "CT as in Fig. 2."),
        ("Fig. 7", ""),
        ("10<sup>-3</sup> mm<sup>2</sup>/s of H<sub>2</sub>O", "10⁻³ mm²/s of H₂O"),
        ("CD4<sup>+</sup> cells", "CD4+ cells"),
        ("<italic>In vivo</italic> image<xref ref-type='fig' rid='f1'>, b</xref>", "In vivo image, b"),
        ("lesion <5 mm and >3 mm", "lesion <5 mm and >3 mm"),
        ("lesion &lt;5 mm &amp;amp; oedema", "lesion <5 mm & oedema"),
        ("one<br/>two", "one two"),
        (
            r"size \documentclass[12pt]{minimal}\usepackage{amsmath}"
            r"\begin{document}$$5\times 10^{-3}$$\end{document} mm",
            "size 5×10⁻³ mm",
        ),
        (r"$\mu$m and \textbf{bold} at 5\%", "μm and bold at 5%"),
        ("it cost $5 and $6", "it cost $5 and $6"),
        ("10² mm, H₂O, ½ dose", "10² mm, H₂O, ½ dose"),
        ("\ufb01brosis of 5\u00a0\u00b5m\u2009\uff08wide\uff09", "fibrosis of 5 μm (wide)"),
        ("zero\u200bwidth \u202ebidi\x00 \x07bell soft\u00adhyphen", "zerowidth bidi bell softhyphen"),
        ("Image (https://example.org/a?b=1) here", "Image here"),
        ("See www.example.org. doi: 10.1000/xyz-1", "See"),
        ("spaces  \t\n and , commas ( ) .", "spaces and, commas."),
        ("Replace this - DESCRIPTION OF THE IMAGE OR FINDINGS.", ""),
        ("N/A", ""),
        ("No caption available.", ""),
        ("None of the nodules grew.", "None of the nodules grew."),
        ("Göğüs röntgeni: İNFİLTRASYON, ığdır", "Göğüs röntgeni: İNFİLTRASYON, ığdır"),
        ("e\u0301tat", "état"),
        ("", ""),
    ],
)
def test_what_is_taken_out(text, clean):
    assert clean_caption(text) == clean


PIECES = st.sampled_from(
    ["Fig. 1", "Figure 2a: ", "<b>", "</sup>", "&lt;", "&amp;", "$", "\\mu ", "{", "}", "http://x.y ", "()",
     " ", "\u00a0", "\u200b", "\ufb01", "²", "\n", "A", "a", "1", ".", ",", "\ud800", "doi:10.1234/x",
     "\\text{a}", "n/a"]
)  # fmt: skip


@given(st.one_of(st.text(max_size=200), st.lists(PIECES, max_size=20).map("".join)))
def test_cleaning_is_done_once_and_leaves_nothing_unseen(text):
    clean = clean_caption(text)
    assert clean_caption(clean) == clean
    assert clean == clean.strip()
    assert "  " not in clean
    assert not [
        char for char in clean if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    ]
    clean.encode("utf-8")


@given(st.lists(st.from_regex(r"[a-z]{2,9}", fullmatch=True), max_size=30))
def test_plain_words_are_not_touched(words):
    text = " ".join(word for word in words if word not in {"na", "none", "null", "nan", "untitled", "tbd"})
    if not text.startswith(("lorem", "replace", "no", "not")):
        assert clean_caption(text) == text


def test_a_caption_without_an_end_takes_no_time():
    hostile = (
        "\\documentclass{" * 3000,
        "<b" * 9000,
        "$" * 20_000,
        "&amp;" * 9000,
        "(" * 20_000,
        "Fig. 1. " * 5000,
    )
    for text in hostile:
        assert len(clean_caption(text)) <= LONGEST


def test_prints_of_captions():
    one = "Chest radiograph shows a small left pleural effusion today."
    assert caption_print(one) == caption_print(
        "chest  RADIOGRAPH shows: a small left, pleural effusion - today"
    )
    assert caption_print(one) != caption_print(one.replace("left", "right"))
    assert caption_print("Normal chest radiograph.") == 0
    assert 0 < caption_print(one) < 1 << 64


@pytest.mark.parametrize(
    ("cell", "concepts"),
    [
        ("C0040405;C0817096", ("C0040405", "C0817096")),
        ("['C0040405', 'c0817096', 'C0040405']", ("C0040405", "C0817096")),
        ("CT|Chest, Pulmonary|CT", ("CT", "Chest, Pulmonary")),
        ("chest; axial", ("chest", "axial")),
        ("", ()),
    ],
)
def test_concepts_of_a_cell(cell, concepts):
    assert concepts_of(cell) == concepts


def test_concepts_are_joined_once_each():
    assert joined(["b", "a"], ["a", " c ", ""]) == ("b", "a", "c")
    assert is_cui("C0040405")
    assert not is_cui("C004040")
    assert re.fullmatch(r"C\d{7}", "C0040405")
