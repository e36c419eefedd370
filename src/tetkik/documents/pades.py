"""A PDF signed with somebody's own certificate: PAdES (ETSI EN 319 142-1), by pyHanko.

The signature is interrupted: `prepare_signature` gives what a card in another machine has to sign;
`finish_signature` puts what it signed into the PDF. With a server of time stamps it is of level B-T; with
`archive` of B-LTA: certificates and what is known of their revocation go in, under a further time stamp.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tetkik.errors import InputError, MissingExtra, SettingError

# A signature card over PKCS#11: its certificate, and what it signs; the PIN goes to the card alone.


@dataclass(frozen=True, slots=True)
class SignatureCard:
    """The certificate for signatures (DER) on a card, its id there, and the other certificates beside it."""

    name: str
    certificate: bytes = field(repr=False)
    id: bytes
    chain: tuple[bytes, ...] = field(repr=False)


def read_card(module: Path) -> SignatureCard:
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
            return SignatureCard(name, content, place, tuple(one for one, _ in found if one != content))
    raise InputError("The card has no certificate for signatures; insert the card that signs.")


def sign_with_card(module: Path, card: SignatureCard, pin: str, to_sign: bytes) -> bytes:
    """The card's signature of these bytes, by SHA-256; refused unless they are those of a PDF's signature."""
    _require_signed_attributes(card, to_sign)
    with _session(module, pin) as session:
        from pyhanko.sign.pkcs11 import PKCS11Signer

        signer = PKCS11Signer(session, cert_id=card.id, key_id=card.id)
        return bytes(asyncio.run(signer.async_sign_raw(to_sign, "sha256")))


def _require_signed_attributes(card: SignatureCard, to_sign: bytes) -> None:
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
            "A signature card needs the package {package}; `{extra}`.",
            extra="signature",
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


FIELD = "TetkikQualifiedSignature"
_RESERVED = 32768
"""Hexadecimal digits in the PDF for the signature with its certificates and its time stamp."""
_DIGEST = "sha256"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class PadesOptions:
    """How a PDF is signed and judged.

    Attributes:
        time_stamps: a `pyhanko.sign.timestamps.TimeStamper`; None signs without a time stamp (B-B).
        roots: certificates (DER) of the authorities that are trusted; none trusts no certificate.
        archive: whether level B-LTA is wanted; it needs time stamps and roots.
        online: whether lists of revoked certificates may be fetched.
    """

    time_stamps: Any = None
    roots: tuple[bytes, ...] = ()
    archive: bool = False
    online: bool = False


@dataclass(frozen=True, slots=True)
class PreparedSignature:
    """A PDF that waits for its signature, and the bytes that the card signs: SHA-256, then its own key."""

    to_sign: bytes
    certificate: bytes = field(repr=False)
    _chain: tuple[bytes, ...] = field(repr=False)
    _attributes: Any = field(repr=False)
    _digest: Any = field(repr=False)
    _after: Any = field(repr=False)
    _output: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class SignatureFacts:
    """What a validator says of the signature in a PDF."""

    signer: str
    intact: bool
    """Whether the PDF is as it was signed, and the signature is of the certificate's key."""
    trusted: bool
    """Whether the certificate leads to one of the roots."""
    stamped: bool
    """Whether a valid time stamp says when."""
    archived: bool
    """Whether a further time stamp covers the whole document."""


def certificate_name(certificate: bytes) -> str:
    """Whom a certificate (DER) names; `InputError` for anything else."""
    return str(_certificate(certificate).subject.native.get("common_name", "?"))


def prepare_signature(
    pdf: bytes, certificate: bytes, chain: Sequence[bytes], options: PadesOptions, *, reason: str = ""
) -> PreparedSignature:
    """A PDF with room for the signature of this certificate; `chain` are those above it, as far as known."""
    return _run(_prepare(pdf, certificate, tuple(chain), options, reason))


def finish_signature(prepared: PreparedSignature, signature: bytes, options: PadesOptions) -> bytes:
    """The signed PDF. `InputError` where the signature is not of the certificate's key over these bytes."""
    pdf = _run(_finish(prepared, signature, options))
    facts = examine_signature(pdf, options)
    if facts is None or not facts.intact:
        raise InputError("What the card signed does not fit the report; begin the signature again.")
    if options.roots and not facts.trusted:
        raise InputError("The certificate leads to none of the trusted authorities; see signature_roots.")
    return pdf


