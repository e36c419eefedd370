"""Invented complaints to learn from: three departments that a few words tell apart."""

from __future__ import annotations

import random

from tetkik.lab.triage.data import Complaints

_PARTS = {
    "Dermatoloji": (
        ("yüzümde sivilce", "kolumda kaşıntılı döküntü", "saçlarım dökülüyor", "cildimde leke", "egzamam"),
        ("kremler işe yaramadı", "kaşınıyor ve soyuluyor", "yayılmaya başladı", "güneşte kızarıyor"),
    ),
    "Göz Hastalıkları": (
        (
            "sol gözüm kızardı",
            "uzağı bulanık görüyorum",
            "göz kapağım şişti",
            "gözlerim sulanıyor",
            "lensim battı",
        ),
        ("ışığa bakamıyorum", "gözlüğüm yetmiyor", "damla kullandım", "görmem azaldı"),
    ),
    "Kardiyoloji": (
        (
            "kalbim hızlı çarpıyor",
            "tansiyonum yüksek",
            "merdivende göğsüm sıkışıyor",
            "ritim bozukluğum",
            "stent takıldı",
        ),
        ("ekg çektirdim", "çarpıntıyla uyanıyorum", "efor testi istediler", "kalp ilacı içiyorum"),
    ),
}
_OPENINGS = ("Merhaba hocam", "İyi günler", "Doktor bey", "Selam", "Hocam kolay gelsin", "Bir sorum olacaktı")
_TIMES = (
    "iki haftadır",
    "dünden beri",
    "üç aydır",
    "yaklaşık bir yıldır",
    "geçen haftadan beri",
    "beş gündür",
)
_ENDINGS = (
    "ne yapmalıyım?",
    "önerinizi bekliyorum.",
    "çok endişeliyim.",
    "teşekkür ederim.",
    "geçer mi acaba?",
)


def invented(rows: int = 300, seed: int = 0) -> Complaints:
    """`rows` distinct complaints, a third to a department."""
    chance = random.Random(seed)
    found: dict[str, str] = {}
    while len(found) < rows:
        label = list(_PARTS)[len(found) % 3]
        what, more = _PARTS[label]
        age = chance.randint(18, 80)
        text = (
            f"{chance.choice(_OPENINGS)}, {age} yaşındayım. {chance.choice(_TIMES).capitalize()} "
            f"{chance.choice(what)}, {chance.choice(more)}; {chance.choice(more)} {chance.choice(_ENDINGS)}"
        )
        found[text] = label
    return Complaints(tuple(found), tuple(found.values()), {})
