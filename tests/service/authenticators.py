"""A passkey in software: its key pair, and its answers to what a server asks (WebAuthn level 2, 7.2)."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

_PRESENT_AND_VERIFIED = 0b101


class SoftPasskey:
    """A credential of one site."""

    def __init__(self, party: str, origin: str) -> None:
        self.id = os.urandom(16)
        self._party, self._origin = party, origin
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def public_key(self) -> bytes:
        """As COSE has it (RFC 9053, 7.1.1): EC2, ES256, P-256, both coordinates."""
        numbers = self._key.public_key().public_numbers()
        x, y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
        return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What a browser sends for the options of a sign-in."""
        client = json.dumps(
            {"type": "webauthn.get", "challenge": asked["challenge"], "origin": self._origin}
        ).encode()
        told = hashlib.sha256(self._party.encode()).digest() + bytes([_PRESENT_AND_VERIFIED]) + bytes(4)
        signature = self._key.sign(told + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))
        parts = {"clientDataJSON": client, "authenticatorData": told, "signature": signature}
        return {
            "id": _text(self.id),
            "rawId": _text(self.id),
            "type": "public-key",
            "response": {name: _text(part) for name, part in parts.items()},
        }


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
