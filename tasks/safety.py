"""Safe first: take traffic off the canary now, verified, by whoever sees the need; everything else follows.

Used by the watch, by the command line, and as the first step of every way back. It needs the ledger and the router, and
nothing of Prefect.
"""

from typing import Any

from chrysalis.clock import utc_now
from chrysalis.errors import TargetError, TargetUnavailable
from chrysalis.targets.base import Split, TrafficRouter
from tasks.workspace import Workspace


def make_safe(workspace: Workspace, percent: int, *, actor: str, cause: Any) -> dict[str, int]:
    """Take every router that carries more than `percent` down to it, read back. Returns the weight of each router after.

    To 0 it takes away the routes that bypass the weight as well: a header that still reaches a bad version is not safe.
    Never raises a weight; in a dry run changes none. Raises TargetError when a router could not be taken down, and
    TargetUnavailable when it was only out of reach; the others were still done.
    """
    after: dict[str, int] = {}
    troubles: list[str] = []
    refused = False
    for name, router in workspace.routers().items():
        try:
            split = _read_or_take_off(router, percent, workspace, name)
            before, bypassed = split.canary_percent, split.bypassed and percent == 0
            if (before > percent or bypassed) and not workspace.rollout.dry_run:
                router.write(percent, workspace.stamp(f"safe.{name}"))
            after[name] = before if workspace.rollout.dry_run else min(before, percent)
        except TargetError as error:
            troubles.append(f"{name}: {error}")
            refused = refused or not isinstance(error, TargetUnavailable)
            continue
        if before > after[name] or (bypassed and not workspace.rollout.dry_run):
            way = f"{name}.bypassed"
            workspace.ledger.record_action(
                workspace.rollout.id,
                None,
                actor=actor,
                action="make_safe",
                before={name: before, **({way: True} if bypassed else {})},
                after={name: after[name], **({way: False} if bypassed else {})},
                cause=cause,
                now=utc_now(),
            )
    if troubles:
        raise (TargetError if refused else TargetUnavailable)("; ".join(troubles))
    return after


def _read_or_take_off(router: TrafficRouter, percent: int, workspace: Workspace, name: str) -> Split:
    """What the router says. One that cannot be asked may still hear that everything is to be taken off; then it raises."""
    try:
        return router.read()
    except TargetUnavailable:
        if percent == 0 and not workspace.rollout.dry_run:
            router.write(0, workspace.stamp(f"safe.{name}"))
        raise
