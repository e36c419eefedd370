"""The PDF of a signed report under its radiologist's certificate: prepared, signed, finished, kept."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from tests.documents.certificates import certificate, der, new_key, stamping_server
from tests.records.reports_kit import proof_of, signed_report
from tests.service.kit import make_context, served, sign_in
from tests.service.reports.test_reports_api import actions
from tetkik.documents.pades import PadesOptions, examine_signature
from tetkik.records.reports import withdrawal
from tetkik.values import Role, WithdrawalReason

pytest.importorskip("pyhanko")
API = "/api/v1/reports"
AGENT = "http://127.0.0.1:7465"


def test_the_signed_pdf_is_finished_kept_and_given_out(tmp_path, monkeypatch):
    from pyhanko.sign import timestamps

    root = ("Deneme yetkili hizmet sağlayıcısı", new_key())
    key, root_made = new_key(), certificate(*root, root, kind="root")
    (tmp_path / "roots.pem").write_bytes(root_made.public_bytes(serialization.Encoding.PEM))
    own = der(certificate("Ömer Çağrı Ünsal", key, root, kind="person"))
    stamps = stamping_server(root)
    monkeypatch.setattr(timestamps, "HTTPTimeStamper", lambda _: stamps)
    app_context = make_context(
        tmp_path,
        signature_agent=AGENT,
        signature_roots=tmp_path / "roots.pem",
        signature_time_stamps="http://stamps.example",
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
