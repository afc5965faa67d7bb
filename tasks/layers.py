"""Switch layers on and off on instances: dependencies first on the way up, dependents first on the way down; read back."""

from collections.abc import Iterator, Sequence

from chrysalis.errors import WriteNotVerified
from chrysalis.plan import PlannedStep
from chrysalis.plan.parts import Layers
from chrysalis.plan.steps import Activate, Deactivate
from tasks.step import Before, Done, step_task
from tasks.workspace import Workspace

Pair = tuple[str, str]
"""A layer and an instance."""


def active(workspace: Workspace, target: str) -> set[Pair]:
    """Every layer that is on, as the target itself says: its state holds `layers: {instance: [layer, ...]}`."""
    layers = workspace.operator(target).read().get("layers", {})
    return {(layer, instance) for instance, on in layers.items() for layer in on}


def read_before(workspace: Workspace, planned: PlannedStep, spec: Activate | Deactivate) -> Before:
    return {"active": sorted(active(workspace, spec.target))}


def run_activate(workspace: Workspace, planned: PlannedStep, spec: Activate, before: Before) -> Done:
    """Raises WriteRefused (a layer below is off), WriteNotVerified, TargetUnavailable, StaleToken."""
    pairs = list(_ordered(workspace, spec.target, spec.layers, spec.instances))
    switched = switch(workspace, spec.target, pairs, planned.id, on=True)
    return Done(_told(pairs, switched, "on"), {"switched": switched})


def run_deactivate(workspace: Workspace, planned: PlannedStep, spec: Deactivate, before: Before) -> Done:
    """Raises as activate."""
    pairs = list(_ordered(workspace, spec.target, spec.layers, spec.instances))[::-1]
    switched = switch(workspace, spec.target, pairs, planned.id, on=False)
    return Done(_told(pairs, switched, "off"), {"switched": switched})


def undo(workspace: Workspace, planned: PlannedStep, spec: Activate | Deactivate, before: Before) -> str:
    """Those of the step's layers that stood otherwise before are put back as they were."""
    stood = {(str(layer), str(instance)) for layer, instance in before.get("active") or ()}
    pairs = list(_ordered(workspace, spec.target, spec.layers, spec.instances))
    stamped = f"undo.{planned.id}"
    off = switch(workspace, spec.target, [pair for pair in pairs[::-1] if pair not in stood], stamped, on=False)
    on = switch(workspace, spec.target, [pair for pair in pairs if pair in stood], stamped, on=True)
    return f"{len(off)} switched off, {len(on)} on, as before"


def switch(workspace: Workspace, target: str, pairs: Sequence[Pair], step_id: str, *, on: bool) -> list[Pair]:
    """Switch each that is not so yet, one after the other, and read all back. Returns those that were switched."""
    operator = workspace.operator(target)
    now = active(workspace, target)
    switched = [pair for pair in pairs if (pair in now) is not on]
    action = "activate_layer" if on else "deactivate_layer"
    for layer, instance in switched:
        stamp = workspace.stamp(f"{step_id}.{layer}.{instance}")
        operator.operate(action, {"layer": layer, "instance": instance}, stamp)
    found = active(workspace, target)
    if wrong := [f"{layer} on {instance}" for layer, instance in pairs if ((layer, instance) in found) is not on]:
        raise WriteNotVerified(f"target {target}: {', '.join(wrong)} should be {'on' if on else 'off'}, and is not")
    return switched


def _ordered(workspace: Workspace, target: str, layers: Sequence[str], instances: Sequence[str]) -> Iterator[Pair]:
    """Bottom layer first, instance by instance."""
    spec = workspace.plan.targets[target]
    assert isinstance(spec, Layers)  # noqa: S101 - `plan check` refuses another kind
    return ((layer, instance) for instance in instances for layer in sorted(layers, key=spec.layers.index))


def _told(pairs: Sequence[Pair], switched: Sequence[Pair], word: str) -> str:
    by_instance: dict[str, list[str]] = {}
    for layer, instance in pairs:
        by_instance.setdefault(instance, []).append(layer)
    said = "; ".join(f"{', '.join(layers)} on {instance}" for instance, layers in by_instance.items())
    return f"{said}: {word}, read back ({len(switched)} of {len(pairs)} switched)"


activate = step_task("activate", run_activate, before=read_before, undo=undo)
deactivate = step_task("deactivate", run_deactivate, before=read_before, undo=undo)
