"""Bytes of a page become questions, whatever is wrong with them."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tetkik.lab.triage.collect import Site
from tetkik.lab.triage.collect.page import decode, read_list, read_question


def description(**changes: Any) -> dict[str, Any]:
    return {
        "id": "deneme",
        "base_url": "http://127.0.0.1:1",
        "list_url": "/sorular/{section}?sayfa={page}",
        "max_pages": 20,
        "questions": {"item": "article"},
        "pace": {"delay": 0.0},
        "sections": {"goz": "Göz Hastalıkları", "beyin": "Nöroloji"},
        **changes,
    }


_TURKISH = st.text("abcçdefgğhıijklmnoöprsştuüvyzABCÇDEFGĞHIİJKLMNOÖPRSŞTUÜVYZ .,;?!0123456789\n")
_WRONG = st.sampled_from(
    [
        "",
        "text/html",
        *(f"text/html; charset={name}" for name in ("utf-8", "iso-8859-9", "iso-8859-1", "ascii", "x")),
    ]
)


@given(text=_TURKISH, encoding=st.sampled_from(["utf-8", "utf-8-sig", "cp1254"]), declared=_WRONG)
def test_turkish_is_read_whatever_is_declared(text: str, encoding: str, declared: str) -> None:
    assert decode(text.encode(encoding), declared) == text


@settings(max_examples=50, deadline=None)
@given(body=st.binary(max_size=300), declared=st.text(max_size=40) | _WRONG)
def test_no_page_breaks_the_reader(body: bytes, declared: str) -> None:
    site = Site(**description(next_page="a", questions={"item": "p, a", "link": "a", "text": "b"}))
    read_list(body, "http://127.0.0.1:1/", declared, site)
    read_question(body, declared, site)


def test_utf8_with_one_broken_byte_stays_utf8() -> None:
    body = "Göğsümde ağrı var, şişlik de".encode() + b"\xff"
    assert decode(body, "text/html; charset=utf-8").startswith("Göğsümde ağrı var, şişlik de")


def test_other_declared_encodings_are_honoured() -> None:
    assert decode("боль".encode("cp1251"), "text/html; charset=windows-1251") == "боль"
    assert decode("ağrı".encode("utf-16")) == "ağrı"


def test_the_text_is_what_a_reader_sees() -> None:
    page = (
        "<article><p>Ba<b>ş</b>ım&nbsp;ağrıyor<br>iki gündür<!-- gizli --><style>p{}</style></p>"
        "<ul><li>bulantı</li><li>kusma</li></ul></article><article><img></article>"
    )
    site = Site(**description(questions={"item": "article"}))
    found = read_list(page.encode(), "http://127.0.0.1:1/", "", site)
    assert [question.text for question in found.questions] == ["Başım ağrıyor iki gündür bulantı kusma"]
    assert found.skipped == 1


def test_deep_nesting_does_not_end_the_crawl() -> None:
    page = "<article>" + "<div>" * 20_000 + "ağrım var"
    site = Site(**description(questions={"item": "article"}))
    read_list(page.encode(), "http://127.0.0.1:1/", "", site)


def test_links_are_made_whole_and_kept_on_the_site() -> None:
    site = Site(**description(next_page="a.ileri", questions={"item": "article", "link": "a::attr(href)"}))
    page = (
        "<article>bir <a href='soru/1#yanit'>git</a></article><article>iki <a href='http://[x'>git</a></article>"
        "<article>üç <a href='//example.org/3'>git</a></article><a class=ileri href='?sayfa=2'>ileri</a>"
    )
    found = read_list(page.encode(), "http://127.0.0.1:1/sorular/goz?sayfa=1", "", site)
    assert [question.url for question in found.questions] == ["http://127.0.0.1:1/sorular/soru/1", None, None]
    assert found.next_url == "http://127.0.0.1:1/sorular/goz?sayfa=2"
