"""What each action of the audit trail is called on a page."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tetkik.language import Language, Sentence
from tetkik.records.audit_chain import Action

_WORDS: Mapping[Action, Sentence] = MappingProxyType(
    {
        Action.SIGN_IN: Sentence("signed in"),
        Action.SIGN_IN_FAILED: Sentence("failed to sign in"),
        Action.SIGN_OUT: Sentence("signed out"),
        Action.SCREEN_LOCKED: Sentence("locked the screen"),
        Action.SCREEN_UNLOCKED: Sentence("unlocked the screen"),
        Action.PASSWORD_CHANGED: Sentence("changed a password"),
        Action.PASSKEY_ADDED: Sentence("added a passkey"),
        Action.PASSKEY_REMOVED: Sentence("removed a passkey"),
        Action.TOKEN_CREATED: Sentence("made an API token"),
        Action.TOKEN_REVOKED: Sentence("revoked an API token"),
        Action.USER_CREATED: Sentence("made a user"),
        Action.USER_CHANGED: Sentence("changed a user"),
        Action.USER_DISABLED: Sentence("closed a user's account"),
        Action.INVITED: Sentence("invited a user"),
        Action.FORBIDDEN: Sentence("was refused"),
        Action.BREAK_GLASS: Sentence("broke the glass"),
        Action.CASE_OPENED: Sentence("opened the case"),
        Action.CASE_CREATED: Sentence("made the case"),
        Action.CASE_CHANGED: Sentence("changed the case"),
        Action.CASE_CLOSED: Sentence("closed the case"),
        Action.CASE_MOVED: Sentence("moved the case to the right patient"),
        Action.CASES_LISTED: Sentence("listed cases"),
        Action.PATIENT_SEARCHED: Sentence("searched for a patient"),
        Action.PATIENT_OPENED: Sentence("opened a patient's records"),
        Action.PATIENT_LINKED: Sentence("joined two records of a patient"),
        Action.PATIENT_UNLINKED: Sentence("separated two records"),
        Action.PATIENT_CHANGED: Sentence("corrected a patient's identity"),
        Action.PATIENT_EXPORTED: Sentence("exported a patient's data"),
        Action.PATIENT_ERASED: Sentence("erased a patient"),
        Action.ERASURE_POSTPONED: Sentence("erased a patient but for signed reports"),
        Action.COMPLAINT_TRIAGED: Sentence("asked triage about the complaint"),
        Action.DEPARTMENT_CHOSEN: Sentence("chose a department"),
        Action.SLIP_PRINTED: Sentence("printed the slip"),
        Action.IMAGE_UPLOADED: Sentence("uploaded an image"),
        Action.IMAGE_OPENED: Sentence("opened an image"),
        Action.MODEL_RAN: Sentence("ran a model"),
        Action.MODEL_FAILED: Sentence("ran a model that failed"),
        Action.CASE_CLAIMED: Sentence("claimed the case"),
        Action.CLAIM_RELEASED: Sentence("released the case"),
        Action.DRAFT_WRITTEN: Sentence("wrote a draft"),
        Action.DRAFT_OPENED: Sentence("opened the draft"),
        Action.DRAFT_CHANGED: Sentence("changed the draft"),
        Action.FINDING_REVIEWED: Sentence("judged a finding"),
        Action.REPORT_SIGNED: Sentence("signed the report"),
        Action.REPORT_AMENDMENT_BEGUN: Sentence("began an amendment"),
        Action.REPORT_AMENDED: Sentence("signed an amendment"),
        Action.REPORT_WITHDRAWN: Sentence("withdrew the report"),
        Action.REPORT_OPENED: Sentence("opened the signed report"),
        Action.DOCUMENT_EXPORTED: Sentence("downloaded a document"),
        Action.TEMPLATE_CHANGED: Sentence("changed a template"),
        Action.FEEDBACK_EXPORTED: Sentence("exported corrections"),
        Action.AUDIT_READ: Sentence("looked at the audit trail"),
        Action.AUDIT_EXPORTED: Sentence("exported the audit trail"),
        Action.BACKUP_MADE: Sentence("made a backup"),
        Action.BACKUP_RESTORED: Sentence("restored a backup"),
        Action.RETENTION_APPLIED: Sentence("applied retention"),
        Action.MASTER_KEY_REPLACED: Sentence("replaced the master key"),
    }
)
_DETAILS: Mapping[str, Sentence] = MappingProxyType(
    {
        "abstained": Sentence("abstained"),
        "bundle": Sentence("model"),
        "bundle_sha256": Sentence("digest of the model"),
        "by": Sentence("proved by"),
        "by_glass": Sentence("opened with a reason"),
        "confirmed": Sentence("confirmed by hand"),
        "corrected": Sentence("corrected"),
        "count": Sentence("how many"),
        "department": Sentence("department"),
        "entries": Sentence("number of entries"),
        "everywhere": Sentence("everywhere"),
        "field": Sentence("field"),
        "fields": Sentence("fields"),
        "files": Sentence("files"),
        "format": Sentence("file format"),
        "found": Sentence("number found"),
        "given": Sentence("roles given"),
        "ground": Sentence("ground"),
        "images": Sentence("number of images"),
        "judgement": Sentence("judgement"),
        "key": Sentence("fingerprint of the master key"),
        "kept_reports": Sentence("reports kept"),
        "kept_until": Sentence("kept until"),
        "label": Sentence("label"),
        "method": Sentence("proved by"),
        "model": Sentence("model"),
        "moved_from": Sentence("moved from the case"),
        "moved_to": Sentence("goes on as the case"),
        "passkeys": Sentence("passkeys"),
        "permission": Sentence("permission"),
        "priority": Sentence("priority"),
        "restricted": Sentence("restricted"),
        "reason": Sentence("reason"),
        "replaced": Sentence("fingerprint of the one before"),
        "replaced_by": Sentence("replaced by the record"),
        "replaces": Sentence("replaces the record"),
        "run": Sentence("run of the model"),
        "scopes": Sentence("scopes"),
        "shown": Sentence("number shown"),
        "size": Sentence("bytes"),
        "state": Sentence("state"),
        "tokens": Sentence("API tokens"),
        "urgency": Sentence("urgency"),
        "verification": Sentence("verification code"),
        "version": Sentence("version"),
        "what": Sentence("what"),
        "whole": Sentence("the whole trail"),
        "why": Sentence("why"),
        "writer": Sentence("written by"),
    }
)
_SO = {True: Sentence("it is so"), False: Sentence("it is not so")}


def action_word(action: str, language: Language) -> str:
    """An action in words; one that this version does not know stays a code."""
    known = _WORDS.get(Action(action)) if action in list(Action) else None
    return known.in_language(language) if known is not None else action


def detail_words(detail: Mapping[str, object], language: Language) -> list[tuple[str, object]]:
    """The details of an entry, in words; a name that this version does not know stays a code.

    Empty values, and `by_glass` that is false, are left out.
    """
    given = [(name, value) for name, value in detail.items() if value is not None]
    return [
        (
            _DETAILS[name].in_language(language) if name in _DETAILS else name,
            _SO[value].in_language(language) if isinstance(value, bool) else value,
        )
        for name, value in given
        if (name, value) != ("by_glass", False)
    ]


def actions_named(language: Language) -> list[tuple[str, str]]:
    """Every action with its words, in the order of the words."""
    return sorted(
        ((action.value, action_word(action, language)) for action in Action), key=lambda pair: pair[1]
    )
