"""Where a language model's name leads: looked up once, and connected to as it was judged."""

from __future__ import annotations

import socket
import ssl

import certifi
import httpx
import pytest

from tests.cli.test_serve import made_certificate
from tests.report.model_server import HERE, model_server
from tetkik.errors import UsageError
from tetkik.report.llm import open_model
from tetkik.report.llm.clients import FixedTransport, addresses_of, are_inside
from tetkik.report.llm.interface import Deadline, Prompt

pytestmark = pytest.mark.attack
NAME = "llm.hastane.local"
PROMPT = Prompt("system", "user", {})


@pytest.fixture
def names(monkeypatch):
    """What the server of names says of `NAME`, one answer after another; all that it was asked."""
    answers: list[str] = []
    asked: list[str] = []
    real = socket.getaddrinfo

    def answer(host, *others, **more):
        if host != NAME:
            return real(host, *others, **more)
        asked.append(host)
        return real(answers.pop(0), *others, **more)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return answers, asked


def test_a_name_is_looked_up_once_and_the_answer_is_connected_to(chosen, names):
    answers, asked = names
    with model_server() as (url, received):
        chosen()
        # The second answer, outside the hospital, is that of whoever rebinds the name.
        answers += ["127.0.0.1", "192.0.2.1"]
        address = url.replace("127.0.0.1", NAME)
        model = open_model(address)
        assert model is not None and model.complete(PROMPT, Deadline.after(10)).text
    assert asked == [NAME] and answers == ["192.0.2.1"]
    assert received.headers[0]["Host"] == address.removeprefix("http://").partition("/")[0]


def test_the_next_address_is_tried_where_nothing_listens():
    with model_server() as (url, _):
        transport = FixedTransport(("127.0.0.99", *HERE))
        with httpx.Client(transport=transport, trust_env=False) as client:
            assert client.get(f"{url}/models".replace("127.0.0.1", NAME)).status_code == 200
    client = httpx.Client(transport=FixedTransport(()), trust_env=False)
    with client, pytest.raises(httpx.ConnectError):
        client.get(f"http://{NAME}/v1")


@pytest.mark.parametrize("url", ["http://8.8.8.8/v1", "http://llm.invalid/v1", "http://0.0.0.0/v1"])
def test_http_to_a_language_model_outside_is_refused(url, chosen):
    chosen(llm_outside=True)
    with pytest.raises(UsageError, match="begins with https"):
        open_model(url)


def test_one_address_outside_makes_a_name_one_outside():
    assert are_inside(["127.0.0.1", "::1", "10.0.0.4", "fe80::1%eth0"])
    assert not are_inside(["10.0.0.4", "8.8.8.8"]) and not are_inside([])
    assert addresses_of("no.such.host.invalid") == ()


@pytest.mark.parametrize("name", ["localhost", NAME])
def test_tls_asks_for_a_certificate_of_the_name(name, tmp_path, monkeypatch):
    """Of `localhost` there is one; the address alone, which the certificate names too, is not enough."""
    cert, key = made_certificate(tmp_path)
    monkeypatch.setattr(certifi, "where", lambda: str(cert))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with model_server(tls=context) as (url, _):
        address = url.replace("http://127.0.0.1", f"https://{name}")
        with httpx.Client(transport=FixedTransport(HERE), trust_env=False) as client:
            if name == "localhost":
                assert client.get(f"{address}/models").status_code == 200
            else:
                with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                    client.get(f"{address}/models")
