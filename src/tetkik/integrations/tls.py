"""TLS of the connections, with the certificates of a listener: as a server and as a client."""

from __future__ import annotations

import ssl

from tetkik.integrations.configuration import DicomListener, Hl7Listener


def server_context(listener: DicomListener | Hl7Listener) -> ssl.SSLContext | None:
    """TLS 1.2 or newer (PS3.15 B.9), with certificates of callers where an authority is named; or None.

    Raises:
        OSError, ssl.SSLError: a file cannot be used.
    """
    if listener.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(listener.tls_cert, listener.tls_key)
    if listener.tls_ca is not None:
        context.load_verify_locations(listener.tls_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(listener: DicomListener | Hl7Listener | None) -> ssl.SSLContext:
    """Trusts the hospital's authority, or those of the system without one; shows our certificate.

    Raises:
        OSError, ssl.SSLError: a file cannot be used.
    """
    context = ssl.create_default_context(cafile=listener.tls_ca if listener is not None else None)
    if listener is not None and listener.tls_cert is not None:
        context.load_cert_chain(listener.tls_cert, listener.tls_key)
    return context
