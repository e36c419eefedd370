"""A signature card over PKCS#11: its certificate, and what it signs; the PIN goes to the card alone."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tetkik.errors import InputError, MissingExtra


@dataclass(frozen=True, slots=True)
class Card:
    """The certificate for signatures (DER) on a card, its id there, and the other certificates beside it."""

    name: str
    certificate: bytes = field(repr=False)
    id: bytes
    chain: tuple[bytes, ...] = field(repr=False)


def read_card(module: Path) -> Card:
    """The first card that the PKCS#11 library of its maker finds; no PIN is needed to read certificates."""
    from asn1crypto import x509

    with _session(module, None) as session:
        from pkcs11 import Attribute, ObjectClass

        wanted = {Attribute.CLASS: ObjectClass.CERTIFICATE}
        found = [(item[Attribute.VALUE], item[Attribute.ID]) for item in session.get_objects(wanted)]
    for content, place in found:
        parsed = x509.Certificate.load(content)
        usage = parsed.key_usage_value
        # Qualified certificates are for signatures that nobody can deny (ETSI EN 319 412-2, 4.3.2).
        if not parsed.ca and usage is not None and "non_repudiation" in usage.native:
            name = str(parsed.subject.native.get("common_name", "?"))
            return Card(name, content, place, tuple(one for one, _ in found if one != content))
    raise InputError("The card has no certificate for signatures; insert the card that signs.")


def sign_with_card(module: Path, card: Card, pin: str, to_sign: bytes) -> bytes:
    """The card's signature of these bytes, by SHA-256; refused unless they are those of a PDF's signature."""
    _require_signed_attributes(card, to_sign)
    with _session(module, pin) as session:
        from pyhanko.sign.pkcs11 import PKCS11Signer

        signer = PKCS11Signer(session, cert_id=card.id, key_id=card.id)
        return bytes(asyncio.run(signer.async_sign_raw(to_sign, "sha256")))


def _require_signed_attributes(card: Card, to_sign: bytes) -> None:
    """A page may have the card sign a document's digest under this very certificate, and nothing else."""
    from asn1crypto import cms

    try:
        attributes = cms.CMSAttributes.load(to_sign, strict=True)
        found = {item["type"].native: item["values"][0] for item in attributes}
        named = found["signing_certificate_v2"]["certs"][0]["cert_hash"].native
        fits = found["content_type"].native == "data" and len(found["message_digest"].native) == 32
    except (KeyError, IndexError, TypeError, ValueError):
        fits, named = False, b""
    if not fits or named != hashlib.sha256(card.certificate).digest():
        raise InputError("What is to be signed is no signature of a PDF with this card; nothing was signed.")


@contextmanager
def needs_signature_extra() -> Iterator[None]:
    """Say in one sentence what to install where an import fails."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "A signature card needs the package {package}; `pip install 'tetkik[signature]'`.",
            package=error.name,
        ) from None


@contextmanager
def _session(module: Path, pin: str | None) -> Iterator[Any]:
    with needs_signature_extra():
        import pkcs11
        import pyhanko  # noqa: F401
    try:
        tokens = pkcs11.lib(str(module)).get_tokens()
        ready = [item for item in tokens if item.flags & pkcs11.TokenFlag.TOKEN_INITIALIZED]
        if not ready:
            raise InputError("There is no card in the reader; insert it.")
        with ready[0].open(**({"user_pin": pin} if pin is not None else {})) as session:
            yield session
    except pkcs11.exceptions.PinLocked:
        raise InputError("The card is locked; its provider unlocks it with the PUK.") from None
    except (pkcs11.exceptions.PinIncorrect, pkcs11.exceptions.PinLenRange, pkcs11.exceptions.PinInvalid):
        raise InputError("The PIN is wrong; after a few wrong ones the card locks itself.") from None
    except (pkcs11.exceptions.PKCS11Error, RuntimeError) as error:
        raise InputError(
            "The card cannot be used ({fault}); insert it, and check the library that --module names.",
            fault=type(error).__name__,
        ) from None
