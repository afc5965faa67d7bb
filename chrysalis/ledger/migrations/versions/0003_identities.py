"""What proves who signs, what a signer was shown, who stands in for whom, and why a sign-off counts no more."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text()
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("sign_offs", sa.Column("release", TEXT, nullable=False, server_default=""))
    for name in ("shown", "on_behalf_of", "void"):
        op.add_column("sign_offs", sa.Column(name, TEXT))
    op.create_table(
        "shown_forms",
        sa.Column("wait_id", BIG, nullable=False),
        sa.Column("pause", sa.Integer(), nullable=False),
        sa.Column("shown", TEXT, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["wait_id"], ["waits.id"], name="fk_shown_forms_wait_id"),
        sa.PrimaryKeyConstraint("wait_id", "pause", name="pk_shown_forms"),
    )
    op.create_table(
        "factors",
        sa.Column("person", TEXT, nullable=False),
        sa.Column("sealed", TEXT, nullable=False),
        sa.Column("enrolled_at", TIME, nullable=False),
        sa.Column("enrolled_by", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("person", name="pk_factors"),
    )
    op.create_table(
        "used_codes",
        sa.Column("person", TEXT, nullable=False),
        sa.Column("time_step", BIG, autoincrement=False, nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("person", "time_step", name="pk_used_codes"),
    )
    op.create_table(
        "code_attempts",
        sa.Column("id", BIG, nullable=False),
        sa.Column("person", TEXT, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("right", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_code_attempts"),
    )
    op.create_index("ix_code_attempts_person", "code_attempts", ["person", "at"])
    op.create_table(
        "delegations",
        sa.Column("id", BIG, nullable=False),
        sa.Column("giver", TEXT, nullable=False),
        sa.Column("taker", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("made_by", TEXT, nullable=False),
        sa.Column("made_at", TIME, nullable=False),
        sa.Column("until", TIME, nullable=False),
        sa.Column("ended_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_delegations"),
    )
    op.create_index("ix_delegations_taker", "delegations", ["taker", "until"])
