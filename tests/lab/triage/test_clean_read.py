from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tetkik.errors import DataError
from tetkik.lab.triage.clean import Columns, Reason, Repair, departments
from tetkik.lab.triage.clean.read import RawRow, decode, read_rows, restore

KNOWN = departments()
CONTROLS = bytes([*range(9), *range(14, 32)])
"""With many of these a file is no table at all."""


def rows(path: Path, columns: Columns | None = None) -> list[RawRow]:
    return list(read_rows(path, columns or Columns(), lambda cell: KNOWN.match(cell) is not None))


def pairs(path: Path) -> list[tuple[str, str]]:
    return [(row.text, row.label) for row in rows(path) if row.fault is None]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return path


# ---- encodings


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "cp1254", "iso8859-9", "utf-16", "utf-16-le", "utf-16-be"]
)
def test_every_encoding_gives_the_same_rows(tmp_path: Path, encoding: str) -> None:
    table = "text,label\nBöğrüm ağrıyor çok şiş,Üroloji\nGözüm İltihaplı,Göz Hastalıkları\n"
    path = write(tmp_path / "t.csv", table.encode(encoding))
    assert pairs(path) == [("Böğrüm ağrıyor çok şiş", "Üroloji"), ("Gözüm İltihaplı", "Göz Hastalıkları")]


def test_one_file_may_mix_encodings_line_by_line(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.csv",
        b"text,label\n" + "dişim ağrıyor,Nöroloji\n".encode() + "başım ağrıyor,Nöroloji\n".encode("cp1254"),
    )
    found = rows(path)
    assert [row.text for row in found] == ["dişim ağrıyor", "başım ağrıyor"]
    assert [row.repairs for row in found] == [(), (Repair.WINDOWS_1254,)]


def test_one_stray_byte_does_not_spoil_its_line() -> None:
    line = "şişlik ve ağrı var".encode() + b" \xfe" + "işkinlik".encode()
    assert decode(line) == ("şişlik ve ağrı var şişkinlik", Repair.WINDOWS_1254)


@given(st.text(alphabet="abcçdefgğhıijklmnoöprsştuüvyzABCÇDEFGĞHIİÖŞÜ ,.?", max_size=80))
def test_wrongly_decoded_letters_are_restored(text: str) -> None:
    for wrong in ("cp1252", "cp1254", "latin-1"):
        try:
            perturbed = text.encode("utf-8").decode(wrong)
        except UnicodeDecodeError:
            continue
        assert restore(perturbed) == text


@given(st.text(alphabet="abcçdefgğhıijklmnoöprsştuüvyzABCÇDEFGĞHIİÖŞÜâîû’“”… ,.?", max_size=80))
def test_sound_text_is_not_restored(text: str) -> None:
    assert restore(text) == text


def test_windows_1254_read_as_western_and_letters_decoded_wrongly_twice() -> None:
    assert restore("baþým aðrýyor") == "başım ağrıyor"
    twice = "şişğı".encode().decode("cp1252").encode().decode("cp1252", "replace")
    assert restore(twice) == "şişğı"


@given(st.binary(max_size=60))
def test_any_bytes_become_text(line: bytes) -> None:
    decoded, _ = decode(line)
    decoded.encode("utf-8")


# ---- CSV


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters(tmp_path: Path, delimiter: str) -> None:
    content = f"no{delimiter}Şikayet{delimiter}Bölüm\n1{delimiter}dizim şiş{delimiter}Ortopedi\n"
    assert pairs(write(tmp_path / "t.csv", content)) == [("dizim şiş", "Ortopedi")]


def test_the_excel_line_that_names_the_delimiter_is_skipped(tmp_path: Path) -> None:
    assert pairs(write(tmp_path / "t.csv", "sep=;\ntext;label\na b;Üroloji\n")) == [("a b", "Üroloji")]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(alphabet="abç ğı,;\"\n'", min_size=1, max_size=40).filter(lambda t: t.strip() != ""),
            st.sampled_from(["Üroloji", "Nöroloji", "Ortopedi"]),
        ),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from([",", ";", "\t"]),
    st.booleans(),
)
def test_what_a_writer_wrote_is_read_back(
    tmp_path: Path, table: list[tuple[str, str]], delimiter: str, label_first: bool
) -> None:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    writer.writerow(("label", "text") if label_first else ("text", "label"))
    writer.writerows((label, text) if label_first else (text, label) for text, label in table)
    path = write(tmp_path / "t.csv", file.getvalue())
    assert pairs(path) == table


