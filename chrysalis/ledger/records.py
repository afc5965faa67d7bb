"""What the ledger hands out and takes in: frozen values, times timezone-aware in UTC.

The field names are the column names (`rows.py` relies on it). A None says that something has not happened yet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Details = Mapping[str, Any]

State = Literal["pending", "running", "waiting", "rolling_back", "stuck", "ended"]
"""pending: not begun. waiting: for time or a person. stuck: a person must choose. ended: see the outcome."""
Outcome = Literal["completed", "rolled_back", "aborted", "rejected", "skipped", "failed"]
StepOutcome = Literal["done", "failed", "skipped", "undone", "abandoned"]
Event = Literal["begun", "done", "failed", "skipped", "undone", "abandoned"]
WaitKind = Literal["soak", "gate", "sign_off", "checklist", "window", "retry"]
UNCHANGED = object()
"""In place of what was seen: it is as it was."""
Decision = Literal["approve", "reject"]
Door = Literal["ui", "cli", "api"]
Severity = Literal["info", "warning", "page"]
DeliveryKind = Literal["told", "escalated", "acknowledged", "ended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRollout:
    """What somebody wants rolled out. `speed` scales the plan's clock; `plan_hash` is over what the plan means."""

    plan_name: str
    service: str
    version: str
    plan_text: str
    plan_hash: str
    idempotency_key: str
    started_by: str
    reason: str
    speed: float = 1.0
    dry_run: bool = False
    parameters: Details = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rollout:
    """A rollout as it stands. The plan's text is long and kept apart: `Ledger.plan_text(id)`."""

    id: str
    serial: int
    plan_name: str
    service: str
    version: str
    plan_hash: str
    idempotency_key: str
    started_by: str
    reason: str
    speed: float
    dry_run: bool
    parameters: Details
    state: State
    outcome: Outcome | None
    phase: str | None
    weight_percent: int | None
    status_text: str
    token: int
    """The fencing token of the worker that holds the rollout; 0 before the first."""
    holder: str | None
    flow_run_id: str | None
    started_at: datetime
    updated_at: datetime
    ended_at: datetime | None

    @property
    def active(self) -> bool:
        return self.state != "ended"


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One line of the journal. `seq` ascends within a rollout; `attempt` counts the beginnings of a step from 1."""

    seq: int
    rollout_id: str
    step_id: str
    kind: str
    attempt: int
    event: Event
    token: int
    at: datetime
    detail: Details


@dataclass(frozen=True, slots=True)
class Wait:
    """What a rollout waits for. `needed_s` and `watched_s` are seconds of the plan's clock; `needed_s` None: no time."""

    id: int
    rollout_id: str
    step_id: str
    attempt: int
    kind: WaitKind
    needed_s: float | None
    watched_s: float
    """How long somebody really watched, which is less than the time that passed when nobody did."""
    detail: Details
    observed: Any
    """What the last tick saw; None before the first."""
    pauses: int
    opened_at: datetime
    ticked_at: datetime | None
    closed_at: datetime | None
    outcome: str | None

    @property
    def is_open(self) -> bool:
        return self.closed_at is None


@dataclass(frozen=True, slots=True)
class Tick:
    """What one look at one wait adds: seconds of the plan's clock that were watched, and what was seen."""

    wait_id: int
    watched_s_increment: float
    observed: Any = UNCHANGED


@dataclass(frozen=True, slots=True)
class Guarded:
    """All that a watch needs of one rollout: the row, its open waits, and its armed triggers with their states."""

    rollout: Rollout
    armed_at: datetime | None
    """None: it waits without being guarded."""
    triggers: Details
    """Trigger name to detail, as armed; empty when not armed."""
    trigger_states: Details
    waits: tuple[Wait, ...]
    alive_until: datetime | None = None
    """Until when the rollout's own process holds the lease on it; None when it never held one."""


