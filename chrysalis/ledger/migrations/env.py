"""Runs the migrations inside the transaction that `bring_up_to_date` holds, so that all of an upgrade happens or nothing."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=False)
context.run_migrations()
