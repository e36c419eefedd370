"""The PDF of a signed report under its radiologist's certificate: prepared, signed, finished, kept."""

from __future__ import annotations

import base64
import socket
from threading import Thread

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from playwright.sync_api import expect

from tests.documents.certificates import (
    MODULE,
    PIN,
    card_reader,
    certificate,
    der,
    insert_card,
    new_key,
    served_stamps,
)
from tests.programs import program
from tests.records.reports_kit import proof_of, signed_report
from tests.service.browser import Watch, chromium, opened, serving, signed_in
from tests.service.kit import make_context, served, sign_in
from tests.service.reports.test_reports_api import actions
from tetkik.cli.sign_agent import Agent
from tetkik.cli.sign_agent import serving as agent_at
from tetkik.documents.pades import PadesOptions, examine_signature
from tetkik.records.reports import withdrawal
from tetkik.values import Role, WithdrawalReason

pytest.importorskip("pyhanko")
API = "/api/v1/reports"
AGENT = "http://127.0.0.1:7465"


ROOT = ("Deneme yetkili hizmet sağlayıcısı", new_key())


@pytest.fixture
def stamps():
    with served_stamps(ROOT) as address:
        yield address


def test_the_signed_pdf_is_finished_kept_and_given_out(tmp_path, stamps):
    key, root_made = new_key(), certificate(*ROOT, ROOT, kind="root")
    (tmp_path / "roots.pem").write_bytes(root_made.public_bytes(serialization.Encoding.PEM))
    own = der(certificate("Ömer Çağrı Ünsal", key, ROOT, kind="person"))
    app_context = make_context(
        tmp_path,
        signature_agent=AGENT,
        signature_roots=tmp_path / "roots.pem",
        signature_time_stamps=stamps,
    )
    sent = {"certificate": base64.b64encode(own).decode()}
    with served(app_context) as client:
        reader = sign_in(client, app_context, Role.RADIOLOGIST)
        made = signed_report(app_context.records, reader)
        address = f"{API}/{made.id}/signatures/1"
        page = client.get(f"/reports/{made.id}")
        assert f'data-agent="{AGENT}"' in page.text
        assert f"connect-src 'self' {AGENT}" in page.headers["content-security-policy"]
        assert client.get(address).status_code == 404
        prepared = client.post(address, json=sent).json()
        to_sign = base64.b64decode(prepared["to_sign"])
        signature = key.sign(to_sign, padding.PKCS1v15(), hashes.SHA256())
        value = {"signature": base64.b64encode(signature).decode()}
        done = client.post(f"{address}/{prepared['id']}", json=value)
        assert done.status_code == 201, done.text
        assert done.json() == {
            "signer": "Ömer Çağrı Ünsal",
            "stamped": True,
            "archived": False,
            "trusted": True,
        }
        assert client.post(f"{address}/{prepared['id']}", json=value).status_code == 404  # it waits no more
        assert client.post(address, json=sent).status_code == 409
        pdf = client.get(address).content
        facts = examine_signature(pdf, PadesOptions(roots=(der(root_made),)))
        assert facts is not None and facts.intact and facts.trusted and facts.stamped
        assert "report.certified" in actions(app_context)
        after = client.get(f"/reports/{made.id}").text
        assert address in after and "data-agent" not in after
        sign_in(client, app_context, Role.RADIOLOGIST)
        assert client.post(address, json=sent).status_code == 403
        with app_context.records.write(reader) as tx:
            withdrawal.withdraw(tx, made.id, 1, WithdrawalReason.WRONG_TEXT, "", proof_of(reader))
        assert client.get(address).status_code == 409


def test_it_is_off_by_default_and_nobody_signs_with_a_file_that_is_none(tmp_path):
    app_context = make_context(tmp_path)
    with served(app_context) as client:
        reader = sign_in(client, app_context, Role.RADIOLOGIST)
        made = signed_report(app_context.records, reader)
        page = client.get(f"/reports/{made.id}")
        assert "data-agent" not in page.text and "connect-src" not in page.headers["content-security-policy"]
        sent = {"certificate": base64.b64encode(b"PNG").decode()}
        assert client.post(f"{API}/{made.id}/signatures/1", json=sent).status_code == 409


@pytest.mark.program("chromium")
def test_the_page_has_the_card_sign_through_its_agent(tmp_path):
    pytest.importorskip("pkcs11")
    program("softhsm2")
    key, running = new_key(), []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app_context = make_context(tmp_path, signature_agent=f"http://127.0.0.1:{port}")
    with card_reader(tmp_path), serving(app_context) as address, chromium() as browser:
        insert_card(tmp_path, "kart", key, certificate("Ömer Çağrı Ünsal", key, ROOT, kind="person"))
        with opened(browser, address) as context:
            reader = signed_in(context, app_context, Role.RADIOLOGIST)
            made = signed_report(app_context.records, reader)
            page, watch = context.new_page(), Watch()
            page.goto(f"/reports/{made.id}")
            page.locator("[data-certificate]").click()
            expect(page.locator("[data-certificate-said]")).to_contain_text("tetkik sign-agent")
            running.append(agent_at(Agent(address, MODULE, lambda *_: PIN), port))
            Thread(target=running[0].serve_forever, daemon=True).start()
            watch.over(page)
            page.locator("[data-certificate]").click()
            expect(page.get_by_role("link", name="Sertifikayla imzalı PDF")).to_be_visible()
            assert watch.complaints == []
        running[0].shutdown()
        running[0].server_close()
