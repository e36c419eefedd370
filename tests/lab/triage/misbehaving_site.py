"""A real web server on the loopback that behaves as badly as sites do. Every sentence in it is invented."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECTIONS = {
    "goz": "Göz Hastalıkları",
    "kalp": "Kardiyoloji",
    "deri": "Dermatoloji",
    "cocuk": "Pediatri",
    "dongu": "Nöroloji",
    "dis": "Üroloji",
    "gizli": "Psikiyatri",
    "tekrar": "Dahiliye",
    "bos": "Ortopedi",
}
ROBOTS = "User-agent: *\nDisallow: /sorular/gizli\n"


def question(section: str, page: int, place: int) -> str:
    days = page * 10 + place
    return f"{SECTIONS[section]} için sorum: {days} gündür ağrım var, şişlik de çıktı; ne yapmalıyım?"


def list_page(section: str, page: int, *, count: int = 3, head: str = "", following: str = "") -> str:
    """A list page with `count` questions, each with a link to its own page."""
    cards = "".join(
        f"<article><h2><a href='/soru/{section}-{page}-{place}#yanit'>Soru</a></h2>"
        f"<p class='metin'>{question(section, page, place)}</p></article>"
        for place in range(1, count + 1)
    )
    return f"<html><head>{head}<title>Sorular</title></head><body>{cards}{following}</body></html>"


@dataclass(frozen=True)
class Answer:
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0.0
    length: bool = True


def html(
    text: str, *, encoding: str = "utf-8", content_type: str = "text/html; charset=utf-8", wait: float = 0.0
) -> Answer:
    return Answer(text.encode(encoding), headers={"Content-Type": content_type}, wait=wait)


EMPTY = html("<html><body><p>Bu bölümde başka soru yok.</p></body></html>")
BROKEN = (
    "<html><body><div><article><h2>Soru<p class='metin'><b><i>"
    + question("cocuk", 3, 1)
    + "</article><article><p class=metin>"
    + question("cocuk", 3, 2)
    + "</div></span><article><p class='metin' data-x=\"<>\">"
    + question("cocuk", 3, 3)
    + "<script>var metin = '<p class=metin>kod</p>';</script>"
)


class MisbehavingSite:
    """The server. `answers` maps a path with its query to an answer, or to a function of the visit's number.

    Attributes:
        seen: path and query of every request, in order.
        agents: every user agent that came.
        before: called with the number of each request before it is answered.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Answer | Callable[[int], Answer]] = {}
        self.seen: list[str] = []
        self.times: list[float] = []
        self.agents: set[str] = set()
        self.before: Callable[[int], None] = lambda number: None
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site._serve(self)

            def log_message(self, *args: object) -> None:
                pass

        self._visits: Counter[str] = Counter()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> MisbehavingSite:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def forget(self) -> None:
        """As if nobody had come yet; what a visit's number changes stays changed."""
        self.seen.clear()
        self.times.clear()

    def pages_seen(self) -> list[str]:
        return [path for path in self.seen if path != "/robots.txt"]

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path
        self.seen.append(path)
        self.times.append(time.monotonic())
        self.agents.add(handler.headers.get("User-Agent", ""))
        self._visits[path] += 1
        self.before(len(self.seen))
        answer = self.answers.get(path, Answer(b"yok", 404, {"Content-Type": "text/html"}))
        if callable(answer):
            answer = answer(self._visits[path])
        time.sleep(answer.wait)
        try:
            handler.send_response(answer.status)
            for name, value in answer.headers.items():
                handler.send_header(name, value)
            if answer.length:
                handler.send_header("Content-Length", str(len(answer.body)))
            handler.end_headers()
            handler.wfile.write(answer.body)
        except ConnectionError:
            pass  # the crawler was killed, or did not want so much


