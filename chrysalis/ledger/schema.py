"""The tables. What must never be true together is refused by the database itself, not only by the code above it.

Partial indexes carry those rules (one active rollout per service, one open wait per step) and are at the same time what
the frequent queries read. Their conditions are literals, because neither database uses a partial index for a parameter.
"""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    UniqueConstraint,
    and_,
)
from sqlalchemy.sql.expression import literal_column

from chrysalis.ledger.columns import BIG, CleanText, Json, UtcTime

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def _of_rollout() -> Column[str]:
    return Column("rollout_id", CleanText, ForeignKey("rollouts.id"), nullable=False)


plan_texts = Table(
    "plan_texts",
    metadata,
    Column("text_hash", CleanText, primary_key=True),
    Column("plan_text", CleanText, nullable=False),
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("id", CleanText, primary_key=True),
    Column("serial", BIG, nullable=False, unique=True),
    Column("plan_name", CleanText, nullable=False),
    Column("service", CleanText, nullable=False),
    Column("version", CleanText, nullable=False),
    Column("plan_hash", CleanText, nullable=False),
    Column("text_hash", CleanText, ForeignKey("plan_texts.text_hash"), nullable=False),
    Column("idempotency_key", CleanText, nullable=False),
    Column("started_by", CleanText, nullable=False),
    Column("reason", CleanText, nullable=False),
    Column("speed", Float(53), nullable=False),
    Column("dry_run", Boolean, nullable=False),
    Column("parameters", Json, nullable=False),
    Column("state", CleanText, nullable=False),
    Column("outcome", CleanText),
    Column("phase", CleanText),
    Column("weight_percent", Integer),
    Column("status_text", CleanText, nullable=False),
    Column("token", BIG, nullable=False),
    Column("holder", CleanText),
    Column("flow_run_id", CleanText),
    Column("started_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    UniqueConstraint("service", "idempotency_key"),
    CheckConstraint("(state = 'ended') = (outcome IS NOT NULL)", name="ended_has_outcome"),
    CheckConstraint("weight_percent BETWEEN 0 AND 100", name="weight_in_percent"),
)
is_active = rollouts.c.state != literal_column("'ended'")
Index("ix_rollouts_active_service", rollouts.c.service, unique=True, sqlite_where=is_active, postgresql_where=is_active)
Index("ix_rollouts_service_serial", rollouts.c.service, rollouts.c.serial)

flow_runs = Table(
    "flow_runs",
    metadata,
    Column("flow_run_id", CleanText, primary_key=True),
    _of_rollout(),
    Column("at", UtcTime, nullable=False),
    Index("ix_flow_runs_rollout", "rollout_id"),
)

journal = Table(
    "journal",
    metadata,
    Column("seq", BIG, primary_key=True),
    _of_rollout(),
    Column("step_id", CleanText, nullable=False),
    Column("kind", CleanText, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("event", CleanText, nullable=False),
    Column("token", BIG, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("detail", Json, nullable=False),
    Index("ix_journal_rollout", "rollout_id", "seq"),
)
is_beginning = journal.c.event == literal_column("'begun'")
is_end = journal.c.event != literal_column("'begun'")
_ATTEMPT = (journal.c.rollout_id, journal.c.step_id, journal.c.attempt)
Index("ix_journal_begun", *_ATTEMPT, unique=True, sqlite_where=is_beginning, postgresql_where=is_beginning)
Index("ix_journal_ended", *_ATTEMPT, unique=True, sqlite_where=is_end, postgresql_where=is_end)

waits = Table(
    "waits",
    metadata,
    Column("id", BIG, primary_key=True),
    _of_rollout(),
    Column("step_id", CleanText, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("kind", CleanText, nullable=False),
    Column("needed_s", Float(53)),
    Column("watched_s", Float(53), nullable=False),
    Column("detail", Json, nullable=False),
    Column("observed", Json),
    Column("pauses", Integer, nullable=False),
    Column("opened_at", UtcTime, nullable=False),
    Column("ticked_at", UtcTime),
    Column("closed_at", UtcTime),
    Column("outcome", CleanText),
    UniqueConstraint("rollout_id", "step_id", "attempt"),
    CheckConstraint("(closed_at IS NULL) = (outcome IS NULL)", name="closed_has_outcome"),
)
is_open = waits.c.closed_at.is_(None)
Index("ix_waits_open", waits.c.rollout_id, waits.c.step_id, unique=True, sqlite_where=is_open, postgresql_where=is_open)

guards = Table(
    "guards",
    metadata,
    Column("rollout_id", CleanText, ForeignKey("rollouts.id"), primary_key=True),
    Column("armed_at", UtcTime),
    Column("triggers", Json, nullable=False),
    Column("trigger_states", Json, nullable=False),
)
is_armed = guards.c.armed_at.is_not(None)
Index("ix_guards_armed", guards.c.rollout_id, sqlite_where=is_armed, postgresql_where=is_armed)

requests = Table(
    "requests",
    metadata,
    Column("id", BIG, primary_key=True),
    _of_rollout(),
    Column("kind", CleanText, nullable=False),
    Column("by", CleanText, nullable=False),
    Column("reason", CleanText, nullable=False),
    Column("arguments", Json, nullable=False),
    Column("arguments_hash", CleanText, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("settled_at", UtcTime),
    Column("outcome", CleanText),
)
is_unsettled = requests.c.settled_at.is_(None)
Index(
    "ix_requests_open",
    requests.c.rollout_id,
    requests.c.kind,
    requests.c.arguments_hash,
    unique=True,
    sqlite_where=is_unsettled,
    postgresql_where=is_unsettled,
)

sign_offs = Table(
    "sign_offs",
    metadata,
    Column("rollout_id", CleanText, ForeignKey("rollouts.id"), primary_key=True),
    Column("step_id", CleanText, primary_key=True),
    Column("approver", CleanText, primary_key=True),
    Column("role", CleanText, nullable=False),
    Column("decision", CleanText, nullable=False),
    Column("comment", CleanText, nullable=False),
    Column("findings_hash", CleanText, nullable=False),
    Column("plan_hash", CleanText, nullable=False),
    Column("door", CleanText, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("proof", Json, nullable=False),
    Column("release", CleanText, nullable=False, server_default=""),
    Column("shown", Json),
    Column("on_behalf_of", CleanText),
    Column("void", CleanText),
)

shown_forms = Table(
    "shown_forms",
    metadata,
    Column("wait_id", BIG, ForeignKey("waits.id"), primary_key=True),
    Column("pause", Integer, primary_key=True),
    Column("shown", Json, nullable=False),
    Column("at", UtcTime, nullable=False),
)

factors = Table(
    "factors",
    metadata,
    Column("person", CleanText, primary_key=True),
    Column("sealed", CleanText, nullable=False),
    Column("enrolled_at", UtcTime, nullable=False),
    Column("enrolled_by", CleanText, nullable=False),
)

used_codes = Table(
    "used_codes",
    metadata,
    Column("person", CleanText, primary_key=True),
    Column("time_step", BIG, primary_key=True, autoincrement=False),
    Column("subject", CleanText, nullable=False),
    Column("at", UtcTime, nullable=False),
)

code_attempts = Table(
    "code_attempts",
    metadata,
    Column("id", BIG, primary_key=True),
    Column("person", CleanText, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("right", Boolean, nullable=False),
    Index("ix_code_attempts_person", "person", "at"),
)

delegations = Table(
    "delegations",
    metadata,
    Column("id", BIG, primary_key=True),
    Column("giver", CleanText, nullable=False),
    Column("taker", CleanText, nullable=False),
    Column("reason", CleanText, nullable=False),
    Column("made_by", CleanText, nullable=False),
    Column("made_at", UtcTime, nullable=False),
    Column("until", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Index("ix_delegations_taker", "taker", "until"),
)

findings = Table(
    "findings",
    metadata,
    Column("id", BIG, primary_key=True),
    _of_rollout(),
    Column("step_id", CleanText, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("findings", Json, nullable=False),
    Index("ix_findings_rollout", "rollout_id", "step_id", "id"),
)

baselines = Table(
    "baselines",
    metadata,
    Column("rollout_id", CleanText, ForeignKey("rollouts.id"), primary_key=True),
    Column("name", CleanText, primary_key=True),
    Column("metric", CleanText, primary_key=True),
    Column("samples", Json, nullable=False),
    Column("at", UtcTime, nullable=False),
)

actions = Table(
    "actions",
    metadata,
    Column("id", BIG, primary_key=True),
    _of_rollout(),
    Column("token", BIG),
    Column("actor", CleanText, nullable=False),
    Column("action", CleanText, nullable=False),
    Column("before", Json),
    Column("after", Json),
    Column("cause", Json),
    Column("at", UtcTime, nullable=False),
    Column("key", CleanText, unique=True),
    Index("ix_actions_rollout", "rollout_id", "id"),
)

attestations = Table(
    "attestations",
    metadata,
    Column("id", BIG, primary_key=True),
    Column("list", CleanText, nullable=False),
    Column("item", CleanText, nullable=False),
    Column("item_hash", CleanText, nullable=False),
    Column("rollout_id", CleanText, ForeignKey("rollouts.id")),
    Column("person", CleanText, nullable=False),
    Column("role", CleanText, nullable=False),
    Column("evidence", CleanText, nullable=False),
    Column("withdrawn", Boolean, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Index("ix_attestations_item", "list", "item", "id"),
)

checklist_runs = Table(
    "checklist_runs",
    metadata,
    Column("id", BIG, primary_key=True),
    Column("list", CleanText, nullable=False),
    Column("list_hash", CleanText, nullable=False),
    Column("rollout_id", CleanText, ForeignKey("rollouts.id")),
    Column("step_id", CleanText),
    Column("by", CleanText, nullable=False),
    Column("decision", CleanText, nullable=False),
    Column("reason", CleanText, nullable=False),
    Column("results", Json, nullable=False),
    Column("at", UtcTime, nullable=False),
    Index("ix_checklist_runs_list", "list", "id"),
)

notices = Table(
    "notices",
    metadata,
    Column("id", BIG, primary_key=True),
    _of_rollout(),
    Column("severity", CleanText, nullable=False),
    Column("title", CleanText, nullable=False),
    Column("body", CleanText, nullable=False),
    Column("markdown", Boolean, nullable=False),
    Column("key", CleanText, nullable=False),
    Column("cause", CleanText),
    Column("told_at", UtcTime, nullable=False),
    Column("repeats", Integer, nullable=False),
    Column("level", Integer, nullable=False),
    Column("next_at", UtcTime),
    Column("acknowledged_by", CleanText),
    Column("acknowledged_at", UtcTime),
    Column("ended_at", UtcTime),
    Column("ended_why", CleanText),
    CheckConstraint("(acknowledged_at IS NULL) = (acknowledged_by IS NULL)", name="acknowledged_by"),
    CheckConstraint("(ended_at IS NULL) = (ended_why IS NULL)", name="ended_why"),
    Index("ix_notices_rollout", "rollout_id", "key", "id"),
)
is_open_page = and_(notices.c.severity == literal_column("'page'"), notices.c.ended_at.is_(None))
Index("ix_notices_open", notices.c.id, sqlite_where=is_open_page, postgresql_where=is_open_page)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", BIG, primary_key=True),
    Column("notice_id", BIG, ForeignKey("notices.id"), nullable=False),
    Column("channel", CleanText, nullable=False),
    Column("what", CleanText, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("due_at", UtcTime),
    Column("tries", Integer, nullable=False),
    Column("delivered_at", UtcTime),
    Column("reason", CleanText, nullable=False),
    Index("ix_deliveries_notice", "notice_id", "id"),
)
is_due = deliveries.c.due_at.is_not(None)
Index("ix_deliveries_due", deliveries.c.due_at, sqlite_where=is_due, postgresql_where=is_due)

leases = Table(
    "leases",
    metadata,
    Column("name", CleanText, primary_key=True),
    Column("holder", CleanText, nullable=False),
    Column("token", BIG, nullable=False),
    Column("acquired_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
)

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("name", CleanText, primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("detail", Json, nullable=False),
)

serials = Table(
    "serials",
    metadata,
    Column("name", CleanText, primary_key=True),
    Column("value", BIG, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", BIG, primary_key=True, autoincrement=False),
    Column("at", CleanText, nullable=False),
    Column("actor", CleanText, nullable=False),
    Column("action", CleanText, nullable=False),
    Column("subject", CleanText, nullable=False),
    Column("detail", CleanText, nullable=False),
    Column("previous_hash", CleanText, nullable=False),
    Column("hash", CleanText, nullable=False),
    Column("origin", CleanText),
    Index("ix_audit_subject", "subject", "seq"),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("seq", BIG, nullable=False),
    Column("hash", CleanText, nullable=False),
    CheckConstraint("one = 1", name="single"),
)
