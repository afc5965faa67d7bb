"""What the watch knew last of the rollouts it guards, kept in local files: for a watch that starts while the ledger is down.

One file for each rollout, written anew only when something of it changed, and one for each plan. They are no record: the
ledger is, and as soon as it answers they are not read. Old ones are not believed. Without a watch no weight goes up and
no soak is counted, so in the meantime a rollout can only have been taken back; and who wrote to a router since has a newer
stamp, which the router does not let be overwritten.
"""

import json
import os
import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from chrysalis.errors import PlanError
from chrysalis.ledger import Baseline, Guarded, Ledger, Rollout, canonical_json
from chrysalis.plan import Plan, parse_plan
from tasks.judging import States
from tasks.step import log

BELIEVED_FOR = timedelta(hours=1)
_SEEN = "seen"
"""The file whose time says when the ledger was last seen to say the same."""
_ROLLOUT, _PLAN = ".json", ".yaml"


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of one rollout beside its plan and how far its triggers are."""

    guarded: Guarded
    baselines: tuple[Baseline, ...]
    split_at: datetime | None
    """When its weight was last changed, as far as a trigger asks for it."""


@dataclass(frozen=True, slots=True)
class Known:
    """One rollout as it was last known."""

    kept: Kept
    plan: Plan
    states: States


class LastKnown:
    """The files, below a folder that only their owner reads. A disk that takes nothing costs the copy, and is said once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kept: dict[str, Kept] = {}
        self._swept = self._fails = False

    def keep(self, seen: Collection[Kept], ledger: Ledger) -> None:
        """The ledger was reached and this is what stands in it. Raises LedgerUnavailable."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for one in seen:
                row = one.guarded.rollout
                if not _same(self._kept.get(row.id), one):
                    self._keep_plan(row, ledger)
                    self._write(one, one.guarded.trigger_states)
                    self._kept[row.id] = one
            self._drop_others({one.guarded.rollout.id for one in seen})
            (self.folder / _SEEN).touch(mode=0o600)
            self._fails = False
        except OSError as error:
            self._fail(error)

    def note(self, kept: Kept, states: States) -> None:
        """Something was done from memory: a watch that starts before the ledger is back must not do it again."""
        try:
            self._write(kept, states.as_json())
            # Written anew as soon as the ledger is back, whatever it says then.
            self._kept.pop(kept.guarded.rollout.id, None)
        except OSError as error:
            self._fail(error)

    def forget(self) -> None:
        """Another watch has taken over: what this one kept gets old, unless that one keeps it up to date on this machine."""
        if self._kept:
            self._kept = {}
            (self.folder / _SEEN).unlink(missing_ok=True)

    def known(self) -> tuple[Known, ...]:
        """All that is believed; nothing when the files are too old. What cannot be read is reported and left out."""
        try:
            age_s = time.time() - (self.folder / _SEEN).stat().st_mtime
        except FileNotFoundError:
            return ()
        if age_s > BELIEVED_FOR.total_seconds():
            log().error("%s is %.0f min old: too old to act on while the ledger is out of reach", self.folder, age_s / 60)
            return ()
        return tuple(one for path in sorted(self.folder.glob(f"*{_ROLLOUT}")) if (one := self._read(path)) is not None)

    def _keep_plan(self, row: Rollout, ledger: Ledger) -> None:
        path = self.folder / f"{row.plan_hash}{_PLAN}"
        if not path.exists():
            _replace(path, ledger.plan_text(row.id))

    def _write(self, one: Kept, states: Mapping[str, Any]) -> None:
        guarded = one.guarded
        kept = {
            "rollout": _plain(guarded.rollout),
            "armed_at": guarded.armed_at.isoformat() if guarded.armed_at else None,
            "triggers": guarded.triggers,
            "states": states,
            "baselines": [_plain(baseline) for baseline in one.baselines],
            "split_at": one.split_at.isoformat() if one.split_at else None,
        }
        _replace(self.folder / f"{guarded.rollout.id}{_ROLLOUT}", canonical_json(kept))

    def _drop_others(self, active: Collection[str]) -> None:
        """Forget those that have ended, and plans that nobody follows any more."""
        gone = self._kept.keys() - active
        if self._swept and not gone:
            return
        self._swept = True
        for path in self.folder.glob(f"*{_ROLLOUT}"):
            if path.name.removesuffix(_ROLLOUT) not in active:
                path.unlink(missing_ok=True)
        for rollout_id in gone:
            del self._kept[rollout_id]
        followed = {one.guarded.rollout.plan_hash for one in self._kept.values()}
        for path in self.folder.glob(f"*{_PLAN}"):
            if path.name.removesuffix(_PLAN) not in followed:
                path.unlink(missing_ok=True)

    def _read(self, path: Path) -> Known | None:
        try:
            kept = json.loads(path.read_text())
            row = _record(Rollout, kept["rollout"])
            armed_at = datetime.fromisoformat(kept["armed_at"]) if kept["armed_at"] else None
            text = (self.folder / f"{row.plan_hash}{_PLAN}").read_text()
            guarded = Guarded(row, armed_at, kept["triggers"], kept["states"], ())
            baselines = tuple(_record(Baseline, one) for one in kept["baselines"])
            split_at = datetime.fromisoformat(kept["split_at"]) if kept["split_at"] else None
            known = Kept(guarded, baselines, split_at)
            return Known(known, parse_plan(text, str(path)).plan, States.from_json(kept["states"]))
        except (OSError, ValueError, KeyError, TypeError, PlanError) as error:
            log().error("%s cannot be read, so this rollout is not watched before the ledger is back: %s", path, error)
            return None

    def _fail(self, error: OSError) -> None:
        if not self._fails:
            log().error("%s: a watch that starts while the ledger is down would know nothing: %s", self.folder, error)
        self._fails = True


def _same(before: Kept | None, after: Kept) -> bool:
    """Whether nothing was read anew of what is kept; the waits are not, and are counted at every tick."""
    if before is None:
        return False
    was, now = before.guarded, after.guarded
    return (
        was.rollout is now.rollout
        and was.triggers is now.triggers
        and was.trigger_states is now.trigger_states
        and before.baselines is after.baselines
        and before.split_at == after.split_at
    )


def _plain(value: Rollout | Baseline) -> dict[str, Any]:
    return {name: one.isoformat() if isinstance(one, datetime) else one for name, one in asdict(value).items()}


def _record(kind: type[Any], kept: Mapping[str, Any]) -> Any:
    times = {part.name for part in fields(kind) if "datetime" in str(part.type)}
    return kind(**{name: datetime.fromisoformat(one) if name in times and one else one for name, one in kept.items()})


def _replace(path: Path, text: str) -> None:
    """Whole or not at all, whenever the process ends."""
    temporary = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    temporary.replace(path)
