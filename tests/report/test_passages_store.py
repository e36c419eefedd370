"""A hospital's own documents: added, replaced, given once, taken out; never half-written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tetkik.errors import DataError, InputError
from tetkik.language import Language
from tetkik.report.passages import (
    add_document,
    all_passages,
    documents,
    hospital_passages,
    library,
    remove_document,
)
from tetkik.report.retrieval import passages_for, search
from tetkik.settings import settings
from tetkik.values import PassageKind

FIRST = "# Plevra\n\nPlevral efüzyon düşünülen her hastaya aynı gün ultrasonografi yapılır.\n"
SECOND = "# Plevra\n\nPlevral efüzyon düşünülen hastaya bir saat içinde ultrasonografi yapılır.\n"


@pytest.fixture
def write(tmp_path):
    def write(name: str, text: str) -> Path:
        path = Path(tmp_path, name)
        path.write_text(text, "utf-8")
        return path

    return write


def store() -> Path:
    return Path(settings().passages_dir, "documents.jsonl")


def test_a_document_becomes_passages(write):
    added = add_document(write("Göğüs Protokolü.md", FIRST))
    assert added.new and added.document.version == 1
    (passage,) = hospital_passages()
    assert passage.id == "doc-gogus-protokolu-1"
    assert passage.kind is PassageKind.HOSPITAL
    assert passage.language is Language.TR
    assert passage.title == "Plevra"
    assert passage.source == "Göğüs Protokolü.md"
    assert passage in all_passages(Language.TR)
    assert passage not in all_passages(Language.EN)
    assert passage not in library()


def test_a_newer_version_replaces_the_older_one_which_stays_in_the_history(write):
    add_document(write("plevra.md", FIRST))
    added = add_document(write("plevra.md", SECOND))
    assert added.document.version == 2
    assert ["bir saat" in item.text for item in hospital_passages()] == [True]
    first, second = map(json.loads, store().read_text("utf-8").splitlines())
    assert (first["version"], second["version"]) == (1, 2)
    assert "aynı gün" in first["chunks"][0]["text"]
    assert [item.version for item in documents()] == [2]


def test_the_very_same_file_changes_nothing(write):
    path = write("plevra.md", FIRST)
    add_document(path)
    before = store().read_bytes()
    assert not add_document(path).new
    assert store().read_bytes() == before


def test_another_label_for_the_same_file_is_a_new_version(write):
    path = write("plevra.md", FIRST)
    add_document(path)
    assert add_document(path, label="Effusion").document.version == 2
    assert hospital_passages()[0].label == "Effusion"


def test_the_same_text_in_two_documents_is_given_once(write):
    add_document(write("a.md", FIRST))
    added = add_document(write("b.md", FIRST.replace("her hastaya", "her  HASTAYA")))
    assert added.duplicates == 1
    assert [item.source for item in hospital_passages()] == ["a.md"]
    remove_document("a")
    assert [item.source for item in hospital_passages()] == ["b.md"]


def test_a_text_of_the_library_is_counted_as_a_duplicate(write):
    text = next(item.text for item in library(Language.EN))
    assert add_document(write("copy.txt", text)).duplicates == 1


def test_a_document_is_removed_with_its_history_by_either_name(write):
    for text in (FIRST, SECOND):
        add_document(write("Göğüs plevra.md", text))
    assert [item.version for item in remove_document("Göğüs plevra.md")] == [1, 2]
    assert hospital_passages() == () and store().read_bytes() == b""
    assert b"ultrasonografi" not in store().read_bytes()
    with pytest.raises(InputError, match="no document gogus-plevra"):
        remove_document("gogus-plevra")


def test_names_numbers_and_addresses_stay_out(write):
    text = "Sorumlu hekim Dr. Ayşe Yılmaz, tel 0532 123 45 67, TC 10000000146, efuzyon@hastane.org.tr.\n"
    added = add_document(write("sorumlu.txt", text))
    kept = store().read_text("utf-8")
    assert added.masked >= 4
    for secret in ("Yılmaz", "0532", "10000000146", "efuzyon@"):
        assert secret not in kept


def test_the_language_may_be_told(write):
    add_document(write("plevra.md", FIRST), language=Language.EN)
    assert hospital_passages()[0].language is Language.EN


def test_a_write_that_fails_leaves_everything_as_it_was(write, monkeypatch):
    add_document(write("plevra.md", FIRST))
    before = store().read_bytes()

    def full(self, target):
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        add_document(write("plevra.md", SECOND))
    assert store().read_bytes() == before
    assert sorted(item.name for item in store().parent.iterdir()) == [".lock", "documents.jsonl"]


def test_a_damaged_store_is_named_with_its_line(write):
    add_document(write("plevra.md", FIRST))
    with store().open("a", encoding="utf-8") as file:
        file.write('{"name": 1}\n')
    with pytest.raises(DataError, match="Line 2 of"):
        documents()


@pytest.mark.parametrize("name", ["a\u2028b.md", "a\x85b.md", "a\x1cb\u2029.md", "a\nb.md", "a\udcff.md"])
def test_no_name_of_a_file_breaks_the_store(write, name):
    """JSON leaves some of the line ends of Unicode as they are, and a line was read as two."""
    add_document(write(name, FIRST))
    add_document(write("plevra.md", SECOND))
    assert len(documents()) == len(hospital_passages()) == 2
    assert all(passage.source.isprintable() for passage in hospital_passages())
    assert store().read_text("utf-8").count("\n") == 2


def test_two_processes_that_add_at_once_both_find_their_document(write):
    files = [write(f"belge-{number}.md", f"{FIRST} Belge {number} sayılır.") for number in range(4)]
    code = (
        "import sys; from pathlib import Path; from tetkik.report.passages import add_document; "
        "add_document(Path(sys.argv[1]))"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(file)]) for file in files]
    assert [process.wait() for process in running] == [0, 0, 0, 0]
    assert [item.name for item in documents()] == [f"belge-{number}" for number in range(4)]


def test_a_hospitals_passage_may_be_cited_for_what_it_was_added_for_or_names(write):
    add_document(write("kural.md", "Her olgu pazartesi konseyinde görüşülür."), label="Nodule")
    add_document(write("plevra.md", FIRST))
    assert passages_for(["Nodule"], Language.TR)[-1].source == "kural.md"
    assert passages_for(["Effusion"], Language.TR)[-1].source == "plevra.md"
    assert all(item.kind is not PassageKind.HOSPITAL for item in passages_for(["Mass"], Language.TR))
    assert all(item.kind is not PassageKind.HOSPITAL for item in passages_for(["Effusion"], Language.EN))


def test_a_search_sees_what_was_added_a_moment_ago(write):
    assert not search("pazartesi konseyi", kind=PassageKind.HOSPITAL)
    add_document(write("kural.md", "Her olgu pazartesi konseyinde görüşülür."))
    (hit,) = search("pazartesi konseyi", kind=PassageKind.HOSPITAL)
    assert hit.passage.source == "kural.md"


def test_a_line_of_the_store_is_plain_json(write):
    add_document(write("plevra.md", FIRST), label="Effusion")
    entry = json.loads(store().read_text("utf-8"))
    assert entry["label"] == "Effusion" and entry["chunks"][0]["title"] == "Plevra"


def test_a_short_name_of_a_finding_is_not_found_within_another_word(write):
    add_document(write("kural.md", "Bulgu bildirimi ve tbl numarası aynı gün kaydedilir."))
    for label in ("Emphysema", "Tuberculosis"):
        assert all(item.kind is not PassageKind.HOSPITAL for item in passages_for([label], Language.TR))
    add_document(write("bul.md", "Büyük bül için cerrahi görüş alınır."))
    assert passages_for(["Emphysema"], Language.TR)[-1].source == "bul.md"


def test_a_draft_does_not_wait_for_an_embedding_model(write, monkeypatch):
    add_document(write("plevra.md", FIRST))
    monkeypatch.setenv("TETKIK_PASSAGES_EMBEDDING", "no-such/model")
    settings.cache_clear()
    assert passages_for(["Effusion"], Language.TR)[-1].source == "plevra.md"
