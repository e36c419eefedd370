"""The agent beside a signature card: softhsm2 is the card; only pages of the reading room may ask."""

from __future__ import annotations

import base64
import threading

import httpx
import pytest

from tests.documents.certificates import (
    MODULE,
    PIN,
    card_reader,
    certificate,
    der,
    insert_card,
    new_key,
    stamping_server,
)
from tests.documents.sample import document
from tetkik.cli.sign_agent import Agent, serving
from tetkik.documents.pades import (
    PadesOptions,
    examine_signature,
    finish_signature,
    prepare_signature,
    read_card,
    sign_with_card,
)
from tetkik.documents.pdf import to_pdf
from tetkik.errors import InputError
from tetkik.values import ReportState

pytest.importorskip("pyhanko")
pytest.importorskip("pkcs11")
pytestmark = [pytest.mark.external]
ORIGIN = "https://tetkik.example.org"


@pytest.fixture(scope="module")
def root():
    return "Deneme yetkili hizmet sağlayıcısı", new_key()


@pytest.fixture(scope="module")
def card(root, tmp_path_factory):
    """A token of softhsm2 with the key and the certificate of a radiologist."""
    folder, key = tmp_path_factory.mktemp("card"), new_key()
    with card_reader(folder):
        insert_card(folder, "kart", key, certificate("Ömer Çağrı Ünsal", key, root, kind="person"))
        yield read_card(MODULE)


@pytest.fixture
def agent(card):
    """A running agent whose person types the PIN; what it was asked for, and its address."""
    asked = []

    def ask(_card, about):
        asked.append(about)
        return PIN

    running = serving(Agent(ORIGIN, MODULE, ask), 0)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_address[1]}", asked
    running.shutdown()
    running.server_close()


def test_a_report_is_signed_through_the_agent_and_the_pin_stays_with_it(agent, root, card):
    address, asked = agent
    page = httpx.Client(headers={"Origin": ORIGIN})
    found = page.get(f"{address}/certificate").json()
    assert found["name"] == card.name == "Ömer Çağrı Ünsal" and PIN not in str(found)
    own = base64.b64decode(found["certificate"])
    options = PadesOptions(stamping_server(root), (der(certificate(root[0], root[1], root, kind="root")),))
    prepared = prepare_signature(to_pdf(document(ReportState.FINAL)), own, [], options)
    sent = {"to_sign": base64.b64encode(prepared.to_sign).decode(), "about": "Rapor 2026-000001-1"}
    answer = page.post(f"{address}/sign", json=sent)
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    signature = base64.b64decode(answer.json()["signature"])
    facts = examine_signature(finish_signature(prepared, signature, options), options)
    assert facts is not None and facts.intact and facts.trusted and facts.stamped
    assert asked == ["Rapor 2026-000001-1"]


def test_no_other_page_may_ask_and_nothing_else_is_signed(agent):
    address, _ = agent
    for headers in ({}, {"Origin": "https://evil.example"}, {"Origin": ORIGIN, "Host": "evil.example"}):
        assert httpx.get(f"{address}/certificate", headers=headers).status_code == 403
        assert httpx.options(f"{address}/sign", headers=headers).status_code == 403
    form = {"Origin": ORIGIN, "Content-Type": "text/plain"}
    assert httpx.post(f"{address}/sign", content="{}", headers=form).status_code == 403
    other = {"to_sign": base64.b64encode(b"a transfer of money").decode(), "about": ""}
    answer = httpx.post(f"{address}/sign", json=other, headers={"Origin": ORIGIN})
    assert answer.status_code == 409 and "signature" not in answer.json()


def test_a_wrong_pin_is_said(card, root):
    options = PadesOptions()
    prepared = prepare_signature(to_pdf(document(ReportState.FINAL)), card.certificate, [], options)
    with pytest.raises(InputError, match="PIN"):
        sign_with_card(MODULE, card, "0000", prepared.to_sign)
