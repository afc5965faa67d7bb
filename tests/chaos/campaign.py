"""All walks of a plan: which there are, how each is run beside one without kills, and the tally."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from chrysalis.effects import migrations
from chrysalis.plan import Plan, PlannedStep, load_plan
from chrysalis.sandbox.profiles import Profile
from tasks.workspace import Workspace
from tests.chaos.points import Mark, back_marks, by_chance, bystanders, forward_marks, journaled, sometimes, walks
from tests.chaos.record import Record, differences
from tests.chaos.staffed import WITH_FLOW, Staff, StaffedWalk
from tests.chaos.walk import Walk, Walked
from tests.chaos.world import Snapshot, World

W = TypeVar("W")

VICTIMS = ("self", "ledger", "watch", "server", "twice")
"""`self`: whoever passes the mark. The others are killed while it stands there. `twice`: nobody is killed; the flow is
frozen, another one takes the rollout up, and then the first is woken."""


WORKERS = ("worker", WITH_FLOW)
"""On a whole stack: the worker alone, or with the flow's process that it had started."""
TRIES = 3


class Walkable(Protocol):
    """A rollout that can be made."""

    def go(self) -> Walked: ...


@dataclass(frozen=True, slots=True)
class Planned:
    """A walk that can be made."""

    way: str
    victim: str
    marks: tuple[Mark, ...]
    """Those that are passed in every run."""
    perhaps: tuple[Mark, ...]


@dataclass
class Campaign(ABC, Generic[W]):
    """The walks of one plan in one kind of world, and what came of those that were made; kept in a JSON file after each.

    `walks` may be shared by campaigns with different victims.
    """

    path: Path
    plan: Profile
    json: Path
    say: Callable[[str], None]
    walks: dict[str, dict[str, Any]] = field(default_factory=dict)
    victims: tuple[str, ...] = VICTIMS

    def __post_init__(self) -> None:
        self.loaded: Plan = load_plan(self.path).plan
        self.ways = {"back": back_marks(self.loaded, self._undone()), "forward": forward_marks(self.loaded)}
        self.planned = dict(self._planned())
        self.names = tuple(self.planned)
        self._forward: Record | None = None
        self._back: Record | None = None
        self._number = 0

    @property
    def back_from(self) -> str:
        """The step at which the way back is set off: the last sign-off, with everything before it done."""
        return [step.id for step in self.loaded.itinerary if step.kind == "sign_off"][-1]

    @property
    def points(self) -> int:
        return sum(walk["points"] for walk in self.walks.values())

    @property
    def passed(self) -> int:
        return sum(walk["passed"] for walk in self.walks.values())

    def load(self) -> None:
        """Take what the file says was tried and passed; what failed is tried again."""
        if self.json.is_file():
            found = json.loads(self.json.read_text())["walks"]
            self.walks |= {name: walk for name, walk in found.items() if not walk["failures"] and name in self.planned}

    def run(self, world: W, names: Iterable[str]) -> None:
        """Make these walks, the ones without kills first."""
        todo = list(names)
        self._forward = self._reference(world, "forward")
        if any(self.planned[name].way == "back" for name in todo):
            self._back = self._reference(world, "back")
        for name in todo:
            planned = self.planned[name]
            expected = self._forward if planned.way == "forward" else self._back
            marks = (*planned.marks, *planned.perhaps)
            walked = self._undisturbed(lambda p=planned, m=marks: self._numbered(world, p.way, p.victim, m), planned.way)  # type: ignore[misc]
            self._tally(name, planned, walked, expected)

    def _undisturbed(self, walk: Callable[[], Walkable], way: str) -> Walked:
        """Walk; again when the machine was so busy that the plan's own triggers took the release back, and that is right."""
        for _ in range(TRIES):
            walked = walk().go()
            taken_back = walked.record is not None and walked.record.outcome == "rolled_back"
            said = " ".join(walked.record.notices) if walked.record is not None else ""
            if way == "back" or not taken_back or not ("fires" in said or "FAIL:" in said):
                break
            self.say(f"   {walked.rollout_id} was taken back by what was measured: {said[-300:]}; walked again")
        return walked

    def summary(self) -> str:
        return f"{self.points} points tried, {self.passed} passed"

    def _undone(self) -> list[PlannedStep]:
        return list(takewhile(lambda step: step.id != self.back_from, self.loaded.itinerary))

    def _planned(self) -> Iterable[tuple[str, Planned]]:
        for victim in self.victims:
            for way, all_marks in self.ways.items():
                own = victim in ("self", "ledger")
                # A gate that has to wait crashes once more while it waits.
                perhaps = list(walks(sometimes(self.loaded))) if own and way == "forward" else []
                chosen = all_marks if own else journaled(all_marks) if victim == "twice" else bystanders(all_marks)
                groups = [tuple(chosen)] if victim == "worker" else walks(chosen)  # the flow lives on: no step crashes
                for number, group in enumerate(groups):
                    more = perhaps[number] if number < len(perhaps) else ()
                    yield f"{way}/{victim}/{number + 1}", Planned(way, victim, group, more)

    def _numbered(self, world: W, way: str, victim: str, marks: tuple[Mark, ...] = ()) -> Walkable:
        self._number += 1
        return self._walk(world, way, victim, marks, f"1.0.{self._number}")

    @abstractmethod
    def _walk(self, world: W, way: str, victim: str, marks: tuple[Mark, ...], version: str) -> Walkable:
        """A rollout of this version in which `victim` is killed at these marks; not yet begun."""

    @abstractmethod
    def _is_traced(self, mark: Mark) -> bool:
        """Whether a process in this world says that it passes such a mark."""

    @property
    def _by_hand(self) -> str:
        """A trigger of the plan that a person sets off."""
        triggers = self.loaded.triggers_at(self.loaded.phase_names[0])
        return next(name for name, trigger in triggers.items() if trigger.when is None)

    def _reference(self, world: W, way: str) -> Record:
        """A walk without kills; what it passes is compared with what the plan says it passes."""
        walked = self._undisturbed(lambda: self._numbered(world, way, self.victims[0]), way)
        expected = {str(mark) for mark in self.ways[way] if self._is_traced(mark)}
        may = {str(mark) for mark in (*sometimes(self.loaded), *by_chance(self.loaded))}
        left_out, not_there = walked.trace - expected - may, expected - walked.trace
        if walked.failures or walked.record is None or left_out or not_there:
            raise SystemExit(
                f"without a kill, {way}: {walked.failures or ''}\n"
                f"  passed and not enumerated: {sorted(left_out)}\n  enumerated and not passed: {sorted(not_there)}"
            )
        self.say(f"   without a kill, {way}: {walked.record.outcome}, {len(walked.trace)} marks, {walked.seconds:.0f} s")
        return walked.record

    def _tally(self, name: str, planned: Planned, walked: Walked, expected: Record | None) -> None:
        wanted = {str(mark) for mark in planned.marks}
        found = [*walked.failures]
        if walked.record is not None and expected is not None:
            found += differences(walked.record, expected)
        missed = wanted - set(walked.reached)
        tried = sorted(wanted | set(walked.reached))
        blamed = {mark for mark in tried if any(_place(mark) in failure for failure in found)} or (
            set(tried) if found else set()
        )
        failed = blamed | missed
        self.walks[name] = {
            "rollout": walked.rollout_id,
            "points": len(tried),
            "passed": len(tried) - len(failed),
            "failures": [
                *({"point": f"{name} {mark}", "found": "it was not passed"} for mark in sorted(missed)),
                *({"point": f"{name} {mark}", "found": found} for mark in sorted(blamed - missed)),
            ],
            "seconds": round(walked.seconds, 1),
        }
        self._write()
        self.say(
            f"{name:<20} {len(tried):>3} points, {len(tried) - len(failed):>3} passed, {walked.seconds:>4.0f} s; "
            f"so far {self.summary()}"
        )
        for failure in [*found, *(f"not passed: {mark}" for mark in sorted(missed))][:12]:
            self.say(f"     ✗ {failure}")

    def _write(self) -> None:
        failures = [failure for walk in self.walks.values() for failure in walk["failures"]]
        kept = {"points": self.points, "passed": self.passed, "failures": failures, "walks": self.walks}
        self.json.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n")


