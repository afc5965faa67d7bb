"""The parts a plan is made of besides its steps: targets, sources, metrics, channels, windows, schedules, sign-off rules.

A value may name a variable of the environment it runs in, as `${ENVOY_ADMIN_URL}`; it is filled in when a rollout starts,
so that one plan serves the sandbox, staging and production, and a plan can be checked where none of them exists.
"""

from datetime import date, time, timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from gates.condition import Direction, Spec
from gates.conditions import AnyCondition
from gates.keyed import keyed_union
from gates.response import AnyResponse, Notify, Page, Response
from gates.threshold import Threshold
from gates.trigger import SEVERITY_OF, Trigger
from gates.units import Duration, Quantity

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", description="lower case, digits, - and _")]


def _percent(value: object) -> object:
    if isinstance(value, str) and value.strip().endswith("%"):
        return float(value.strip()[:-1])
    return value


SeverityName = Literal["info", "warning", "page", "P0", "P1", "P2"]
Percent = Annotated[int, BeforeValidator(_percent), Field(ge=0, le=100, description="a share in percent: 30 or 30%")]


def _named(value: object) -> object:
    return SEVERITY_OF.get(value, value) if isinstance(value, str) else value


Severity = Annotated[Literal["info", "warning", "page"], BeforeValidator(_named, json_schema_input_type=SeverityName)]
"""P0, P1 and P2 are other names for page, warning and info."""
Scalar = str | int | float | bool | None
Proof = Literal["none", "code", "ssh", "any"]
"""How a signer proves who they are: not at all, by a one-time code, by an SSH signature, by either."""


# ── targets: what a rollout changes ────────────────────────────────────────────────────────────────────────────────


class Envoy(Spec):
    """Envoy with its routes in a file: weights, and a header or cookie that always reaches the canary."""

    admin_url: str
    route_file: str
    header: str | None = Field(default=None, description="`name: value` that routes to the canary whatever the weight")
    cohort_cookie: str | None = Field(
        default=None, description="cookie that keeps a user on one side, also when the share grows"
    )
    user_header: str | None = Field(
        default=None, description="header that names the user, for the same; where sent it counts"
    )
    cohorts: dict[Name, str] = Field(
        default_factory=dict, description="`name: value` of the header of each cohort; any other is known by the cookie"
    )


class Haproxy(Spec):
    """HAProxy, changed through its runtime socket: a backend with the servers `canary` and `stable`, and a map of routes."""

    socket: str
    backend: str
    routes: str = Field(description="map file that the configuration names, with the keys `header` and `stamp`")
    header: str | None = Field(default=None, description="`name: value` that the configuration routes while `header` is on")


class HttpApi(Spec):
    """The service's own configuration API: read by GET, changed by PATCH, read back."""

    url: str
    path: str = "/api/config"


class Kubernetes(Spec):
    """A Deployment: environment variables, versions, replicas, undo; and the weights of a Gateway API route."""

    namespace: str = "default"
    deployment: str
    container: str | None = Field(default=None, description="the first one of the pod when not given")
    route: str | None = Field(default=None, description="the HTTPRoute whose weights are set")
    canary: str = Field(default="canary", description="the canary's Service in the route")
    stable: str = Field(default="stable", description="the other one")
    context: str | None = Field(default=None, description="of the kubeconfig; the current one when not given")


class SqlFlags(Spec):
    """Feature flags in a table (name, value as JSON) of the service's own database."""

    url: str
    table: str = "feature_flags"
    share: str = Field(default="rollout_percent", description="the flag that holds the percentage, for set_weight")


class Unleash(Spec):
    """Feature flags in Unleash: on and off, and the gradual rollout of one of them."""

    url: str
    project: str = "default"
    environment: str = "production"
    token: str = Field(default="${UNLEASH_TOKEN}", description="an admin token")
    client_token: str | None = Field(default=None, description="a backend token: to see what services get")
    share: str | None = Field(default=None, description="the flag whose rollout set_weight sets")
    stickiness: str = Field(default="default", description="what keeps a user on one side: userId, sessionId, …")


