"""Alembic's entry point; the connection comes from `store.database.migrate`."""

from alembic import context

from clearhold.store.all_tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    transactional_ddl=True,
)
context.run_migrations()
