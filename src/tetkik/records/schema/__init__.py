"""The tables. Nothing outside `records` sees a row: its functions give values."""

from tetkik.records.schema.base import Base
from tetkik.records.schema.cases import Blob, Case, CaseMark, CaseMove, Claim, Complaint, Image, Study
from tetkik.records.schema.models import Job, Run, Score, TriageTally
from tetkik.records.schema.orders import Encounter, Order
from tetkik.records.schema.outbox import OutboxItem
from tetkik.records.schema.patients import Patient, PatientIndex, PatientLink, RingKey
from tetkik.records.schema.people import (
    ApiToken,
    BrokenGlass,
    BrowserSession,
    Invite,
    Notice,
    Passkey,
    SignInFailures,
    User,
)
from tetkik.records.schema.receiving import ReceivedFile, ReceivedStudy
from tetkik.records.schema.reporting import CriticalResult, Macro, PersonalWord
from tetkik.records.schema.reports import (
    Delivery,
    FindingReview,
    Report,
    ReportTemplate,
    ReportVersion,
    SignatureRow,
    WithdrawalRow,
)
from tetkik.records.schema.sharing import Challenge, RateBucket
from tetkik.records.schema.trail import AuditHead, AuditRow, Event, IdempotentRequest, Note
from tetkik.records.schema.worklist import Assignment, PoolMember, ReaderPool, SavedView

__all__ = [
    "ApiToken",
    "Assignment",
    "AuditHead",
    "AuditRow",
    "Base",
    "Blob",
    "BrokenGlass",
    "BrowserSession",
    "Case",
    "CaseMark",
    "CaseMove",
    "Challenge",
    "Claim",
    "Complaint",
    "CriticalResult",
    "Delivery",
    "Encounter",
    "Event",
    "FindingReview",
    "IdempotentRequest",
    "Image",
    "Invite",
    "Job",
    "Macro",
    "Note",
    "Notice",
    "Order",
    "OutboxItem",
    "Passkey",
    "Patient",
    "PatientIndex",
    "PatientLink",
    "PersonalWord",
    "PoolMember",
    "RateBucket",
    "ReaderPool",
    "ReceivedFile",
    "ReceivedStudy",
    "Report",
    "ReportTemplate",
    "ReportVersion",
    "RingKey",
    "Run",
    "SavedView",
    "Score",
    "SignInFailures",
    "SignatureRow",
    "Study",
    "TriageTally",
    "User",
    "WithdrawalRow",
]
