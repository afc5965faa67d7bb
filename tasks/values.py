"""Named values that the watch changes for a trigger, and puts back: once a trigger with `recover` has recovered, and all
of them on the way back.

What is put back is what stood before the first change, and only where the target still reads as the watch left it: a value
that somebody set meanwhile is theirs.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from chrysalis.clock import utc_now
from chrysalis.errors import ChrysalisError, LedgerUnavailable
from gates.ladder import Ladder
from gates.trigger import Trigger, TriggerState
from tasks.notify import tell
from tasks.step import log
from tasks.workspace import Workspace

ACTOR = "watch"
_SET = "set "


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
        action=f"{_SET}{target}",
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


def changed_values(workspace: Workspace) -> bool:
    """Whether any value was changed in this rollout by a trigger or a ladder."""
    return any(one.action.startswith(_SET) for one in workspace.ledger.actions(workspace.rollout.id))


def to_put_back(workspace: Workspace) -> dict[str, dict[str, Any]]:
    """Target to the values that stood before the watch (or a person, by a ladder) changed them in this rollout.

    Read from the recorded changes, newest first: each one counts where the target reads as that change left it. So a value
    that a step changed in between, and whose step is undone, goes all the way back. A ladder on a last rung that only a
    person may leave keeps its values.
    """
    actions = workspace.ledger.actions(workspace.rollout.id)
    changes = [(one.action.removeprefix(_SET), one) for one in actions if one.action.startswith(_SET)]
    wanted: dict[str, dict[str, Any]] = {}
    for target in dict.fromkeys(target for target, _ in changes):
        now = workspace.switchboard(target).read()
        stood = dict(now)
        for _, change in reversed([one for one in changes if one[0] == target]):
            undone = {name: value for name, value in change.before.items() if stood.get(name) == change.after.get(name)}
            stood |= undone
        kept = {name for ladder in held_ladders(workspace) if ladder.target == target for name in ladder.value_names}
        differing = {name: value for name, value in stood.items() if name not in kept and value != now.get(name)}
        wanted |= {target: differing} if differing else {}
    return wanted


def held_ladders(workspace: Workspace) -> list[Ladder]:
    """The ladders that stand on a last rung which only a person may leave."""
    moved = {one.action: one.after for one in workspace.ledger.actions(workspace.rollout.id)}
    ladders = workspace.plan.ladders.items()
    return [
        ladder
        for name, ladder in ladders
        if ladder.last_rung_needs_a_person and moved.get(f"ladder {name}") == ladder.modes[-1]
    ]


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
