"""A configuration profile for iPhones and iPads: a Web Clip of the reading room, and the hospital's CA.

Configuration Profile Reference of Apple: the payloads `com.apple.webClip.managed`, `com.apple.security.root`.
"""

from __future__ import annotations

import plistlib
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7SignatureBuilder

from tetkik.drawing.icon import icon
from tetkik.errors import InputError
from tetkik.integrations.phone.android_package import HospitalAddress

_SIDE = 180
"""Pixels of an icon on the home screen of an iPhone."""


def build_profile(address: HospitalAddress, name: str, ca: x509.Certificate | None) -> bytes:
    """The profile as XML; the same address, name and CA give the same bytes."""
    clip = {
        "URL": address.url,
        "Label": name,
        "Icon": icon(_SIDE, maskable=True),
        "IsRemovable": True,
        "FullScreen": True,
        "IgnoreManifestScope": False,
        "Precomposed": True,
    }
    payloads = [_payload(address, "com.apple.webClip.managed", "webclip", name, clip)]
    if ca is not None:
        content = {
            "PayloadContent": ca.public_bytes(Encoding.DER),
            "PayloadCertificateFileName": "ca.cer",
        }
        payloads.insert(0, _payload(address, "com.apple.security.root", "ca", ca_name(ca), content))
    whole = {"PayloadContent": payloads, "PayloadRemovalDisallowed": False, "PayloadOrganization": name}
    return plistlib.dumps(_payload(address, "Configuration", "profile", name, whole))


def _payload(
    address: HospitalAddress, kind: str, part: str, shown: str, content: dict[str, Any]
) -> dict[str, Any]:
    return {
        "PayloadType": kind,
        "PayloadVersion": 1,
        "PayloadIdentifier": f"{address.package}.{part}",
        "PayloadUUID": str(uuid5(NAMESPACE_URL, address.url + part)).upper(),
        "PayloadDisplayName": shown,
        **content,
    }


def sign_profile(profile: bytes, key: Path, certificates: Path) -> bytes:
    """The profile in a CMS of DER, signed; `certificates` holds the signer's and then its chain, in PEM."""
    fault = InputError(
        "{file} does not sign profiles; give an RSA or EC key and its certificate as PEM, "
        "without a password.",
        file=key,
    )
    try:
        private = load_pem_private_key(key.read_bytes(), None)
        signer, *chain = x509.load_pem_x509_certificates(certificates.read_bytes())
    except (OSError, ValueError, TypeError):
        raise fault from None
    if (
        not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
        or private.public_key() != signer.public_key()
    ):
        raise fault
    builder = PKCS7SignatureBuilder().set_data(profile).add_signer(signer, private, SHA256())
    for certificate in chain:
        builder = builder.add_certificate(certificate)
    return builder.sign(Encoding.DER, [])


def read_ca(path: Path) -> x509.Certificate:
    """The certificate of a CA, as PEM or DER; `InputError` for anything else, a server's own above all."""
    try:
        content = path.read_bytes()
        pem = content.lstrip().startswith(b"-----BEGIN")
        found = (x509.load_pem_x509_certificate if pem else x509.load_der_x509_certificate)(content)
        constraints = found.extensions.get_extension_for_class(x509.BasicConstraints)
    except (OSError, ValueError, x509.ExtensionNotFound):
        constraints = None
    if constraints is None or not constraints.value.ca:
        raise InputError(
            "{file} is no certificate of a CA; give the one that signed the server's, as PEM or DER.",
            file=path,
        )
    return found


def ca_name(ca: x509.Certificate) -> str:
    return ca.subject.rfc4514_string()
