"""What Alembic runs to migrate: on the connection it is handed, for there is no other way in (see migrate.py)."""

from alembic import context

from services.gateway.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,  # SQLite has it too: a step is taken whole or not at all
)
with context.begin_transaction():
    context.run_migrations()
