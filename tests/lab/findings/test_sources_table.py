"""Tables as text: whatever wrote them, a bad row costs itself alone."""

from __future__ import annotations

import csv
import gzip
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lab.findings.tables import write
from tetkik.errors import DataError
from tetkik.lab.engine.tables import read_table

WORDS = st.text(
    st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp"), blacklist_characters="\ufeff")
    | st.sampled_from('ğüşıİöç,;|"'),
    max_size=12,
).map(str.strip)


@settings(max_examples=80, deadline=None)
@given(
    rows=st.lists(st.tuples(WORDS, WORDS, WORDS).filter(any), min_size=1, max_size=8),
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    bom=st.booleans(),
    packed=st.booleans(),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_what_a_writer_wrote_is_read_back(tmp_path_factory, rows, delimiter, end, bom, packed, quoting):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerows([("dosya", "etiket", "açıklama"), *rows])
    data = ("\ufeff" if bom else "").encode() + text.getvalue().encode("utf-8")
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_bytes(gzip.compress(data) if packed else data)
    table = read_table(path, need=("dosya", "etiket"))
    assert list(zip(table["dosya"], table["etiket"], table["açıklama"], strict=True)) == rows
    assert table.broken == 0


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=400), packed=st.booleans())
def test_any_bytes_end_in_a_table_or_one_sentence(tmp_path_factory, data, packed):
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_bytes(gzip.compress(data) if packed else data)
    try:
        table = read_table(path)
    except DataError as error:
        assert str(path) in str(error)
    else:
        assert all(len(column) == table.rows for column in table.columns.values())


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_broken_row_costs_itself_alone(tmp_path_factory, data):
    rows = [f"{number:08d}_000.png,Mass,{number}" for number in range(12)]
    place = data.draw(st.integers(0, 11))
    bad = data.draw(
        st.sampled_from(
            [b'x.png,"Mass,3', b"x.png,Mass", b"x.png,Mass,3,4", b"x.png,\xff\xfe,3", b'"x.png"y,Mass,3']
        )
    )
    lines = [row.encode() for row in rows]
    lines.insert(place, bad)
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_bytes(b"\n".join([b"file,labels,number", *lines]))
    table = read_table(path)
    assert table["file"] == [row.split(",")[0] for row in rows]
    assert table.broken == 1


def test_a_cell_may_go_on_over_lines(tmp_path):
    path = write(tmp_path / "t.csv", 'file,note\na.png,"first\nsecond"\nb.png,plain\n')
    table = read_table(path)
    assert table["note"] == ["first\nsecond", "plain"] and table.broken == 0


def test_two_open_quotes_do_not_swallow_each_other(tmp_path):
    path = write(tmp_path / "t.csv", 'file,labels,view\na.png,"Mass,PA\nb.png,"Nodule,AP\nc.png,Hernia,PA\n')
    table = read_table(path)
    assert table["file"] == ["c.png"] and table.broken == 2


def test_a_quote_as_a_letter_is_kept(tmp_path):
    path = write(tmp_path / "t.csv", 'file,size\na.png,5" film\nb.png,7" film\n')
    assert read_table(path)["size"] == ['5" film', '7" film']


def test_empty_cells_beyond_the_header_do_no_harm(tmp_path):
    path = write(tmp_path / "t.csv", "file,labels,,\na.png,Mass,,\nb.png,Mass\nc.png,Mass,x\n")
    table = read_table(path)
    assert table["file"] == ["a.png", "b.png"] and table.broken == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "header"),
        (b"file\na.png\n", "header"),
        (b"file,view\na,b\n", "no column labels"),
        (b"file,labels,labels\na,b,c\n", "two columns labels"),
        ("file,labels\n".encode("utf-16"), "not UTF-8 in line 1"),
        (gzip.compress(b"file,labels\n" + b"a.png,Mass\n" * 9000)[:-30], "damaged gzip"),
    ],
)
def test_what_is_no_table_is_named(tmp_path, content, says):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=says):
        read_table(path, need=("labels",))