def test_an_unclosed_quote_costs_no_other_row(tmp_path: Path) -> None:
    lines = [f"şikayet {number},Nöroloji" for number in range(3000)]
    lines[10] = '"bu tırnak kapanmadı,Nöroloji'
    lines[20] = 'içinde "tırnak olan,Üroloji'
    lines[30] = '"baştan "ve ortadan" tırnaklı",Ortopedi'
    found = rows(write(tmp_path / "t.csv", "text,label\n" + "\n".join(lines)))
    assert len(found) == 3000 and not any(row.fault for row in found)
    assert found[10].text == "bu tırnak kapanmadı" and found[10].repairs == (Repair.QUOTING,)
    assert found[20].text == 'içinde "tırnak olan'
    assert found[30].text == 'baştan "ve ortadan" tırnaklı'
    assert found[-1].number == 3001


def test_an_unclosed_quote_before_a_quoted_row(tmp_path: Path) -> None:
    content = 'text,label\n"kapanmayan metin,Üroloji\n"sağlam, metin",Nöroloji\n"iki\nsatır",Ortopedi\n'
    assert pairs(write(tmp_path / "t.csv", content)) == [
        ("kapanmayan metin", "Üroloji"),
        ("sağlam, metin", "Nöroloji"),
        ("iki\nsatır", "Ortopedi"),
    ]


def test_delimiters_inside_an_unquoted_text_belong_to_the_text(tmp_path: Path) -> None:
    content = "id,text,label\n1,dizim, belim, her yerim ağrıyor,Ortopedi\n2,kolum,Ortopedi,,\n"
    found = rows(write(tmp_path / "t.csv", content))
    assert [(row.text, row.label) for row in found] == [
        ("dizim, belim, her yerim ağrıyor", "Ortopedi"),
        ("kolum", "Ortopedi"),
    ]


def test_quotes_escaped_with_a_backslash(tmp_path: Path) -> None:
    content = 'text,label\n"doktor \\"geçer\\" dedi, geçmedi",Üroloji\n'
    assert pairs(write(tmp_path / "t.csv", content)) == [('doktor "geçer" dedi, geçmedi', "Üroloji")]


def test_a_line_without_its_columns_is_reported_with_its_place(tmp_path: Path) -> None:
    found = rows(write(tmp_path / "t.csv", "text,label\nyarım kalan\n\ntam satır,Üroloji\n"))
    assert [(row.number, row.fault) for row in found] == [(2, Reason.BROKEN_ROW), (4, None)]
    assert found[0].text == "yarım kalan"


def test_old_line_ends_and_nul_bytes(tmp_path: Path) -> None:
    assert pairs(write(tmp_path / "t.csv", "text,label\rdizim,Ortopedi\rkolum,Ortopedi\r")) == [
        ("dizim", "Ortopedi"),
        ("kolum", "Ortopedi"),
    ]
    found = rows(write(tmp_path / "n.csv", "text,label\ndi\x00zim,Ortopedi\n"))
    assert found[0].fault is None and found[0].label == "Ortopedi"


def test_an_endless_line_costs_that_line_alone(tmp_path: Path) -> None:
    content = b"text,label\n" + b"a" * 9_000_000 + b",x\ndizim,Ortopedi\n"
    found = rows(write(tmp_path / "t.csv", content))
    assert [(row.number, row.fault) for row in found] == [(2, Reason.TOO_LONG), (3, None)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=300).map(lambda rubbish: rubbish.translate(None, CONTROLS)))
@example(b'"\n"\n,"\n')
def test_any_rubbish_after_the_header_is_rows_or_faults(tmp_path: Path, rubbish: bytes) -> None:
    sound = b"\nson satir,Nefroloji\n"
    path = write(tmp_path / "t.csv", b"text,label\nilk satir,Nefroloji\n" + rubbish + sound)
    found = rows(path)
    assert found[0].text == "ilk satir"
    # Whatever stood between: the sound row after it is read, or its letters are in a row that shows them.
    assert any("son satir" in row.text for row in found)


