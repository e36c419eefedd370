"""The HTTP status of each kind of error."""

from __future__ import annotations

from tetkik.errors import (
    AccessError,
    Conflict,
    Forbidden,
    InputError,
    NotFound,
    NotSignedIn,
    TetkikError,
    TooManyRequests,
    Unavailable,
    UsageError,
)

_STATUS: tuple[tuple[type[TetkikError], int], ...] = (
    (NotFound, 404),
    (Conflict, 409),
    (NotSignedIn, 401),
    (Forbidden, 403),
    (TooManyRequests, 429),
    (InputError, 422),
    (UsageError, 422),
    (Unavailable, 503),
    (AccessError, 503),  # the identity provider does not answer
)


def status_of(error: TetkikError) -> int:
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
