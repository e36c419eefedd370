"""What Alembic runs for every command: the steps, on the connection that `records.migrate` opened."""

from __future__ import annotations

from alembic import context

from tetkik.records.schema import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
