"""What a bundle tells of the rows that it learned: copies are known again, new rows are not."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from tetkik.bundle import Manifest, Task, open_bundle, write_manifest
from tetkik.errors import BundleCorrupt, DataError
from tetkik.lab.engine.learned_rows import LEARNED, LearnedMatch, LearnedRows, Pictures, read_learned
from tetkik.lab.engine.options import LearnedTreatment
from tetkik.lab.engine.results import around, divide
from tetkik.language import Language

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


def test_a_new_short_text_is_taken_for_a_learned_one_at_the_odds_that_are_told():
    rows = learned_texts(*(complaint(number, 5) for number in range(300)))
    guesses = [complaint(number, 5) for number in range(1000, 31_000)]
    share = rows.match_texts(guesses).same.mean()
    # 300 hashes of 21 bits: one guess in 7,000 hits; were it none in 30,000, a hit would confirm the text.
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


@pytest.mark.attack
def test_bundles_cannot_be_joined_by_their_pictures():
    given = pictures([film(seed) for seed in range(8)])
    one, other = (LearnedRows.of(data, pictures=given) for data in ("data", "other data"))
    assert not np.isin(one.images, other.images).any()
    # Whoever has the file has the salt: with it nothing may lead back to the digests without one.
    salt = np.uint64(int.from_bytes(one.salt[:8], "little"))
    assert not np.isin(unmixed(one.images) ^ salt, given.digests).any()
    assert not np.isin(one.images ^ salt, given.digests).any()


def unmixed(values):
    """What `mixed_bits` was given."""
    for shift, factor in ((31, 0x94D049BB133111EB), (27, 0xBF58476D1CE4E5B9), (30, 1)):
        values = values ^ values >> np.uint64(shift) ^ values >> np.uint64(2 * shift)
        values = values * np.uint64(pow(factor, -1, 1 << 64))
    return values


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
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    for content in (b"", b"PK", array.getvalue(), (tmp_path / LEARNED).read_bytes()[:-90]):
        (tmp_path / LEARNED).write_bytes(content)
        with pytest.raises(BundleCorrupt, match=r"learned\.npz that cannot be read"):
            read_learned(bundle)
    np.savez(tmp_path / LEARNED, salt=np.zeros(16, np.uint8), texts=np.array(["x"]))
    with pytest.raises(BundleCorrupt, match=r"learned\.npz that cannot be read"):
        read_learned(bundle)
    files.clear()
    assert read_learned(bundle) is None


def written(folder, rows):
    """A bundle with these rows, or without any."""
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    if rows is not None:
        rows.write(folder)
    manifest = Manifest(
        id="model", version="1.0", task=Task.TRIAGE, kind="transformer", labels=("A",), created="2026-01-01"
    )
    write_manifest(folder, manifest)
    return folder


def test_a_model_trained_on_tells_what_its_base_had_learned(tmp_path):
    first = written(tmp_path / "first", learned_texts("Başım ağrıyor", complaint(1)))
    films = LearnedRows.of("films", pictures=pictures([film(1)]))
    second = written(tmp_path / "second", films.after(first / "model.safetensors"))
    third = written(tmp_path / "third", LearnedRows.of("new", [complaint(2)]).after(second))
    found = read_learned(open_bundle(third))
    assert found is not None and found.complete and len(found.before) == 2
    match = found.match_texts(["başım ağrıyor", complaint(1), complaint(2), complaint(3)])
    assert match.same.tolist() == [True, True, True, False] and match.complete
    assert found.match_pictures(pictures([film(1), film(2)])).same.tolist() == [True, False]


def test_what_a_base_that_does_not_tell_had_learned_is_not_known(tmp_path):
    silent = written(tmp_path / "silent", None)
    (tmp_path / "elsewhere.pth").write_bytes(b"weights")
    (silent / "other.safetensors").write_bytes(b"weights of another")
    for base in (silent, silent / "other.safetensors", tmp_path / "elsewhere.pth", tmp_path / "none"):
        assert not learned_texts("kısa").after(base).complete
    told = written(tmp_path / "told", learned_texts("kısa").after(silent))
    rows = read_learned(open_bundle(written(tmp_path / "again", learned_texts("uzun").after(told))))
    assert rows is not None and not rows.complete
    new, (report,) = divide([("a", rows.match_texts(["yeni"]))], 1, LearnedTreatment.SEPARATE)
    assert new.all() and report.as_json()["complete"] is False
    (said,) = around([], [report], ["a"])
    assert "does not tell which rows the model that it was trained from" in said.in_language(Language.EN)
    _, (report,) = divide([("a", rows.match_texts(["kısa", "yeni"]))], 2, LearnedTreatment.SEPARATE)
    assert [sentence.values["model"] for sentence in around([], [report], ["a"])] == ["a", "a"]


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
