"""How a person wants the pages: their language and theme."""

from __future__ import annotations

from tetkik.language import Language
from tetkik.records.database import Transaction
from tetkik.records.schema import User


def keep(tx: Transaction, *, language: Language | None = None, theme: str | None = None) -> None:
    """Keep the actor's own choice; None leaves what was.

    Args:
        theme: `light`, `dark`, or `system`.
    """
    user = tx.session.get(User, tx.actor.user_id)
    if user is None:
        return
    if language is not None:
        user.language = language.value
    if theme is not None:
        user.theme = theme if theme != "system" else None