def examine_signature(pdf: bytes, options: PadesOptions) -> SignatureFacts | None:
    """What pyHanko's validator says of the signature; None where the PDF has none of ours."""
    from pyhanko.pdf_utils.reader import PdfFileReader
    from pyhanko.sign.validation import async_validate_pdf_signature

    reader = PdfFileReader(io.BytesIO(pdf))
    embedded = next((item for item in reader.embedded_regular_signatures if item.field_name == FIELD), None)
    if embedded is None:
        return None
    context = _context(options)
    status = _run(async_validate_pdf_signature(embedded, context, context))
    stamp = status.timestamp_validity
    return SignatureFacts(
        str(embedded.signer_cert.subject.native.get("common_name", "?")),
        bool(status.intact and status.valid),
        bool(status.trusted),
        stamp is not None and stamp.intact and stamp.valid,
        bool(reader.embedded_timestamp_signatures),
    )


def trusted_roots(file: Path) -> tuple[bytes, ...]:
    """The certificates of a PEM file, as DER."""
    from asn1crypto import pem

    try:
        return tuple(content for _, _, content in pem.unarmor(file.read_bytes(), multiple=True))
    except (OSError, ValueError):
        raise SettingError(
            "No certificates (PEM) can be read from {file}; see signature_roots.", file=file
        ) from None


async def _prepare(
    pdf: bytes, certificate: bytes, chain: tuple[bytes, ...], options: PadesOptions, reason: str
) -> PreparedSignature:
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.sign.fields import SigSeedSubFilter
    from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner

    signer = _signer(certificate, chain, None)
    metadata = PdfSignatureMetadata(
        field_name=FIELD,
        md_algorithm=_DIGEST,
        reason=reason or None,
        subfilter=SigSeedSubFilter.PADES,
        embed_validation_info=options.archive,
        use_pades_lta=options.archive,
        validation_context=_context(options) if options.archive else None,
    )
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    digest, waiting, output = await PdfSigner(
        metadata, signer, timestamper=options.time_stamps
    ).async_digest_doc_for_signing(writer, bytes_reserved=_RESERVED)
    attributes = await signer.signed_attrs(digest.document_digest, _DIGEST, use_pades=True)
    after = waiting.post_sign_instructions
    return PreparedSignature(attributes.dump(), certificate, chain, attributes, digest, after, output)


async def _finish(prepared: PreparedSignature, signature: bytes, options: PadesOptions) -> bytes:
    from pyhanko.sign.signers.pdf_signer import PdfTBSDocument

    signer = _signer(prepared.certificate, prepared._chain, signature)
    content = await signer.async_sign_prescribed_attributes(
        _DIGEST, signed_attrs=prepared._attributes, timestamper=options.time_stamps
    )
    await PdfTBSDocument.async_finish_signing(
        prepared._output,
        prepared._digest,
        content,
        prepared._after,
        validation_context=_context(options) if options.archive else None,
    )
    return bytes(prepared._output.getvalue())


def _signer(certificate: bytes, chain: tuple[bytes, ...], signature: bytes | None) -> Any:
    from pyhanko.sign.signers import ExternalSigner
    from pyhanko_certvalidator.registry import SimpleCertificateStore

    store = SimpleCertificateStore()
    store.register_multiple([_certificate(item) for item in chain])
    return ExternalSigner(_certificate(certificate), store, signature)


def _context(options: PadesOptions) -> Any:
    from pyhanko_certvalidator import ValidationContext

    return ValidationContext(
        trust_roots=[_certificate(item) for item in options.roots],
        allow_fetching=options.online,
        revocation_mode="soft-fail",
    )


def _certificate(content: bytes) -> Any:
    from asn1crypto import x509

    try:
        found = x509.Certificate.load(content, strict=True)
        found.subject.native  # noqa: B018 - parsed now, so that a fault shows here
    except (ValueError, TypeError):
        raise InputError("This is no certificate; the card has perhaps another one for signatures.") from None
    return found


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    """To its end, in a loop of its own: these functions are called from threads."""
    return asyncio.run(work)