def test_columns_are_found_by_usual_names_and_by_option(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "DEPARTMENT,QUESTION\nÜroloji,böbreğim\n")
    assert pairs(path) == [("böbreğim", "Üroloji")]
    own = write(tmp_path / "o.csv", "ne,kime\nböbreğim,Üroloji\n")
    assert rows(own, Columns("Ne", "KİME"))[0].text == "böbreğim"
    with pytest.raises(DataError, match=r"its columns are: ne, kime.*--text-column"):
        rows(own)
    with pytest.raises(DataError, match="no columns soru and label"):
        rows(path, Columns("soru"))


# ---- JSON


def test_json_lines_with_broken_ones(tmp_path: Path) -> None:
    content = "\n".join(
        [
            json.dumps({"soru": "dizim şiş", "bölüm": "Ortopedi"}, ensure_ascii=False),
            '{"soru": "yarım',
            "[1, 2]",
            "[" * 100_000,
            "",
            '{"soru": "bel\\ud83d", "bölüm": null},',
            '{"başka": 1}',
        ]
    )
    found = rows(write(tmp_path / "t.jsonl", content))
    assert [(row.number, row.fault is None) for row in found] == [
        (1, True), (2, False), (3, False), (4, False), (6, True), (7, False),
    ]  # fmt: skip
    assert found[0].text == "dizim şiş" and found[4].label == ""


def test_a_json_list_is_read_as_well(tmp_path: Path) -> None:
    content = json.dumps([{"text": "a b", "label": "Üroloji"}, 3], indent=1)
    found = rows(write(tmp_path / "t.json", content))
    assert [(row.text, row.fault) for row in found] == [("a b", None), ("3", Reason.BROKEN_ROW)]


def test_json_without_the_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="its columns are: a"):
        rows(write(tmp_path / "t.jsonl", '{"a": 1}\n{"a": 2}\n'))


# ---- workbooks and Parquet


def test_workbook_with_several_sheets(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    first = book.active
    assert first is not None
    first.title = "Ocak"
    for line in (
        ["Hastane raporu"],
        [],
        ["Şikayet", "Bölüm"],
        ["dizim şiş", "Ortopedi"],
        [None, None],
        [42, "KBB"],
    ):
        first.append(line)
    book.create_sheet("Notlar").append(["bir", "şey"])
    second = book.create_sheet("Şubat")
    second.append(["label", "text"])
    second.append(["Üroloji", "böbreğim"])
    path = tmp_path / "t.xlsx"
    book.save(path)
    found = rows(path)
    assert [(row.source.split("#")[1], row.number, row.text, row.label) for row in found] == [
        ("Ocak", 4, "dizim şiş", "Ortopedi"),
        ("Ocak", 6, "42", "KBB"),
        ("Şubat", 2, "böbreğim", "Üroloji"),
    ]


def test_a_workbook_that_is_a_bomb_or_damaged_is_refused(tmp_path: Path) -> None:
    bomb = tmp_path / "b.xlsx"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * (80 << 20))
    with pytest.raises(DataError, match="unpacks to 80 MB"):
        rows(bomb)
    with pytest.raises(DataError, match="not a sound workbook"):
        rows(write(tmp_path / "d.xlsx", b"PK\x03\x04 broken"))
    empty = tmp_path / "e.xlsx"
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("hello.txt", "x")
    with pytest.raises(DataError, match="not a sound workbook"):
        rows(empty)


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table = pa.table(
        {
            "text": pa.array(["dizim şiş", None, "kolum"]),
            "label": pa.array(["Ortopedi", "KBB", "Ortopedi"]).dictionary_encode(),
            "other": [1, 2, 3],
        }
    )
    pq.write_table(table, path)
    assert [(row.number, row.text, row.label) for row in rows(path)] == [
        (1, "dizim şiş", "Ortopedi"),
        (2, "", "KBB"),
        (3, "kolum", "Ortopedi"),
    ]
    cut = write(tmp_path / "c.parquet", path.read_bytes()[:200])
    with pytest.raises(DataError, match="damaged or cut short"):
        rows(cut)


def test_parquet_with_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    raw = pa.array(["başım".encode("cp1254")], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": raw, "label": ["Nöroloji"]}), tmp_path / "t.parquet")
    assert pairs(tmp_path / "t.parquet") == [("başım", "Nöroloji")]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf\n\n", "is empty"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old Excel"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, "not a table"),
        (b"%PDF-1.7\n" + bytes(range(32)) * 40, "not a table"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        rows(write(tmp_path / "t.csv", content))
