"""What never changes, held by the database itself and not by the program alone.

- `audit`: rows are never removed, and changed only by erasure, which empties `content` and `salt`.
- `report_versions`, `signatures`, `withdrawals`: never changed. They are removed only where the patient's key
  has already been destroyed: without it nobody can read them, so nothing is lost that was not erased on
  purpose.
- `patients.key`: not destroyed while a signed report is kept by law, that is before `erase_after`.

There is no flag that switches the rules off: the end of legal retention goes the guarded way, destroying the
key first.
"""

from __future__ import annotations

from dataclasses import dataclass

from alembic import op

_KEPT = "a signed report is never changed"
_APPENDED = "the audit trail is only added to"
_HELD = "a signed report is kept by law until patients.erase_after"
_COLUMNS = ("seq", "at", "action", "user_id", "case_id", "patient_id", "digest", "chain")
_EMPTIED = " AND ".join(
    [f"NEW.{name} IS NOT DISTINCT FROM OLD.{name}" for name in _COLUMNS]
    + ["NEW.content IS NULL", "NEW.salt IS NULL"]
)
_TAKEN_BACK = "a withdrawal of a report is never changed"
_HAS_KEY = "NOT EXISTS (SELECT 1 FROM patients WHERE id = {} AND key IS NULL)"
_OF_VERSION = _HAS_KEY.format("(SELECT patient_id FROM report_versions WHERE id = OLD.version_id)")
_DESTROYED_EARLY = (
    "OLD.key IS NOT NULL AND NEW.key IS NULL AND (NEW.erase_after IS NULL OR NEW.erase_after > {now}) "
    "AND EXISTS (SELECT 1 FROM report_versions WHERE patient_id = OLD.id)"
)


@dataclass(frozen=True, slots=True)
class _Rule:
    """What is refused.

    Attributes:
        table: of the rows.
        event: `UPDATE` or `DELETE`.
        condition: when; `{now}` stands for this moment.
        sentence: that the database answers.
    """

    table: str
    event: str
    condition: str
    sentence: str

    @property
    def name(self) -> str:
        return f"{self.table}_{self.event.lower()}_refused"


_RULES = (
    _Rule("audit", "DELETE", "1 = 1", _APPENDED),
    _Rule("audit", "UPDATE", f"NOT ({_EMPTIED})", _APPENDED),
    _Rule("report_versions", "UPDATE", "1 = 1", _KEPT),
    _Rule("report_versions", "DELETE", _HAS_KEY.format("OLD.patient_id"), _KEPT),
    _Rule("signatures", "UPDATE", "1 = 1", _KEPT),
    _Rule("signatures", "DELETE", _OF_VERSION, _KEPT),
    _Rule("withdrawals", "UPDATE", "1 = 1", _TAKEN_BACK),
    _Rule("withdrawals", "DELETE", _OF_VERSION, _TAKEN_BACK),
    _Rule("patients", "UPDATE", _DESTROYED_EARLY, _HELD),
)
_NOT_EMPTIED = {
    "audit": _APPENDED,
    "report_versions": _KEPT,
    "signatures": _KEPT,
    "withdrawals": _TAKEN_BACK,
}
"""Tables that PostgreSQL's TRUNCATE, which fires no trigger of a row, is refused for."""


def create() -> None:
    """Create the triggers of this database."""
    if op.get_bind().dialect.name == "sqlite":
        for rule in _RULES:
            _create_sqlite(rule)
        return
    for rule in _RULES:
        _create_postgresql(rule)
    op.execute(_function("tetkik_not_emptied", "RAISE EXCEPTION '%', TG_ARGV[0];"))
    for table, sentence in _NOT_EMPTIED.items():
        op.execute(
            f"CREATE TRIGGER {table}_not_emptied BEFORE TRUNCATE ON {table} "
            f"EXECUTE FUNCTION tetkik_not_emptied('{sentence}')"
        )


def drop() -> None:
    """Remove them."""
    if op.get_bind().dialect.name == "sqlite":
        for rule in _RULES:
            op.execute(f"DROP TRIGGER {rule.name}")
        return
    for rule in _RULES:
        op.execute(f"DROP FUNCTION tetkik_{rule.name} CASCADE")
    op.execute("DROP FUNCTION tetkik_not_emptied CASCADE")


def _create_sqlite(rule: _Rule) -> None:
    # The moment as the driver writes it, so that the two compare as text.
    condition = rule.condition.format(now="strftime('%Y-%m-%d %H:%M:%f', 'now')")
    condition = condition.replace("IS NOT DISTINCT FROM", "IS")  # the word that old SQLite knows
    op.execute(
        f"CREATE TRIGGER {rule.name} BEFORE {rule.event} ON {rule.table} FOR EACH ROW WHEN {condition} "
        f"BEGIN SELECT RAISE(ABORT, '{rule.sentence}'); END"
    )


def _create_postgresql(rule: _Rule) -> None:
    # In the function and not in WHEN, which may read no other table.
    refusal = f"RAISE EXCEPTION '{rule.sentence}' USING ERRCODE = 'integrity_constraint_violation';"
    body = f"IF {rule.condition.format(now='now()')} THEN {refusal} END IF;"
    row = "OLD" if rule.event == "DELETE" else "NEW"
    op.execute(_function(f"tetkik_{rule.name}", f"{body} RETURN {row};"))
    op.execute(
        f"CREATE TRIGGER {rule.name} BEFORE {rule.event} ON {rule.table} FOR EACH ROW "
        f"EXECUTE FUNCTION tetkik_{rule.name}()"
    )


def _function(name: str, body: str) -> str:
    return f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$"
