"""Invented captions for the metrics: a grammar with repeats, marks, empty captions, several references."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tetkik.lab.caption.metrics.scores import CaptionScores, Wanted, score_systems

HARD = (
    'A 3.5 cm x 2 cm mass; a 50-year-old with a "ring" (arrow), i.e., the patient\'s T2-weighted image.',
    "L4/5 and L4-L5/S1: no change vs. 12/05/2010, see Fig. 3 and Figs. 4a, b; cannot exclude, "
    "doesn't enhance.",
    "PET-CT/MRI with 18F-FDG (SUV 5.5), 37°C, ±5%, ≥3 mm, <5 cm², 2×3 cm, 10-20%, 1/2, ½, 21 3/7 weeks.",
    "“Smart” ‘quotes’, patient’s side – en dash — em dash − minus non‐breaking C3–C4 [bracket] "
    "{curly} 5' 5\".",
    "CT. The mass. An ill. defined al. et al. The D. Arrows vitamin D. The end of Dr. A.B. "
    "Smith No. 5 no. five.",
    "3.5-cm 3.5x2.1 5.5mm .5 1,500 1:500 +5 -3 5-5.5 a-5.5-b T1- and T2-weighted "
    "pre-/post-contrast p<0.05 p = .05",
    "A&B R&D x_y @x #3 $5 £5 US$5 * ** ? !! ... …  .. ; : , ' '' ` `` a...b end.The next "
    "right.Left 3.Left e.g. U.S.-based",
    "d'une l'artère qu'il O'Brien patients' Hill-Sachs' it's I'm we've they'll don’t 'tis "
    "gonna wanna 'cause '90s",
    "http://www.a.org/b?c=d, name@x.com. www.x.com :) (a;) x:D 3=planning 1:post &amp; &lt; "
    "\\alpha ~5 ^ | = => ->",
    "α. β-TCP/b μm µm é café naïve Ⅳ liver 0.5-µl ME20.4-SAP R.E.N.A.L.-Nephrometry "
    "hosp/stan/7/1/2/1558 a/b-5",
)
"""Where tokenizers differ."""
_SUBJECTS = (
    "Chest radiograph",
    "Axial CT",
    "T2-weighted MRI (sagittal)",
    "US",
    "A 50-year-old's film",
    "PET/CT",
)
_VERBS = ("shows", "shows", "reveals", "doesn't show", "demonstrates,", "cannot exclude")
_OBJECTS = (
    "a {n}.{m} cm mass",
    "a {n} x {m} mm nodule",
    "pleural effusion",
    "no fracture",
    "L{n}/{m} disc disease",
    'a "target" sign',
    "an ill-defined opacity; {n}% stenosis",
)
_PLACES = (
    "",
    "in the left lobe",
    "on the right",
    "(arrow)",
    "[arrowheads]",
    "at C{n}-C{m}",
    "in segment IV, vs. V",
)
_ENDS = (".", ".", "", " .", "!", "...", ", and so on.")


def caption(chance: random.Random) -> str:
    """One caption of the grammar; now and then empty, of marks alone, or with a phrase said twice."""
    kind = chance.random()
    if kind < 0.03:
        return chance.choice(("", " ", ".", "...", "- -"))
    thing, place = (
        chance.choice(of).format(n=chance.randint(1, 9), m=chance.randint(1, 9)) for of in (_OBJECTS, _PLACES)
    )
    words = f"{chance.choice(_SUBJECTS)} {chance.choice(_VERBS)} {thing} {place}".strip()
    if kind < 0.15:
        words = f"{words} {thing} {thing}"
    return words + chance.choice(_ENDS)


def pairs(count: int = 500, seed: int = 0) -> tuple[list[str], list[list[str]]]:
    """Candidates and references, 1 to 4 of each; the hard strings among both."""
    chance = random.Random(seed)
    references = [[caption(chance) for _ in range(chance.randint(1, 4))] for _ in range(count)]
    candidates = [
        chance.choice(of_one) if chance.random() < 0.2 else caption(chance) for of_one in references
    ]
    for place, text in enumerate(HARD):
        candidates[7 * place] = text
        references[7 * place + 1][0] = text
        references[7 * place].append(HARD[place - 1])
    return candidates, references


def score_captions(
    candidates: Sequence[str], references: Sequence[Sequence[str]], wanted: Wanted | None = None
) -> CaptionScores:
    """The scores of one system."""
    (scores,) = score_systems([candidates], references, wanted)
    return scores
