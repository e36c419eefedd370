"""Who may do what: roles, permissions, and the one table that joins them. Deny by default."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import resources
from types import MappingProxyType


class Role(StrEnum):
    """A role at the hospital; one person may have several."""

    RECEPTION = "reception"
    TECHNICIAN = "technician"
    RADIOLOGIST = "radiologist"
    CLINICIAN = "clinician"
    ENGINEER = "engineer"
    """Models and metrics; never an identity."""
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"
    HEAD = "head"
    """Of a department: its figures, with the names of its readers and none of a patient."""


class Permission(StrEnum):
    """One thing that a route does."""

    TRIAGE = "triage"
    """Ask the model about a complaint, without storing it."""
    CASE_CREATE = "case.create"
    CASE_READ = "case.read"
    """Open one case with its identity, as far as its restrictions allow."""
    CASE_SEARCH = "case.search"
    CASE_EDIT = "case.edit"
    """Correct the identity, choose the department, close, restrict."""
    PATIENTS_MERGE = "patients.merge"
    """Say that two records are of one person, and take it back.

    Reception alone: it has the person or their papers before it, at every hour, and may rewrite an identity
    whole already, which cannot be undone, while a link can. Who reads images must not decide whose they are;
    who administers accounts has no patient to ask, and sees no cases to compare.
    """
    CASE_MOVE = "case.move"
    """Move a case that was opened for the wrong patient to the right one.

    Reception, for the reasons of `PATIENTS_MERGE`; and an administrator whose other role opens the cases of
    both patients. The permission opens no case by itself: who sees none of them moves none.
    """
    STUDY_ASSIGN = "study.assign"
    """Say whose a received study is where that is in doubt, reject it, and take it back.

    The technician's, who made it, and reception's, which has the papers; who reads images must not decide
    whose they are.
    """
    IMAGE_UPLOAD = "image.upload"
    IMAGE_READ = "image.read"
    """Pixels, heatmaps, findings."""
    WORKLIST = "worklist"
    CLAIM = "claim"
    """Say that one is reading a case."""
    DRAFT_READ = "draft.read"
    DRAFT_EDIT = "draft.edit"
    REPORT_READ = "report.read"
    """Signed reports and their documents."""
    REPORT_SIGN = "report.sign"
    REPORT_WITHDRAW = "report.withdraw"
    """Say that a signed report was issued in error and stands no longer."""
    REPORT_ORIGINAL = "report.original"
    """The bytes of a version as they were signed, whatever became of it.

    The auditor's, who compares them with the signature; and the radiologist's, who answers for them.
    """
    MODELS_READ = "models.read"
    """Bundles, cards, agreement, drift: without identity."""
    FEEDBACK_EXPORT = "feedback.export"
    """What people corrected, without identity."""
    STATISTICS = "statistics"
    """The figures of the department: times, counts, by modality and by reader; no patient."""
    AUDIT_READ = "audit.read"
    PRIVACY = "privacy"
    """Export and erase a patient's data on their request."""
    USERS = "users"
    """Create, change and lock users, and their roles."""
    SYSTEM = "system"
    """Health in detail, settings, backups."""
    OUTBOX = "outbox"
    """What went to other systems and how they answered, by the number of the report; to send it again."""
    METRICS = "metrics"
    """The figures of `/metrics`, for the token of a program that collects them and may do nothing else."""
    BREAK_GLASS = "break_glass"
    """Open a case that is not one's own, with a reason, seen by the auditor."""
    OWN_ACCOUNT = "own_account"
    """One's own password, passkeys, sessions, tokens, language: everybody who is signed in."""


_TABLE = tomllib.loads(resources.files(__package__).joinpath("permissions.toml").read_text("utf-8"))
PERMISSIONS: Mapping[Role, frozenset[Permission]] = MappingProxyType(
    {role: frozenset(map(Permission, _TABLE[role])) for role in Role}
)
"""The one table: what each role may do. What is not in it is forbidden."""


EVERY_DEPARTMENT = "*"
"""Stands among a clinician's departments where they see each of them; without any they see none."""


class AccountChange(StrEnum):
    """A notice to a person about their own account."""

    PASSWORD_CHANGED = "password.changed"  # noqa: S105 - the name of a change
    PASSWORD_RESET = "password.reset"  # noqa: S105 - the name of a change
    """An administrator took the password away."""
    PASSKEY_ADDED = "passkey.added"
    PASSKEY_REMOVED = "passkey.removed"
    TOKEN_MADE = "token.made"  # noqa: S105 - the name of a change
    NEW_BROWSER = "browser.new"
    """Somebody signed in with a browser that this account had not been used in."""
    ROLES_CHANGED = "roles.changed"
    RESTORED = "restored"
    """A backup was given back: password, passkeys and tokens are those of its time."""
    REPORT_AMENDED = "report.amended"
    """A report that this person has a copy of was amended; so also where it was withdrawn, below."""
    REPORT_WITHDRAWN = "report.withdrawn"


class Method(StrEnum):
    """How somebody proved who they are."""

    PASSWORD = "password"  # noqa: S105 - the name of a method
    PASSKEY = "passkey"
    OIDC = "oidc"
    TOKEN = "token"  # noqa: S105 - the name of a method
    SYSTEM = "system"
    """The program itself: the worker, a command on the machine."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something.

    Attributes:
        permissions: what this actor may do here: of the roles, narrowed by the scopes of a token.
        departments: of a clinician; `EVERY_DEPARTMENT` among them means each, none means none.
        request_id: joins an entry of the audit trail with the log; None for the program itself.
        token_id: of the token that a program sent; None for everybody else.
    """

    user_id: str | None  # None for the program itself
    name: str
    roles: frozenset[Role] = frozenset()  # of the person; empty for the program itself
    permissions: frozenset[Permission] = frozenset()
    departments: tuple[str, ...] = ()
    session_id: str | None = field(default=None, repr=False)  # of a browser; None for a token or the program
    method: Method = Method.SYSTEM
    address: str | None = None  # of the network peer; None for the program itself
    request_id: str | None = None
    token_id: str | None = field(default=None, repr=False)

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions


SYSTEM = Actor(None, "tetkik")
"""The program itself, for what no person asked for."""


def permissions_of(roles: frozenset[Role]) -> frozenset[Permission]:
    """Everything that any of the roles may do."""
    return frozenset().union(*(PERMISSIONS[role] for role in roles))