@dataclass(frozen=True, slots=True)
class Request:
    """Something that a person or the watch asks of a rollout, and what came of it."""

    id: int
    rollout_id: str
    kind: str
    by: str
    reason: str
    arguments: Details
    created_at: datetime
    settled_at: datetime | None
    outcome: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOff:
    """One person's standing decision on one step, bound to what was shown. `proof` says how the person was known.

    `shown` is what findings_hash is over; `on_behalf_of` names who delegated; `void` says why it counts no more.
    """

    rollout_id: str
    step_id: str
    approver: str
    role: str
    decision: Decision
    comment: str
    findings_hash: str
    plan_hash: str
    door: Door
    at: datetime
    proof: Details = field(default_factory=dict)
    release: str = ""
    shown: Any = None
    on_behalf_of: str | None = None
    void: str | None = None

    @property
    def principal(self) -> str:
        """Whose decision it is: of the person, or of whoever delegated to them."""
        return self.on_behalf_of or self.approver


@dataclass(frozen=True, slots=True)
class Factor:
    """What somebody's one-time codes are checked by; `sealed` is encrypted and bound to the name."""

    person: str
    sealed: str
    enrolled_at: datetime
    enrolled_by: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a person's one-time code."""

    at: datetime
    right: bool


@dataclass(frozen=True, slots=True)
class Delegation:
    """`taker` may sign for `giver` until then, unless it was ended before."""

    id: int
    giver: str
    taker: str
    reason: str
    made_by: str
    made_at: datetime
    until: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class RecordedFindings:
    """What a step found at one time; `findings` as it was given."""

    id: int
    rollout_id: str
    step_id: str
    at: datetime
    findings: Any


@dataclass(frozen=True, slots=True)
class Baseline:
    """A series recorded under a name, to be compared with later; `samples` as it was given."""

    rollout_id: str
    name: str
    metric: str
    samples: Any
    at: datetime


@dataclass(frozen=True, slots=True)
class Action:
    """A change to a target, with what stood before, what stands after, and the finding that caused it."""

    id: int
    rollout_id: str
    token: int | None
    actor: str
    action: str
    before: Any
    after: Any
    cause: Any
    at: datetime


@dataclass(frozen=True, slots=True)
class Attestation:
    """One person's word on one item of a checklist. `item_hash` is of the item as it was worded then.

    `rollout_id` None: it counts for every rollout. `list` is the checklist's file below the plans folder.
    """

    id: int
    list: str
    item: str
    item_hash: str
    rollout_id: str | None
    person: str
    role: str
    evidence: str
    withdrawn: bool
    at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ChecklistRun:
    """One run of a checklist; with a `step_id` it is the go/no-go of that step. `results` as they were given."""

    id: int
    list: str
    list_hash: str
    rollout_id: str | None
    step_id: str | None
    by: str
    decision: str
    reason: str
    results: Any
    at: datetime


@dataclass(frozen=True, slots=True)
class ToldNotice:
    """A notice as it stands. A page is open until what it is about has ended."""

    id: int
    rollout_id: str
    severity: Severity
    title: str
    body: str
    markdown: bool
    key: str
    """Two of one rollout with the same key are the same notice."""
    cause: str | None
    """What has to be over for the page to end, such as `trigger:errors`; None: its rollout."""
    told_at: datetime
    repeats: int
    """How often it was asked for again and people were left in peace."""
    level: int
    """How many steps of the escalation were taken."""
    next_at: datetime | None
    """When the next one is due."""
    acknowledged_by: str | None
    acknowledged_at: datetime | None
    ended_at: datetime | None
    ended_why: str | None


@dataclass(frozen=True, slots=True)
class QueuedDelivery:
    """A notice on its way to one channel. `due_at` None: delivered, or given up for the `reason`."""

    id: int
    notice_id: int
    channel: str
    what: DeliveryKind
    created_at: datetime
    due_at: datetime | None
    tries: int
    delivered_at: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to act under `name` until `expires_at`; `token` is one higher with every new holder."""

    name: str
    holder: str
    token: int
    acquired_at: datetime
    expires_at: datetime

    def expired(self, now: datetime) -> bool:
        return self.expires_at <= now


@dataclass(frozen=True, slots=True)
class Beat:
    """The last sign of life under a name."""

    name: str
    at: datetime
    detail: Details
