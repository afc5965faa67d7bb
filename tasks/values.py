"""Named values that the watch changes for a trigger, and puts back once a trigger with `recover` has recovered.

What is put back is what stood before the first change, and only where the target still reads as the watch left it: a value
that somebody set meanwhile is theirs.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from chrysalis.clock import utc_now
from chrysalis.errors import ChrysalisError, LedgerUnavailable
from gates.trigger import Trigger, TriggerState
from tasks.notify import tell
from tasks.step import log
from tasks.workspace import Workspace

ACTOR = "watch"


class Change(NamedTuple):
    """Values of one target, before and after."""

    target: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]


def set_values(workspace: Workspace, target: str, changes: Mapping[str, Any], cause: str, *, actor: str = ACTOR) -> Change:
    """Write the values, read back, and record it with its cause. Raises TargetError, StaleToken."""
    switchboard = workspace.switchboard(target)
    stood = switchboard.read()
    now = switchboard.write(changes, workspace.stamp(f"watch.{target}"))
    change = Change(target, _only(stood, changes), _only(now, changes))
    workspace.ledger.record_action(
        workspace.rollout.id,
        None,
        actor=actor,
        action=f"set {target}",
        before=change.before,
        after=change.after,
        cause=cause,
        now=utc_now(),
    )
    return change


def remember(kept: Mapping[str, Any], trigger: str, change: Change) -> dict[str, Any]:
    """`kept` (trigger to its change) with this one; of a change made again, what stood before the first one counts."""
    earlier = kept.get(trigger, {})
    stood = {**change.before, **earlier.get("before", {})}
    after = {**earlier.get("after", {}), **change.after}
    return {**kept, trigger: {"target": change.target, "before": stood, "after": after}}


def put_back(
    workspace: Workspace, triggers: Mapping[str, Trigger], states: Mapping[str, Any], kept: Mapping[str, Any]
) -> dict[str, Any]:
    """Put back the values of every trigger that has recovered, and tell; returns what is still changed.

    What could not be put back stays, and is tried again at the next look.
    """
    left = dict(kept)
    for name, change in kept.items():
        if name not in triggers or name not in states or TriggerState.from_json(states[name]).firing:
            continue
        try:
            _put_back_one(workspace, name, change)
        except LedgerUnavailable:
            raise
        except ChrysalisError as error:
            log().error("%s: %s recovered; putting back is tried again: %s", workspace.rollout.id, name, error)
            continue
        del left[name]
        left = {other: _based_on(kept[other], change) for other in left}
        said = f"{name} recovered: {', '.join(f'{one}={value}' for one, value in change['before'].items())}"
        tell(workspace, "info", said, "what was changed for it is put back", channels=triggers[name].notify)
    return left


def _put_back_one(workspace: Workspace, name: str, change: Mapping[str, Any]) -> None:
    now = workspace.switchboard(change["target"]).read()
    ours = {one: value for one, value in change["before"].items() if now.get(one) == change["after"].get(one)}
    if ours:
        set_values(workspace, change["target"], ours, f"{name} recovered")


def _based_on(later: Mapping[str, Any], gone: Mapping[str, Any]) -> dict[str, Any]:
    """A change that was made on top of the one that is put back: what stood before it is what stood before that one."""
    if later["target"] != gone["target"]:
        return dict(later)
    stood = {
        name: gone["before"][name] if name in gone["after"] and gone["after"][name] == value else value
        for name, value in later["before"].items()
    }
    return {**later, "before": stood}


def _only(values: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values.get(name) for name in names}
