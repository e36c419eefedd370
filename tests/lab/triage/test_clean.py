from __future__ import annotations

import csv
import json
import random
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tetkik.cli.app import app
from tetkik.errors import DataError, InputError, TetkikError, UsageError
from tetkik.lab.triage.clean import Columns, Options, Reason, clean_files, departments
from tetkik.lab.triage.data import read_complaints
from tetkik.language import Language
from tetkik.settings import settings

OPTIONS = Options(departments(), suspects=False)
PARTS = {
    "Ortopedi": ["dizim", "bileğim", "omzum", "kırık", "alçı", "menisküs", "topallıyorum", "burkuldu"],
    "Göz Hastalıkları": [
        "gözüm",
        "bulanık",
        "kızardı",
        "gözlük",
        "batıyor",
        "sulanıyor",
        "göremiyorum",
        "şaşı",
    ],
    "Üroloji": ["idrar", "böbrek", "prostat", "taş", "yanma", "sık", "testis", "kanlı"],
}
FILLERS = ["üç gündür", "çok", "sabahları", "ne yapmalıyım", "geçmiyor", "ilaç kullandım", "kötüyüm", "arada"]


def complaint(draw: random.Random, label: str) -> str:
    words = [*draw.sample(PARTS[label], 4), *draw.sample(FILLERS, 4), f"{draw.randrange(10**6)}. gün"]
    draw.shuffle(words)
    return " ".join(words)


