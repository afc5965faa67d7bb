"""What a step works with: the rollout's row and token, its plan, its clock, and the adapters the plan names.

Opened anew for every step from nothing but the rollout's id and token, so that no state lives outside the ledger. What is
slow to make (a parsed plan, a connection) is kept per process.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property, lru_cache
from pathlib import Path

from chrysalis import wiring
from chrysalis.clock import PlanClock
from chrysalis.errors import SettingsError
from chrysalis.ledger import Ledger, Rollout
from chrysalis.metrics.base import MetricSource
from chrysalis.metrics.fetch import fetch
from chrysalis.people import People, load_people
from chrysalis.plan import Plan, parse_plan
from chrysalis.plan.parts import ManualSource
from chrysalis.plan.steps import SetWeight
from chrysalis.settings import Settings
from chrysalis.targets.base import Stamp, Switchboard, TrafficRouter
from chrysalis.targets.operator import HttpOperator
from gates.condition import Condition
from gates.observation import Need, Observations
from tasks.entered import EnteredSource, recorded

TOKENS_PER_ROLLOUT = 1_000_000
"""More than twice what one rollout can ever take: a process start each second for five days."""


FROM_MEMORY = "standby."
"""How the step in a stamp begins that the watch wrote while the ledger was out of reach."""

SPLITTING = frozenset({"set_weight", "set_route"})
"""Steps after which other users or requests reach the canary."""


@cache
def settings() -> Settings:
    """This process's settings."""
    return Settings.load()


@cache
def _ledger(url: str) -> Ledger:
    return Ledger.open(url)


def open_ledger() -> Ledger:
    """This process's connection to the ledger. Raises LedgerUnavailable."""
    settings().home.mkdir(parents=True, exist_ok=True)
    return _ledger(settings().ledger_url)


@cache
def plan_of(rollout_id: str) -> Plan:
    """The plan as it was when the rollout started; a later change of the file changes nothing."""
    return parse_plan(open_ledger().plan_text(rollout_id), f"the plan of {rollout_id}").plan


def people_of(plan: Plan) -> People:
    """The people as they are now, with the roles that the plan gives. Raises PlanError when the file is wrong or gone."""
    file = settings().people_file
    if file is None:
        return People.of_plan(plan)
    return _people(file, file.stat().st_mtime_ns if file.exists() else 0).for_plan(plan)


@lru_cache(maxsize=4)
def _people(file: Path, changed_ns: int) -> People:
    return load_people(file)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured for each of several conditions at one moment."""

    by_condition: Mapping[int, Observations]
    """By the identity of the condition: two that look alike are still two."""

    def of(self, condition: Condition) -> Observations:
        """What that condition asked for. Raises KeyError for one that was not measured."""
        return self.by_condition[id(condition)]


@dataclass(frozen=True)
class Workspace:
    """One rollout, held under one token."""

    ledger: Ledger
    rollout: Rollout
    token: int
    plan: Plan
    settings: Settings

    @classmethod
    def open(cls, rollout_id: str, token: int) -> "Workspace":
        """Raises UnknownRollout, LedgerUnavailable."""
        ledger = open_ledger()
        return cls(ledger, ledger.get(rollout_id), token, plan_of(rollout_id), settings())

    @property
    def people(self) -> People:
        """Read anew at every look: who left may not sign any more. Raises PlanError when the file is wrong."""
        return people_of(self.plan)

    @cached_property
    def clock(self) -> PlanClock:
        return PlanClock(self.rollout.started_at.timestamp(), self.rollout.speed)

    @cached_property
    def variables(self) -> Mapping[str, str]:
        """What `${NAME}` stands for: the environment, and this rollout's own facts."""
        own = {"VERSION": self.rollout.version, "SERVICE": self.plan.service, "ROLLOUT": self.rollout.id}
        return {**self.settings.variables(), **own}

    def stamp(self, step_id: str) -> Stamp:
        """Who writes. A newer rollout outranks every token of an older one: both write to the same targets.

        A token counts two, so that there is room between it and the next (`standby.py`).
        """
        return Stamp(self.rollout.serial * TOKENS_PER_ROLLOUT + 2 * self.token, self.rollout.id, step_id)

    def router(self, name: str) -> TrafficRouter:
        return wiring.router(self.plan, name, self.variables)

    def routers(self) -> dict[str, TrafficRouter]:
        """Every router that this plan moves traffic on."""
        used = {step.spec.target for step in self.plan.itinerary if isinstance(step.spec, SetWeight)}
        return {name: self.router(name) for name in sorted(used)}

    def switchboard(self, name: str) -> Switchboard:
        return wiring.switchboard(self.plan, name, self.variables)

    def database_url(self, name: str) -> str:
        return wiring.database_url(self.plan, name, self.variables)

    def operator(self, name: str) -> HttpOperator:
        return wiring.operator(self.plan, name, self.variables)

    def database(self, name: str) -> wiring.ServiceDatabase:
        return wiring.database(self.plan, name, self.variables, self.settings.home)

    def observe(self, conditions: Iterable[Condition], now: datetime) -> "Measured":
        """Everything that the conditions ask for, measured at `now` (real time). What cannot be had is an Unavailable.

        With the clock scaled, conditions that look back over different windows are measured apart: their samples are
        spread over the window each of them looks at (`fetch`).
        """
        by_window: dict[float, list[Need]] = {}
        windows: dict[int, float] = {}
        for condition in conditions:
            needs = condition.needs()
            longest = max((need.window_s for need in needs), default=0.0) if self.clock.speed != 1.0 else 0.0
            windows[id(condition)] = longest
            by_window.setdefault(longest, []).extend(needs)
        measured = {window: self.measure(needs, now) for window, needs in by_window.items()}
        return Measured({one: measured[window] for one, window in windows.items()})

    def measure(self, needs: Sequence[Need], now: datetime) -> Observations:
        """The series that are needed, measured at `now` (real time); recorded baselines from the ledger."""
        facts = {"service": self.plan.service, "version": self.rollout.version}
        split_at = self.split_at() if any(need.selector.constant_split for need in needs) else None
        observations = dict(
            fetch(needs, self.plan.metrics, self.sources, self.clock, now, variables=facts, split_at=split_at)
        )
        for selector in observations:
            if selector.baseline is not None:
                observations[selector] = recorded(self.ledger, self.rollout.id, selector)
        return observations

    def split_at(self) -> datetime | None:
        """The real time at which the rollout's weight was last changed, by a step or by a safe action; None before that."""
        journal, actions = self.ledger.journal(self.rollout.id), self.ledger.actions(self.rollout.id)
        times = [entry.at for entry in journal if entry.event == "done" and entry.kind in SPLITTING]
        return max([*times, *(action.at for action in actions if action.action == "make_safe")], default=None)

    @cached_property
    def sources(self) -> Mapping[str, MetricSource]:
        """The plan's sources by name; what people enter comes from the ledger."""
        entered = EnteredSource(self.ledger, self.rollout.id)
        by_hand = {name: entered for name, spec in self.plan.sources.items() if isinstance(spec, ManualSource)}
        return {**wiring.sources(self.plan, self.variables), **by_hand}


def written_from_memory(stamp: Stamp) -> bool:
    """Whether the watch wrote this while the ledger was out of reach, and has not journaled it yet."""
    return stamp.step_id.startswith(FROM_MEMORY)


def require_known(plan: Plan, name: str, known: Mapping[str, object], noun: str) -> None:
    """Raises SettingsError when the plan has no such thing."""
    if name not in known:
        raise SettingsError(f"{plan.name} has no {noun} {name!r}; it has: {', '.join(sorted(known)) or 'none'}")
