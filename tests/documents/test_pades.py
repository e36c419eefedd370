"""A PDF signed with a card's certificate: by softhsm2, checked by pyHanko's validator and by poppler's."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from tests.documents.certificates import certificate, der, new_key, stamping_server
from tests.documents.sample import document
from tests.programs import program
from tetkik.documents.pades import (
    PadesOptions,
    certificate_name,
    examine_signature,
    finish_signature,
    prepare_signature,
)
from tetkik.documents.pdf import to_pdf
from tetkik.errors import InputError
from tetkik.values import ReportState

pytest.importorskip("pyhanko")
ROOT = ("Deneme yetkili hizmet sağlayıcısı", new_key())
CARD = new_key()
ROOT_CERTIFICATE = der(certificate(*ROOT, ROOT, kind="root"))
CERTIFICATE = der(certificate("Ömer Çağrı Ünsal", CARD, ROOT, kind="person"))
STAMPED = PadesOptions(stamping_server(ROOT), (ROOT_CERTIFICATE,))
PDF = to_pdf(document(ReportState.FINAL))


def signed(options: PadesOptions) -> bytes:
    prepared = prepare_signature(PDF, CERTIFICATE, [ROOT_CERTIFICATE], options, reason="Rapor onayı")
    value = CARD.sign(prepared.to_sign, padding.PKCS1v15(), hashes.SHA256())
    return finish_signature(prepared, value, options)


@pytest.mark.parametrize("archive", [False, True])
def test_a_signature_has_its_time_stamp_and_for_the_archive_another(archive: bool, tmp_path: Path):
    options = replace(STAMPED, archive=archive)
    content = signed(options)
    facts = examine_signature(content, options)
    assert facts is not None and facts.signer == "Ömer Çağrı Ünsal"
    assert (facts.intact, facts.trusted, facts.stamped, facts.archived) == (True, True, True, archive)
    assert content.startswith(PDF)  # the report itself keeps its bytes
    file = tmp_path / "signed.pdf"
    file.write_bytes(content)
    said = subprocess.run([program("pdfsig"), "-nocert", file], capture_output=True, check=False, text=True)
    assert "Signature is Valid." in said.stdout and "ETSI.CAdES.detached" in said.stdout


def test_what_was_changed_after_the_signature_shows():
    content = bytearray(signed(STAMPED))
    content[content.index(b"/Creator")] ^= 1
    facts = examine_signature(bytes(content), STAMPED)
    assert facts is not None and not facts.intact
    assert examine_signature(PDF, STAMPED) is None


def test_another_key_a_stranger_and_no_certificate_are_refused():
    prepared = prepare_signature(PDF, CERTIFICATE, [], STAMPED)
    wrong = new_key().sign(prepared.to_sign, padding.PKCS1v15(), hashes.SHA256())
    with pytest.raises(InputError, match="does not fit"):
        finish_signature(prepared, wrong, STAMPED)
    nobody = (der(certificate("Başka", other := new_key(), ("Başka", other), kind="root")),)
    with pytest.raises(InputError, match="trusted"):
        signed(replace(STAMPED, roots=nobody))
    with pytest.raises(InputError, match="no certificate"):
        certificate_name(b"PNG")
    assert certificate_name(CERTIFICATE) == "Ömer Çağrı Ünsal"