class Database(Spec):
    """The service's PostgreSQL: migrations, backups, restores, read-only mode.

    A point in time needs the server's archived log; what is new since a moment is told by a time column of each table.
    """

    url: str
    migrations: str | None = None
    wal_archive: str | None = Field(default=None, description="folder into which the server's archive_command copies")
    time_columns: dict[str, str] = Field(
        default_factory=dict, description="by table; else updated_at, created_at, timestamp"
    )


class Layers(Spec):
    """Layers that are switched on and off on instances, each depending on the one before it."""

    url: str
    layers: tuple[str, ...] = Field(min_length=1)
    instances: tuple[str, ...] = Field(min_length=1)
    optional: tuple[str, ...] = ()
    regions: dict[str, str] = Field(default_factory=dict, description="where each instance is")
    topologies: dict[Name, tuple[str, ...]] = Field(default_factory=dict, description="which instances; one is used")


class Versions(Spec):
    """Versions of a service that are started, stopped, and put back to the previous one."""

    url: str
    environment: str = "production"


class Regions(Spec):
    """Regions between which all traffic can be moved."""

    url: str
    regions: tuple[str, ...] = Field(min_length=2)


Target = keyed_union(
    "target",
    {
        "envoy": Envoy,
        "haproxy": Haproxy,
        "http_api": HttpApi,
        "kubernetes": Kubernetes,
        "sql_flags": SqlFlags,
        "unleash": Unleash,
        "database": Database,
        "layers": Layers,
        "versions": Versions,
        "regions": Regions,
    },
)

ROUTERS = (Envoy, Haproxy, Kubernetes, SqlFlags, Unleash)
"""Targets that give a share of the users or requests to what is new."""
SWITCHBOARDS = (HttpApi, Kubernetes, SqlFlags, Unleash)
"""Targets that have named values."""


# ── sources and metrics: what is measured ──────────────────────────────────────────────────────────────────────────


class PrometheusSource(Spec):
    url: str
    timeout: Duration = timedelta(seconds=2)
    scrape_interval: Duration = timedelta(seconds=15)


class SqlSource(Spec):
    url: str
    timeout: Duration = timedelta(seconds=5)


class HttpSource(Spec):
    url: str
    timeout: Duration = timedelta(seconds=5)


class EnvoySource(Spec):
    """The router's own counters, read every quarter of a second: the fastest sight of a breach, for triggers only.

    A query is a counter or a sum of counters (`a + b`), taken as so many a second, or a ratio of two such sums, over the
    metric's `rate_over`. A ratio of fewer than `min_requests` says nothing.
    """

    admin_url: str
    timeout: Duration = timedelta(seconds=1)
    min_requests: int = Field(default=20, ge=1, description="what the second sum of a ratio must at least have grown by")


class ManualSource(Spec):
    """Measurements that people enter: surveys, reviews, incident reports; kept in the ledger."""


Source = keyed_union(
    "source",
    {
        "prometheus": PrometheusSource,
        "sql": SqlSource,
        "http": HttpSource,
        "envoy": EnvoySource,
        "manual": ManualSource,
    },
)


_SIDE_MARKS = ("{side}", "{version}", ":side", ":version")
"""By any of these a query asks for one side: placeholders, and the bound parameters of SQL."""


class Metric(Spec):
    """One measurement. `query` is in the source's language; by side where the sides differ in more than `{side}`.

    `interval` is the spacing of its samples; `rate_over` fills `{window}` in the query. Both are plan time.
    """

    source: str
    query: str | dict[Literal["canary", "stable", "all"], str]
    unit: str
    direction: Direction = "neither"
    interval: Duration = timedelta(seconds=15)
    rate_over: Duration = timedelta(minutes=5)
    title: str = ""

    @property
    def sided(self) -> bool:
        """Whether canary and stable are measured apart."""
        return isinstance(self.query, dict) or any(mark in self.query for mark in _SIDE_MARKS)

    @property
    def interval_s(self) -> float:
        return self.interval.total_seconds()

    @property
    def rate_window_s(self) -> float:
        return self.rate_over.total_seconds()


