"""Words that a person added to the spelling check: of the language, never of a patient."""

from __future__ import annotations

import re

from sqlalchemy import select

from tetkik.errors import InputError
from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
from tetkik.records.schema import PersonalWord
from tetkik.turkish import lower

_WORD = re.compile(r"[^\W\d_]+(?:[-'][^\W\d_]+)*")
_MOST = 2000


def own_words(tx: Transaction) -> frozenset[str]:
    """The actor's words, in small letters."""
    return frozenset(
        tx.session.scalars(select(PersonalWord.word).where(PersonalWord.user_id == tx.actor.user_id))
    )


def add_word(tx: Transaction, word: str) -> None:
    """Let a word count as right in the actor's texts."""
    word = lower(word.strip())
    if not _WORD.fullmatch(word) or len(word) > 60 or len(own_words(tx)) >= _MOST:
        raise InputError("Only a word of letters can be added, and at most {most}.", most=_MOST)
    assert tx.actor.user_id is not None
    if tx.session.get(PersonalWord, (tx.actor.user_id, word)) is None:
        tx.session.add(PersonalWord(user_id=tx.actor.user_id, word=word))
        tx.audit(Action.MACROS_CHANGED, what="word")