def write_csv(path: Path, rows: list[tuple[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        writer.writerows(rows)
    return path


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def mixed(tmp_path: Path) -> list[Path]:
    """One file of each kind, each with something wrong in it."""
    broken = tmp_path / "a.csv"
    broken.write_bytes(
        "Şikayet;Bölüm\n"
        "Adım Ayşe Yılmaz, dizim çok <b>şiş</b>;ortopedi ve travmatoloji\n"
        '"tırnağı kapanmayan gözüm kızardı;göz\n'
        "Merhaba aylin hanım idrarım yanıyor 0532 123 45 67;bevliye\n"
        "sadece metin\n"
        "karnım ağrıyor;Diş Hekimliği\n"
        ";Üroloji\n"
        "başım dönüyor;\n"
        "Tüm ürünlerde %50 indirim!;KBB\n"
        "05321234567;KBB\n".encode("cp1254")
    )
    lines = tmp_path / "b.jsonl"
    lines.write_text(
        '{"text": "idrarım yanıyor  çok", "label": "Üroloji"}\n'
        '{"text": "İdrarım yanıyor çok", "label": "üroloji"}\n'
        '{"text": "idrarım yanıyor çok", "label": "Dahiliye"}\n'
        "{bozuk\n",
        encoding="utf-8",
    )
    book = openpyxl.Workbook()
    assert book.active is not None
    for line in (["question", "department"], ["TC 10000000146 gözüm bulanık görüyor", "Göz"]):
        book.active.append(line)
    book.save(tmp_path / "c.xlsx")
    pq.write_table(pa.table({"text": ["kulağım çınlıyor"], "label": ["KBB"]}), tmp_path / "d.parquet")
    return [broken, lines, tmp_path / "c.xlsx", tmp_path / "d.parquet"]


def test_four_kinds_of_files_become_one_table(tmp_path: Path, mixed: list[Path]) -> None:
    out, report = tmp_path / "clean.csv", tmp_path / "clean.report"
    summary = clean_files(mixed, out, report, OPTIONS)
    rows = read(out)
    assert [(row["text"], row["label"]) for row in rows] == [
        ("Adım [AD], dizim çok şiş", "Ortopedi"),
        ("tırnağı kapanmayan gözüm kızardı", "Göz Hastalıkları"),
        ("Merhaba [DOKTOR] hanım idrarım yanıyor [TELEFON]", "Üroloji"),
        ("idrarım yanıyor çok", "Üroloji"),
        ("idrarım yanıyor çok", "Dahiliye"),
        ("TC [TCKN] gözüm bulanık görüyor", "Göz Hastalıkları"),
        ("kulağım çınlıyor", "Kulak Burun Boğaz"),
    ]
    assert list(rows[0]) == ["text", "label", "group", "source", "row"]
    assert rows[3]["group"] == rows[4]["group"]
    assert len({row["group"] for row in rows}) == 6
    assert (rows[2]["source"], rows[2]["row"]) == (str(mixed[0]), "4")
    assert rows[5]["source"] == f"{mixed[2]}#Sheet"
    assert summary.kept == 7


def test_nothing_is_dropped_silently(tmp_path: Path, mixed: list[Path]) -> None:
    report = tmp_path / "r"
    summary = clean_files(mixed, tmp_path / "clean.csv", report, OPTIONS)
    rejected = read(report / "rejected.csv")
    assert Counter(row["reason"] for row in rejected) == {
        "broken row": 2, "other label": 1, "empty text": 1, "no label": 1, "advert": 1, "no words": 1,
        "duplicate": 1,
    }  # fmt: skip
    assert summary.read == summary.kept + len(rejected) == 15
    assert {reason.value: count for reason, count in summary.rejected.items()} == Counter(
        row["reason"] for row in rejected
    )
    by_reason = {row["reason"]: row for row in rejected}
    assert by_reason["other label"]["label"] == "Diş Hekimliği"
    assert by_reason["no words"]["text"] == "[TELEFON]"
    assert (by_reason["duplicate"]["source"], by_reason["duplicate"]["row"]) == (str(mixed[1]), "2")
    assert read(report / "adverts.csv")[0]["text"] == "Tüm ürünlerde %50 indirim!"
    assert summary.other_labels == (("Diş Hekimliği", 1),)
    assert dict(next(label.spellings for label in summary.labels if label.name == "Üroloji")) == {
        "Üroloji": 2, "bevliye": 1, "üroloji": 1,
    }  # fmt: skip


def test_conflicts_across_labels_are_listed(tmp_path: Path, mixed: list[Path]) -> None:
    long = "iki haftadır sağ böğrümden kasığıma vuran bir ağrı var gece uyutmuyor idrarım koyu"
    more = write_csv(tmp_path / "m.csv", [(long + " acaba", "Üroloji"), (long, "Dahiliye")])
    summary = clean_files([*mixed, more], tmp_path / "clean.csv", tmp_path / "r", OPTIONS)
    found = read(tmp_path / "r" / "conflicts.csv")
    assert [(row["similarity"], {row["label_a"], row["label_b"]}) for row in found] == [
        ("1.000", {"Üroloji", "Dahiliye"}),
        ("0.812", {"Üroloji", "Dahiliye"}),
    ]
    assert len(summary.conflicts) == 2
    assert summary.in_groups == 4


def test_keeping_duplicates_and_other_labels(tmp_path: Path, mixed: list[Path]) -> None:
    options = replace(OPTIONS, keep_duplicates=True, keep_other_labels=True)
    summary = clean_files(mixed, tmp_path / "clean.csv", tmp_path / "r", options)
    rows = read(tmp_path / "clean.csv")
    assert summary.kept == 9
    assert "Diş Hekimliği" in {row["label"] for row in rows}
    assert Reason.DUPLICATE not in summary.rejected and Reason.OTHER_LABEL not in summary.rejected


def test_the_clean_table_is_what_training_reads_and_cleaning_it_again_changes_nothing(
    tmp_path: Path, mixed: list[Path]
) -> None:
    first, second = tmp_path / "1.csv", tmp_path / "2.csv"
    clean_files(mixed, first, tmp_path / "r1", OPTIONS)
    assert len(read_complaints(first)) == 7
    summary = clean_files([first], second, tmp_path / "r2", OPTIONS)
    assert summary.read == summary.kept
    assert not summary.masked and not summary.repairs
    keep = ("text", "label", "group")
    assert [[row[k] for k in keep] for row in read(first)] == [[row[k] for k in keep] for row in read(second)]


def test_no_personal_data_reaches_any_file(tmp_path: Path) -> None:
    secrets = ["10000000146", "0532 123 45 67", "ayse@ornek.com", "Zeynep", "TR330006100519786457841326"]
    text = "adım {3} tc {0} tel {1} mail {2} iban {4} dizim ağrıyor".format(*secrets)
    rows = [
        (text, "Ortopedi"),
        (text, "Ortopedi"),
        (text, "Üroloji"),
        (text + " %50 indirim", "Diş"),
        (text, ""),
    ]
    write_csv(tmp_path / "a.csv", rows)
    clean_files([tmp_path / "a.csv"], tmp_path / "clean.csv", tmp_path / "r", OPTIONS)
    for file in (tmp_path / "clean.csv", *(tmp_path / "r").iterdir()):
        content = re.sub(r"data:image[^\"]*", "", file.read_text("utf-8"))
        assert not [secret for secret in secrets if secret in content], file


def test_suspects_are_the_rows_with_a_swapped_label(tmp_path: Path) -> None:
    draw = random.Random(5)
    rows = [(complaint(draw, label), label) for label in PARTS for _ in range(80)]
    swapped = {complaint(draw, "Ortopedi") for _ in range(4)}
    rows += [(text, "Üroloji") for text in swapped]
    draw.shuffle(rows)
    write_csv(tmp_path / "a.csv", rows)
    options = replace(OPTIONS, suspects=True)
    summary = clean_files([tmp_path / "a.csv"], tmp_path / "clean.csv", tmp_path / "r", options)
    found = read(tmp_path / "r" / "suspects.csv")
    assert {row["text"] for row in found} == swapped
    assert {(row["label"], row["suggested"]) for row in found} == {("Üroloji", "Ortopedi")}
    assert summary.judged == len(rows) and summary.agreement > 0.95
    # Nothing is changed: the label of a suspect stays.
    assert Counter(row["label"] for row in read(tmp_path / "clean.csv"))["Üroloji"] == 84


def test_too_few_rows_to_judge(tmp_path: Path, mixed: list[Path]) -> None:
    summary = clean_files(mixed, tmp_path / "c.csv", tmp_path / "r", replace(OPTIONS, suspects=True))
    assert summary.judged == 0 and summary.suspects == ()
    assert summary.as_json()["suspects"] is None


def test_the_report_stands_alone_in_both_languages(tmp_path: Path, mixed: list[Path]) -> None:
    titles = {Language.TR: "Temizleme raporu", Language.EN: "Cleaning report"}
    for language, title in titles.items():
        clean_files(mixed, tmp_path / "c.csv", tmp_path / language.value, OPTIONS, language=language)
        page = (tmp_path / language.value / "report.html").read_text("utf-8")
        assert f"<h1>{title}</h1>" in page and f'lang="{language.value}"' in page
        links = re.findall(r'(?:src|href|srcset)="([^"]*)"', page)
        assert links and all(link.startswith("data:image/svg+xml;base64,") for link in links)
        assert "prefers-color-scheme: dark" in page
    turkish = (tmp_path / "tr" / "report.html").read_text("utf-8")
    english_left = [
        word for word in ("rows read", "Left out", "broken row", "HTML taken out") if word in turkish
    ]
    assert not english_left


def test_labels_and_texts_are_escaped_in_the_report(tmp_path: Path) -> None:
    rows = [
        ("gözüm bulanık &amp;lt;img src=x&amp;gt;", "Göz"),
        ("dizim şiş", "<script>alert(1)</script>x & y"),
    ]
    write_csv(tmp_path / "a.csv", rows)
    clean_files([tmp_path / "a.csv"], tmp_path / "c.csv", tmp_path / "r", OPTIONS)
    page = (tmp_path / "r" / "report.html").read_text("utf-8")
    assert "<script>" not in page and "x &amp; y" in page


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, mixed: list[Path]) -> None:
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        clean_files(mixed, tmp_path / name / "c.csv", tmp_path / name / "r", OPTIONS)
    for file in ("c.csv", "r/report.html", "r/rejected.csv", "r/conflicts.csv"):
        assert (tmp_path / "1" / file).read_bytes() == (tmp_path / "2" / file).read_bytes()


# ---- failures


def test_a_bad_file_does_not_stop_the_others(tmp_path: Path, mixed: list[Path]) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_bytes(b"")
    summary = clean_files([bad, tmp_path / "absent.csv", *mixed], tmp_path / "c.csv", tmp_path / "r", OPTIONS)
    assert [file.failure is None for file in summary.files] == [False, False, True, True, True, True]
    assert summary.kept == 7
    assert "is empty" in (tmp_path / "r" / "report.html").read_text("utf-8")


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "text,label\nmetin,Bilinmeyen Dal\n"])
def test_nothing_usable_leaves_nothing_behind(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.csv").write_text(content, encoding="utf-8")
    with pytest.raises(TetkikError):
        clean_files([tmp_path / "a.csv"], tmp_path / "c.csv", tmp_path / "r", OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_the_error_of_an_empty_result_names_the_commonest_reason(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [("dizim şiş", "Diş"), ("kolum şiş", "Diş"), ("", "KBB")])
    with pytest.raises(InputError, match=r"None of the 3 rows .*other label"):
        clean_files([path], tmp_path / "c.csv", tmp_path / "r", OPTIONS)


def test_an_input_is_not_overwritten(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [("dizim şiş", "Ortopedi")])
    before = path.read_bytes()
    with pytest.raises(UsageError, match="is an input as well"):
        clean_files([path], path, tmp_path / "r", OPTIONS)
    assert path.read_bytes() == before


def test_a_target_of_the_wrong_kind_is_refused_before_the_work(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [("dizim şiş", "Ortopedi")])
    with pytest.raises(UsageError, match="is a folder"):
        clean_files([path], tmp_path, tmp_path / "r", OPTIONS)
    with pytest.raises(UsageError, match="is a file"):
        clean_files([path], tmp_path / "c.csv", path, OPTIONS)


def test_a_long_text_is_left_out_and_listed(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [("dizim " * 5000, "Ortopedi"), ("dizim şiş", "Ortopedi")])
    summary = clean_files([path], tmp_path / "c.csv", tmp_path / "r", OPTIONS)
    assert summary.rejected == {Reason.TOO_LONG: 1}
    assert len(read(tmp_path / "r" / "rejected.csv")[0]["text"]) <= OPTIONS.max_chars


# ---- the command


@pytest.fixture
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TETKIK_LANGUAGE", "en")
    settings.cache_clear()


@pytest.mark.usefixtures("english")
def test_command(tmp_path: Path, mixed: list[Path]) -> None:
    out = tmp_path / "out" / "clean.csv"
    result = CliRunner().invoke(app, ["triage", "clean", *map(str, mixed), "--out", str(out), "--json"])
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert (printed["read"], printed["kept"], printed["conflicts"]) == (15, 7, 1)
    assert printed["rejected"]["duplicate"] == 1 and printed["suspects"] is None
    assert printed["report"] == str(tmp_path / "out" / "clean.report" / "report.html")
    assert sorted(path.name for path in (tmp_path / "out" / "clean.report").iterdir()) == [
        "adverts.csv", "conflicts.csv", "rejected.csv", "report.html", "suspects.csv",
    ]  # fmt: skip


@pytest.mark.usefixtures("english")
def test_suspects_that_were_not_looked_for_are_not_none_found(tmp_path: Path, mixed: list[Path]) -> None:
    result = CliRunner().invoke(app, ["triage", "clean", *map(str, mixed), "--out", str(tmp_path / "c.csv")])
    assert "not looked for: too few rows" in " ".join(result.stdout.split())


@pytest.mark.usefixtures("english")
def test_command_with_a_failed_input_ends_with_1(tmp_path: Path, mixed: list[Path]) -> None:
    arguments = [
        "triage",
        "clean",
        str(mixed[3]),
        str(tmp_path / "absent.csv"),
        "--out",
        str(tmp_path / "c.csv"),
    ]
    result = CliRunner().invoke(app, [*arguments, "--no-suspects"])
    assert result.exit_code == 1
    assert "absent.csv" in result.output and (tmp_path / "c.csv").exists()


def test_columns_that_are_not_there(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [("dizim şiş", "Ortopedi")])
    with pytest.raises(DataError, match="--text-column"):
        clean_files(
            [path], tmp_path / "c.csv", tmp_path / "r", replace(OPTIONS, columns=Columns(text="soru"))
        )
