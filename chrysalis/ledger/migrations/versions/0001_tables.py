"""The tables of the first ledger, with the two rows that count: rollouts given out, and the head of the audit."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INTEGER = sa.Integer()
TEXT = sa.Text()
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", BIG, autoincrement=False, nullable=False),
        sa.Column("at", TEXT, nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("detail", TEXT, nullable=False),
        sa.Column("previous_hash", TEXT, nullable=False),
        sa.Column("hash", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
    )
    op.create_index("ix_audit_subject", "audit", ["subject", "seq"])
    op.create_table(
        "audit_head",
        sa.Column("one", INTEGER, autoincrement=False, nullable=False),
        sa.Column("seq", BIG, nullable=False),
        sa.Column("hash", TEXT, nullable=False),
        sa.CheckConstraint("one = 1", name="ck_audit_head_single"),
        sa.PrimaryKeyConstraint("one", name="pk_audit_head"),
    )
    op.create_table(
        "heartbeats",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("detail", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_heartbeats"),
    )
    op.create_table(
        "leases",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("holder", TEXT, nullable=False),
        sa.Column("token", BIG, nullable=False),
        sa.Column("acquired_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
    op.create_table(
        "plan_texts",
        sa.Column("text_hash", TEXT, nullable=False),
        sa.Column("plan_text", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("text_hash", name="pk_plan_texts"),
    )
    op.create_table(
        "serials",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("value", BIG, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_serials"),
    )
    op.create_table(
        "rollouts",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("serial", BIG, nullable=False),
        sa.Column("plan_name", TEXT, nullable=False),
        sa.Column("service", TEXT, nullable=False),
        sa.Column("version", TEXT, nullable=False),
        sa.Column("plan_hash", TEXT, nullable=False),
        sa.Column("text_hash", TEXT, nullable=False),
        sa.Column("idempotency_key", TEXT, nullable=False),
        sa.Column("started_by", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("speed", sa.Float(53), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("parameters", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("outcome", TEXT),
        sa.Column("phase", TEXT),
        sa.Column("weight_percent", INTEGER),
        sa.Column("status_text", TEXT, nullable=False),
        sa.Column("token", BIG, nullable=False),
        sa.Column("holder", TEXT),
        sa.Column("flow_run_id", TEXT),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("ended_at", TIME),
        sa.CheckConstraint("(state = 'ended') = (outcome IS NOT NULL)", name="ck_rollouts_ended_has_outcome"),
        sa.CheckConstraint("weight_percent BETWEEN 0 AND 100", name="ck_rollouts_weight_in_percent"),
        sa.ForeignKeyConstraint(["text_hash"], ["plan_texts.text_hash"], name="fk_rollouts_text_hash"),
        sa.PrimaryKeyConstraint("id", name="pk_rollouts"),
        sa.UniqueConstraint("serial", name="uq_rollouts_serial"),
        sa.UniqueConstraint("service", "idempotency_key", name="uq_rollouts_service_idempotency_key"),
    )
    op.create_index("ix_rollouts_active_service", "rollouts", ["service"], unique=True, **_where("state != 'ended'"))
    op.create_index("ix_rollouts_service_serial", "rollouts", ["service", "serial"])
    op.create_table(
        "actions",
        sa.Column("id", BIG, nullable=False),
        sa.Column("rollout_id", TEXT, nullable=False),
        sa.Column("token", BIG),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("before", TEXT),
        sa.Column("after", TEXT),
        sa.Column("cause", TEXT),
        sa.Column("at", TIME, nullable=False),
        sa.Column("key", TEXT),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollouts.id"], name="fk_actions_rollout_id"),
        sa.PrimaryKeyConstraint("id", name="pk_actions"),
        sa.UniqueConstraint("key", name="uq_actions_key"),
    )
    op.create_index("ix_actions_rollout", "actions", ["rollout_id", "id"])
    op.create_table(
        "baselines",
        sa.Column("rollout_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("metric", TEXT, nullable=False),
        sa.Column("samples", TEXT, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollouts.id"], name="fk_baselines_rollout_id"),
        sa.PrimaryKeyConstraint("rollout_id", "name", "metric", name="pk_baselines"),
    )
    op.create_table(
        "findings",
        sa.Column("id", BIG, nullable=False),
        sa.Column("rollout_id", TEXT, nullable=False),
        sa.Column("step_id", TEXT, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("findings", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollouts.id"], name="fk_findings_rollout_id"),
        sa.PrimaryKeyConstraint("id", name="pk_findings"),
    )
    op.create_index("ix_findings_rollout", "findings", ["rollout_id", "step_id", "id"])
    op.create_table(
        "flow_runs",
        sa.Column("flow_run_id", TEXT, nullable=False),
        sa.Column("rollout_id", TEXT, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollouts.id"], name="fk_flow_runs_rollout_id"),
        sa.PrimaryKeyConstraint("flow_run_id", name="pk_flow_runs"),
    )
    op.create_index("ix_flow_runs_rollout", "flow_runs", ["rollout_id"])
    op.create_table(
        "guards",
        sa.Column("rollout_id", TEXT, nullable=False),
        sa.Column("armed_at", TIME),
        sa.Column("triggers", TEXT, nullable=False),
        sa.Column("trigger_states", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollouts.id"], name="fk_guards_rollout_id"),
        sa.PrimaryKeyConstraint("rollout_id", name="pk_guards"),
    )
    op.create_index("ix_guards_armed", "guards", ["rollout_id"], **_where("armed_at IS NOT NULL"))
    op.create_table(
        "journal",
        sa.Column("seq", BIG, nullable=False),
        sa.Column("rollout_id", TEXT, nullable=False),
        sa.Column("step_id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("attempt", INTEGER, nullable=False),
        sa.Column("event", TEXT, nullable=False),
        sa.Column("token", BIG, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("detail", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollouts.id"], name="fk_journal_rollout_id"),
        sa.PrimaryKeyConstraint("seq", name="pk_journal"),
    )
    op.create_index(
        "ix_journal_begun", "journal", ["rollout_id", "step_id", "attempt"], unique=True, **_where("event = 'begun'")
    )
    op.create_index(
        "ix_journal_ended", "journal", ["rollout_id", "step_id", "attempt"], unique=True, **_where("event != 'begun'")
    )
    op.create_index("ix_journal_rollout", "journal", ["rollout_id", "seq"])
    op.create_table(
        "requests",
        sa.Column("id", BIG, nullable=False),
        sa.Column("rollout_id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("by", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("arguments", TEXT, nullable=False),
        sa.Column("arguments_hash", TEXT, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("settled_at", TIME),
        sa.Column("outcome", TEXT),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollouts.id"], name="fk_requests_rollout_id"),
        sa.PrimaryKeyConstraint("id", name="pk_requests"),
    )
    op.create_index(
        "ix_requests_open", "requests", ["rollout_id", "kind", "arguments_hash"], unique=True, **_where("settled_at IS NULL")
    )
    op.create_table(
        "sign_offs",
        sa.Column("rollout_id", TEXT, nullable=False),
        sa.Column("step_id", TEXT, nullable=False),
        sa.Column("approver", TEXT, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("decision", TEXT, nullable=False),
        sa.Column("comment", TEXT, nullable=False),
        sa.Column("findings_hash", TEXT, nullable=False),
        sa.Column("plan_hash", TEXT, nullable=False),
        sa.Column("door", TEXT, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("proof", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollouts.id"], name="fk_sign_offs_rollout_id"),
        sa.PrimaryKeyConstraint("rollout_id", "step_id", "approver", name="pk_sign_offs"),
    )
    op.create_table(
        "waits",
        sa.Column("id", BIG, nullable=False),
        sa.Column("rollout_id", TEXT, nullable=False),
        sa.Column("step_id", TEXT, nullable=False),
        sa.Column("attempt", INTEGER, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("needed_s", sa.Float(53)),
        sa.Column("watched_s", sa.Float(53), nullable=False),
        sa.Column("detail", TEXT, nullable=False),
        sa.Column("observed", TEXT),
        sa.Column("pauses", INTEGER, nullable=False),
        sa.Column("opened_at", TIME, nullable=False),
        sa.Column("ticked_at", TIME),
        sa.Column("closed_at", TIME),
        sa.Column("outcome", TEXT),
        sa.CheckConstraint("(closed_at IS NULL) = (outcome IS NULL)", name="ck_waits_closed_has_outcome"),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollouts.id"], name="fk_waits_rollout_id"),
        sa.PrimaryKeyConstraint("id", name="pk_waits"),
        sa.UniqueConstraint("rollout_id", "step_id", "attempt", name="uq_waits_rollout_id_step_id_attempt"),
    )
    op.create_index("ix_waits_open", "waits", ["rollout_id", "step_id"], unique=True, **_where("closed_at IS NULL"))
    op.bulk_insert(sa.table("serials", sa.column("name"), sa.column("value")), [{"name": "rollout", "value": 0}])
    head = sa.table("audit_head", sa.column("one"), sa.column("seq"), sa.column("hash"))
    op.bulk_insert(head, [{"one": 1, "seq": 0, "hash": "0" * 64}])


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}
