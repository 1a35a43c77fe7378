"""Alembic's entry: runs the migrations on the connection that catalogue.database.engine gives."""

from alembic import context

from catalogue.database.schema import tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables,
    render_as_batch=True,
)
context.run_migrations()