# ── people, messages, time ─────────────────────────────────────────────────────────────────────────────────────────


class Channel(Spec):
    """Where a notice goes. `url` is an address of the notifier (`https://…`, `mailto:…`), usually a variable."""

    url: str
    title: str = ""


class EscalationStep(Spec):
    after: Duration
    to: tuple[str, ...] = Field(min_length=1)


class Notifications(Spec):
    """Channels by severity, and who comes next while nobody acknowledges."""

    routes: dict[Severity, tuple[str, ...]] = Field(default_factory=dict)
    escalation: tuple[EscalationStep, ...] = ()
    settle: Duration = timedelta(minutes=10)


class SignOffRule(Spec):
    """Who must sign: every role of `roles`, or `quorum` of the people who hold one of them; all distinct.

    After `within` it expires; what follows is always to hold, never to grant.
    """

    roles: tuple[str, ...] = Field(min_length=1)
    quorum: int | None = Field(default=None, ge=1)
    within: Duration | None = None
    remind: Duration | None = None
    starter_may_sign: bool = False
    proof: Proof | None = Field(default=None, description="how a signer proves who they are; else as the people file says")


class Person(Spec):
    """Roles that somebody holds in this plan, by the name they sign with; who people are is in the people file."""

    roles: tuple[str, ...] = Field(min_length=1)
    contact: str = ""


Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Window(Spec):
    """When changes may be made: on these days, between these times (UTC)."""

    days: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri")
    start: time = time(0, 0)
    end: time = time(23, 59, 59)


class Freeze(Spec):
    """From the first day to the last, both included (UTC), no weight goes up."""

    first: date
    last: date
    why: str

    @model_validator(mode="after")
    def _in_order(self) -> "Freeze":
        if self.last < self.first:
            raise ValueError(f"the freeze ends on {self.last}, before it begins on {self.first}")
        return self


class Schedule(Spec):
    """Something that runs by the clock: an operation of this plan, a report, a check. Exactly one of cron and every."""

    run: str = Field(description="name of an operation or report of this plan")
    cron: str | None = None
    every: Duration | None = None
    after_completion: Duration | None = Field(default=None, description="once, this long after the rollout completed")
    only_when: AnyCondition | None = Field(default=None, description="else it runs nothing, and says the figure")
    title: str = ""

    @model_validator(mode="after")
    def _one_clock(self) -> "Schedule":
        given = [name for name in ("cron", "every", "after_completion") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a schedule has exactly one of cron, every, after_completion; found {given or 'none'}")
        return self


class Report(Spec):
    """A document made from what was recorded."""

    title: str
    audience: tuple[str, ...] = ()
    contents: tuple[str, ...] = Field(min_length=1)
    refresh: Duration | None = Field(default=None, description="a dashboard: how often it is written anew")


class Quota(Spec):
    """A guard rail: somebody is told at a share of the limit, and at another something is done."""

    metric: str
    limit: Quantity
    warn: Percent = 80
    stop: Percent = 100
    respond: AnyResponse = Field(default=Page(), description="what is done at `stop`")
    notify: tuple[str, ...] = Field(default=(), description="channels")
    runbook: str = ""

    def triggers(self, name: str) -> dict[str, Trigger]:
        """What is watched for it in every phase: `NAME_warn`, which only tells, and `NAME_stop`."""
        return {
            f"{name}_warn": self._trigger(self.warn, Notify()),
            f"{name}_stop": self._trigger(self.stop, self.respond),
        }

    def _trigger(self, percent: int, respond: Response) -> Trigger:
        amount = Quantity(self.limit.value * percent / 100, self.limit.unit)
        breach = Threshold(metric=self.metric, at_least=amount)
        return Trigger(when=breach, respond=respond, notify=self.notify, runbook=self.runbook)
