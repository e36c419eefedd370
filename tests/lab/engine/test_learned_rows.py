"""What a bundle tells of the rows that it learned: copies are known again, new rows are not."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from tetkik.errors import BundleCorrupt, DataError
from tetkik.lab.engine.learned_report import divide
from tetkik.lab.engine.learned_rows import LEARNED, LearnedMatch, LearnedRows, Pictures, read_learned
from tetkik.lab.engine.options import LearnedTreatment

WORDS = (
    "baş",
    "göğüs",
    "karın",
    "ağrı",
    "öksürük",
    "ateş",
    "gece",
    "sabah",
    "ilaç",
    "doktor",
    "nefes",
    "kol",
)


def complaint(seed, length=30):
    random = np.random.default_rng(seed)
    first, second = random.integers(0, (len(WORDS), 400), (length, 2)).T
    return " ".join(f"{WORDS[word]}{number}" for word, number in zip(first, second, strict=True))


def learned_texts(*texts):
    return LearnedRows.of("data", texts)


def test_a_text_is_known_again_in_another_spelling_and_with_words_changed():
    rows = learned_texts(*map(complaint, range(500)), "Başım ağrıyor")
    # One word changed in 30 leaves 29 of 33 pairs; half of the words changed leave nothing.
    changed = " ".join([*complaint(7).split()[:14], "bambaşka", *complaint(7).split()[15:]])
    half = " ".join([*complaint(8).split()[:15], *complaint(9999).split()[15:]])
    match = rows.match_texts(
        [complaint(3).upper(), changed, half, complaint(1000), "BASIM   AGRIYOR!", "Dişim ağrıyor"]
    )
    assert match.same.tolist() == [True, False, False, False, True, False]
    assert match.near.tolist() == [False, True, False, False, False, False]


def test_new_texts_are_seldom_taken_for_learned_ones_and_a_guess_proves_little():
    rows = learned_texts(*(complaint(number, 5) for number in range(300)))
    guesses = [complaint(number, 5) for number in range(1000, 31_000)]
    share = rows.match_texts(guesses).same.mean()
    # 300 hashes of 21 bits: one guess in 7,000 hits; were it none in 30,000, a hit would prove the text.
    assert 0 < share < 1 / 2000
    long = learned_texts(*map(complaint, range(300))).match_texts([complaint(n) for n in range(1000, 2000)])
    assert not long.either.any()


def test_the_same_rows_give_the_same_hashes_and_other_data_others():
    texts = [complaint(number) for number in range(50)]
    one, again = LearnedRows.of("data", texts), LearnedRows.of("data", texts[::-1])
    assert np.array_equal(one.sketches, again.sketches) and one.salt == again.salt
    other = LearnedRows.of("other data", texts)
    assert not np.isin(one.sketches.view("S12"), other.sketches.view("S12")).any()


def film(seed, size=224):
    """A picture with structure at every scale, as a radiograph has."""
    random = np.random.default_rng(seed)
    picture = np.zeros((size, size))
    for side in (4, 8, 16, 32):
        noise = Image.fromarray(random.normal(0, 1, (side, side)).astype(np.float32))
        picture += np.asarray(noise.resize((size, size), Image.Resampling.BICUBIC)) / np.sqrt(side)
    low, high = picture.min(), picture.max()
    return Image.fromarray(np.rint(255 * (picture - low) / (high - low)).astype(np.uint8))


def pictures(images):
    return Pictures.of([np.stack([np.asarray(image.resize((224, 224))) for image in images])])


def jpeg(image, quality=50):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


CHANGES = {
    "compressed": jpeg,
    "half the size": lambda image: image.resize((112, 112), Image.Resampling.LANCZOS),
    "brightened": lambda image: image.point([round(255 * (level / 255) ** 0.7) for level in range(256)]),
    "sharpened": lambda image: image.filter(ImageFilter.SHARPEN),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_picture_is_known_again(change):
    rows = LearnedRows.of("data", pictures=pictures([film(seed) for seed in range(8)]))
    match = rows.match_pictures(pictures([change(film(seed)) for seed in (3, 4, 5)]))
    assert match.near.all() and not match.same.any()
    assert rows.match_pictures(pictures([film(3)])).same.all()
    assert not rows.match_pictures(pictures([film(seed) for seed in range(100, 120)])).either.any()


def test_black_pictures_are_copies_of_nothing():
    black, grey = (Image.new("L", (224, 224), level) for level in (0, 30))
    rows = LearnedRows.of("data", pictures=pictures([black]))
    match = rows.match_pictures(pictures([black, grey]))
    assert match.same.tolist() == [True, False] and not match.near.any()


def test_the_file_comes_back_and_a_damaged_one_is_refused(tmp_path):
    rows = LearnedRows.of("data", ["kısa", complaint(1)], pictures([film(1)]))
    rows.write(tmp_path)
    files = {LEARNED: ""}
    bundle: Any = SimpleNamespace(
        path=tmp_path, file=tmp_path.joinpath, manifest=SimpleNamespace(files=files)
    )
    found = read_learned(bundle)
    assert found is not None
    assert found.match_texts(["KISA", complaint(1)]).same.all()
    assert found.match_pictures(pictures([film(1)])).same.all()
    for content in (b"", b"PK", (tmp_path / LEARNED).read_bytes()[:-90]):
        (tmp_path / LEARNED).write_bytes(content)
        with pytest.raises(BundleCorrupt, match=r"learned\.npz that cannot be read"):
            read_learned(bundle)
    np.savez(tmp_path / LEARNED, salt=np.zeros(16, np.uint8), texts=np.array(["x"]))
    with pytest.raises(BundleCorrupt, match=r"learned\.npz that cannot be read"):
        read_learned(bundle)
    files.clear()
    assert read_learned(bundle) is None


def test_what_is_done_with_learned_rows():
    same = np.array([True, False, False, False])
    match = LearnedMatch(same, np.array([False, True, False, False]))
    new, (report, silent) = divide([("a", match), ("b", None)], 4, LearnedTreatment.SEPARATE)
    assert new.tolist() == [False, False, True, True]
    assert (report.same, report.near, silent.same) == (1, 1, None)
    assert divide([("a", match)], 4, LearnedTreatment.INCLUDE)[0].all()
    with pytest.raises(DataError, match="2 of the 4 rows are among those that a learned"):
        divide([("a", match)], 4, LearnedTreatment.REFUSE)
    with pytest.raises(DataError, match="All 4 rows"):
        divide([("a", LearnedMatch(np.ones(4, bool), np.zeros(4, bool)))], 4, LearnedTreatment.SEPARATE)