def on_list_pages(elsewhere: str) -> MisbehavingSite:
    """Texts on the list pages, pages counted; nearly every section has its own fault.

    Args:
        elsewhere: the address of another server, to which one page redirects.
    """
    site = MisbehavingSite()
    put = site.answers
    put["/robots.txt"] = Answer(ROBOTS.encode(), headers={"Content-Type": "text/plain"})

    def page(section: str, number: int, answer: Answer | Callable[[int], Answer]) -> None:
        put[f"/sorular/{section}?sayfa={number}"] = answer

    for number in (1, 2, 3):
        page("goz", number, html(list_page("goz", number)))
    page("goz", 4, EMPTY)

    slow = html(list_page("kalp", 1), wait=0.1)
    page("kalp", 1, lambda visit: replace(slow, wait=5.0) if visit == 1 else slow)
    fine = html(list_page("kalp", 2))
    faults = {1: Answer(b"bozuk", 500), 2: Answer(b"yavas", 429, {"Retry-After": "1"})}
    page("kalp", 2, lambda visit: faults.get(visit, fine))
    page("kalp", 3, EMPTY)

    page("deri", 1, html(list_page("deri", 1)))
    page("deri", 2, Answer(b"bozuk", 500))
    page("deri", 3, html(list_page("deri", 3)))
    page("deri", 4, EMPTY)

    page("cocuk", 1, html(list_page("cocuk", 1), encoding="cp1254", content_type="text/html"))
    meta = "<meta charset='utf-8'>"
    page("cocuk", 2, html(list_page("cocuk", 2, head=meta), encoding="cp1254"))
    page("cocuk", 3, html(BROKEN))
    page("cocuk", 4, EMPTY)

    page("dongu", 1, html(list_page("dongu", 1)))
    page("dongu", 2, Answer(status=302, headers={"Location": "/sorular/dongu?sayfa=2&r=1"}))
    put["/sorular/dongu?sayfa=2&r=1"] = Answer(status=302, headers={"Location": "/sorular/dongu?sayfa=2"})
    page("dongu", 3, html(list_page("dongu", 3)))  # page 4 is a 404

    page("dis", 1, html(list_page("dis", 1)))
    page("dis", 2, Answer(status=301, headers={"Location": f"{elsewhere}/sorular/dis?sayfa=2"}))
    page("dis", 3, html(list_page("dis", 3) + " " * 200_000))
    page("dis", 4, replace(html(list_page("dis", 4) + " " * 200_000), length=False))
    page("dis", 5, EMPTY)

    page("gizli", 1, html(list_page("gizli", 1)))

    for number in range(1, 50):
        page("tekrar", number, html(list_page("tekrar", min(number, 2))))

    page("bos", 1, EMPTY)
    return site


def with_own_pages() -> MisbehavingSite:
    """A link to the next page, and each question on a page of its own; some of those misbehave."""
    site = MisbehavingSite()
    put = site.answers
    put["/robots.txt"] = Answer(status=404)
    for section, last in (("goz", 3), ("kalp", 2)):
        for number in range(1, last + 1):
            following = f"<a class='ileri' href='/sorular/{section}?sayfa={number + 1}'>Sonraki</a>"
            put[f"/sorular/{section}?sayfa={number}"] = html(
                list_page(section, number, following=following if number < last else "")
            )
            for place in (1, 2, 3):
                text = question(section, number, place)
                put[f"/soru/{section}-{number}-{place}"] = html(
                    f"<html><body><div class='soru'><p>{text}</p><p>Te<b>şek</b>kürler.</p></div>"
                    "<div class='soru'>Yanıt: muayene gerekir.</div></body></html>"
                )
    whole = put["/soru/goz-2-2"]
    assert isinstance(whole, Answer)
    put["/soru/goz-2-2"] = lambda visit: Answer(b"bozuk", 503) if visit < 4 else whole
    put["/soru/kalp-1-3"] = html("<html><body><p>Soru kaldırıldı.</p></body></html>")
    shared = "<article><a href='/soru/goz-1-1'>Ortak soru</a></article><article><a href='http://192.0.2.1/soru/x'>x</a>"
    put["/sorular/kalp?sayfa=2"] = html(list_page("kalp", 2, following=shared))
    return site
