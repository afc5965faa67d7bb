"""What people attested and machines found of checklists; and where each change came from."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text()
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("audit", sa.Column("origin", TEXT))
    op.create_table(
        "attestations",
        sa.Column("id", BIG, nullable=False),
        sa.Column("list", TEXT, nullable=False),
        sa.Column("item", TEXT, nullable=False),
        sa.Column("item_hash", TEXT, nullable=False),
        sa.Column("rollout_id", TEXT),
        sa.Column("person", TEXT, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("evidence", TEXT, nullable=False),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollouts.id"], name="fk_attestations_rollout_id"),
        sa.PrimaryKeyConstraint("id", name="pk_attestations"),
    )
    op.create_index("ix_attestations_item", "attestations", ["list", "item", "id"])
    op.create_table(
        "checklist_runs",
        sa.Column("id", BIG, nullable=False),
        sa.Column("list", TEXT, nullable=False),
        sa.Column("list_hash", TEXT, nullable=False),
        sa.Column("rollout_id", TEXT),
        sa.Column("step_id", TEXT),
        sa.Column("by", TEXT, nullable=False),
        sa.Column("decision", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("results", TEXT, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollouts.id"], name="fk_checklist_runs_rollout_id"),
        sa.PrimaryKeyConstraint("id", name="pk_checklist_runs"),
    )
    op.create_index("ix_checklist_runs_list", "checklist_runs", ["list", "id"])