def _place(mark: str) -> str:
    return mark.partition(":")[2].partition("/")[0]


class Forked(Campaign[World]):
    """Of processes that the harness forks. Walks back begin where a rollout without kills had gone to."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._snapshot: tuple[Snapshot, str] | None = None

    def run(self, world: World, names: Iterable[str]) -> None:
        """Make these walks, the ones without kills first."""
        self._snapshot = None
        super().run(world, names)

    def _is_traced(self, mark: Mark) -> bool:
        return True

    def _walk(self, world: World, way: str, victim: str, marks: tuple[Mark, ...], version: str) -> Walk:
        if way == "forward":
            walk = Walk(world, self.plan, version, victim=victim, marks=marks)
            if self._snapshot is None:
                walk.rest_at, walk.at_rest = self.back_from, lambda: self._keep(world, walk)
            return walk
        assert self._snapshot is not None
        snapshot, rollout_id = self._snapshot
        world.put_back(snapshot, lambda: self._migrate(rollout_id))
        return Walk(
            world,
            self.plan,
            version,
            victim=victim,
            marks=marks,
            back_from=self.back_from,
            trigger=self._by_hand,
            resumed=rollout_id,
        )

    def _keep(self, world: World, walk: Walk) -> None:
        self._snapshot = (world.keep(), walk.rollout_id)

    def _migrate(self, rollout_id: str) -> None:
        workspace = Workspace.open(rollout_id, 0)
        if "database" in workspace.plan.targets:
            folder = workspace.settings.plans / workspace.plan.name / "migrations"
            migrations.migrate_up(workspace.database_url("database"), folder)


class Staffed(Campaign[Staff]):
    """Of what a worker starts; only the flow says where it is."""

    def _is_traced(self, mark: Mark) -> bool:
        return mark.process == "flow"

    def _walk(self, world: Staff, way: str, victim: str, marks: tuple[Mark, ...], version: str) -> StaffedWalk:
        walk = StaffedWalk(world, self.plan.name, version, victim=victim, marks=marks)
        return walk.back(self.back_from, self._by_hand) if way == "back" else walk
