"""Notices with who was told, who acknowledged and what comes next, and the queue of those that were not delivered yet."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text()
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "notices",
        sa.Column("id", BIG, nullable=False),
        sa.Column("rollout_id", TEXT, nullable=False),
        sa.Column("severity", TEXT, nullable=False),
        sa.Column("title", TEXT, nullable=False),
        sa.Column("body", TEXT, nullable=False),
        sa.Column("markdown", sa.Boolean(), nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("cause", TEXT),
        sa.Column("told_at", TIME, nullable=False),
        sa.Column("repeats", sa.Integer(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("next_at", TIME),
        sa.Column("acknowledged_by", TEXT),
        sa.Column("acknowledged_at", TIME),
        sa.Column("ended_at", TIME),
        sa.Column("ended_why", TEXT),
        sa.CheckConstraint("(acknowledged_at IS NULL) = (acknowledged_by IS NULL)", name="ck_notices_acknowledged_by"),
        sa.CheckConstraint("(ended_at IS NULL) = (ended_why IS NULL)", name="ck_notices_ended_why"),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollouts.id"], name="fk_notices_rollout_id_rollouts"),
        sa.PrimaryKeyConstraint("id", name="pk_notices"),
    )
    op.create_index("ix_notices_rollout", "notices", ["rollout_id", "key", "id"])
    open_page = sa.text("severity = 'page' AND ended_at IS NULL")
    op.create_index("ix_notices_open", "notices", ["id"], sqlite_where=open_page, postgresql_where=open_page)
    op.create_table(
        "deliveries",
        sa.Column("id", BIG, nullable=False),
        sa.Column("notice_id", BIG, nullable=False),
        sa.Column("channel", TEXT, nullable=False),
        sa.Column("what", TEXT, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("due_at", TIME),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("delivered_at", TIME),
        sa.Column("reason", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["notice_id"], ["notices.id"], name="fk_deliveries_notice_id_notices"),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
    )
    op.create_index("ix_deliveries_notice", "deliveries", ["notice_id", "id"])
    due = sa.text("due_at IS NOT NULL")
    op.create_index("ix_deliveries_due", "deliveries", ["due_at"], sqlite_where=due, postgresql_where=due)
