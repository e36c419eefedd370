"""Who asks for what is not theirs is refused, and the trail knows."""

from __future__ import annotations

from sqlalchemy import select

from tests.service.kit import make_context, served, sign_in
from tetkik.records.audit_chain import Action
from tetkik.records.schema import AuditRow
from tetkik.values import Role


def test_a_refusal_is_in_the_trail(tmp_path):
    app_context = make_context(tmp_path)
    with served(app_context) as client:
        actor = sign_in(client, app_context, Role.ENGINEER)
        assert client.get("/worklist").status_code == 403
    with app_context.records.read() as tx:
        (row,) = tx.session.scalars(select(AuditRow).where(AuditRow.action == Action.FORBIDDEN))
        assert row.user_id == actor.user_id
        assert '"permission":"worklist"' in str(row.content)
