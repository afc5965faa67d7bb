"""The moves that tables are made of. Each looks at the real thing: the ledger, the target, the channel's file."""

from chrysalis.targets.base import Value
from tasks import operations, rolling_back, triggers
from tasks.ladders import modes_now
from tests.systems.running import Running, lines_of
from tests.systems.table import Move

ON_CALL = "elena"
"""Holds engineering_oncall: may operate, roll back, and set triggers off."""


def at(soak: str, within_s: float = 200.0) -> Move:
    """Until the rollout is watched in that soak (`phase.name`)."""

    def soaks(running: Running) -> bool:
        waits = [one for one in running.ledger.waits(running.id) if one.kind == "soak" and one.is_open and one.watched_s]
        return any(f"{(step := running.plan.step(one.step_id)).phase}.{step.title}" == soak for one in waits)

    return Move(f"watched in {soak}", until=soaks, within_s=within_s)


def done(step: str, within_s: float = 200.0) -> Move:
    """Until that step (`phase.name`) is done."""
    return Move(f"done: {step}", until=lambda running: f"done {step}" in running.record(), within_s=within_s)


def fault(**faults: float | str) -> Move:
    """Faults of the new version."""
    return Move(f"!! {faults}", do=lambda running: running.fault(**faults))


def healed() -> Move:
    """All faults off."""
    return Move("faults off", do=lambda running: running.sandbox.clear_faults("canary"))


def mode(to: str, ladder: str = "mode", within_s: float = 60.0) -> Move:
    """Until the ladder stands there."""
    return Move(f"{ladder} is {to}", until=lambda running: modes_now(running.id)[ladder] == to, within_s=within_s)


def value(name: str, wanted: Value, target: str = "config", within_s: float = 40.0) -> Move:
    """Until the target itself says so."""

    def reads(running: Running) -> bool:
        return running.workspace.switchboard(target).read().get(name) == wanted

    return Move(f"{target} {name} is {wanted!r}", until=reads, within_s=within_s)


def told(channel: str, title: str, within_s: float = 60.0) -> Move:
    """Until the channel of that name got a notice of this rollout with these words in its title."""

    def arrived(running: Running) -> bool:
        address = running.workspace.variables[channel].removeprefix("file:")
        return any(title in one["title"] and one["rollout_id"] == running.id for one in lines_of(address))

    return Move(f"{channel} is told: {title}", until=arrived, within_s=within_s)


def weight(percent: int, *, bypassed: bool | None = None, target: str = "traffic") -> Move:
    """Until the router itself says so, and, where it is asked for, whether a header bypasses it."""

    def reads(running: Running) -> bool:
        split = running.workspace.router(target).read()
        return split.canary_percent == percent and bypassed in (None, split.bypassed)

    header = "" if bypassed is None else f", header {'open' if bypassed else 'closed'}"
    return Move(f"{target} is at {percent} %{header}", until=reads)


def operation(name: str, by: str = ON_CALL) -> Move:
    """Run one of the plan's operations, as the command line does."""
    return Move(f"operation {name}", do=lambda running: list(operations.run(running.id, name, by)))


def set_off(trigger: str, by: str = ON_CALL) -> Move:
    """Set a manual trigger off."""
    return Move(
        f"{trigger} is set off by {by}", do=lambda running: triggers.set_off(running.id, trigger, by=by, reason="case")
    )


def taken_back(by: str = ON_CALL) -> Move:
    """A person asks for the way back."""
    return Move(
        f"{by} asks for the way back",
        do=lambda running: rolling_back.ask_as(by, running.id, "roll_back", reason="case"),
    )


def going_back(within_s: float = 60.0) -> Move:
    """Until the way back has begun."""
    return Move("going back", until=lambda running: "begun rollback" in running.record(), within_s=within_s)
