"""How good a new password is: a fragment beneath the field, answered while somebody types.

The password comes in the body of a request like that of any form: it is neither kept nor logged.
"""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import Request
from fastapi.responses import Response

from tetkik.records.people import passwords
from tetkik.service.access.gate import gate_of, take
from tetkik.service.access.identify import peer_of
from tetkik.service.house import House
from tetkik.service.showing.rendering import render


def shown_strength(request: Request, house: House, password: str, own: Iterable[str]) -> Response:
    """The meter for a password.

    Args:
        request: that asks.
        house: whose name is no password.
        password: as typed so far.
        own: the login and name of the person.

    Raises:
        TooManyRequests: too often.
    """
    take(request, gate_of(request).strengths, f"address {peer_of(request).address}")
    return render(
        request,
        "access/strength.html.jinja",
        strength=passwords.strength(password, (*own, house.settings.hospital_name)) if password else None,
        missing=passwords.SHORTEST - len(password),
        most=passwords.LONGEST,
    )
