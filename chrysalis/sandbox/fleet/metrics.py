"""What an instance says of itself, under the names of TRIAD's document. The label `instance` comes from the scrape."""

from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from chrysalis.sandbox.fleet.layout import LAYERS

if TYPE_CHECKING:
    from chrysalis.sandbox.fleet.instance import Instance

AMPLIFICATION = {"R2": ("r2_alpha", 2.07), "R3": ("r3_beta", 3.28), "R4": ("r4_gamma", 2.20), "R5": ("r5_delta", 4.95)}
"""What each layer multiplies the one below it by, as the document expects; R6 is apart, it is optional."""
STRATEGIC = ("r6_epsilon", 5.81)
BASELINE_HOURS = 5.1
"""Burden of the work by hand per instance and week; each layer multiplies what is saved of it."""
GAUGES: dict[str, dict[str, float]] = {
    "R1": {"r1_sovereignty_score": 0.95, "r1_baseline_burden_hours": BASELINE_HOURS},
    "R2": {"r2_bridges_active": 6, "r2_burden_reduction_hours": 3.4},
    "R3": {"r3_triggers_detected": 24, "r3_frameworks_composed": 8, "r3_composition_success_rate": 0.97},
    "R4": {"r4_composition_success_rate": 0.96, "r4_meta_frameworks_active": 5},
    "R5": {"r5_meta_meta_frameworks_active": 3, "r5_cross_instance_operations": 40},
    "R6": {"r6_hyper_meta_frameworks_active": 2},
}
SAVED_HOURS = {"R2": 3.4, "R3": 6.0, "R4": 40.0, "R5": 190.0, "R6": 470.6}
"""Burden saved a week by each layer on one instance: about 10.2 by R2 and 2,130 by all on three, as the document expects."""


class InstanceMetrics:
    """The metrics of one instance; those of a layer exist only while it is on."""

    def __init__(self, name: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry, self._manager = CollectorRegistry(), CollectorRegistry()
        registry = self._registry
        self._layers = CollectorRegistry()
        self.enabled = Gauge("layer_enabled", "1 for a layer that is on.", ["layer"], registry=self._manager)
        self.total = Counter("framework_operations_total", "Operations.", registry=registry)
        # The document's own names, without the ending that the client gives to a Counter.
        self.failed = Gauge("framework_operations_errors", "Operations that failed.", registry=registry)
        self.success = Gauge("framework_operations_success", "Operations that succeeded.", registry=registry)
        self.fires = Counter("framework_fires", "Frameworks that fired.", registry=registry)
        self.cascades = Counter("framework_cascade_failures", "Failures that spread.", registry=registry)
        self.queue = Gauge("framework_operation_queue_depth", "Operations waiting.", registry=registry)
        self.duration = Histogram("operation_duration_seconds", "Time of an operation.", registry=registry)
        self.error = Gauge("consensus_error", "Largest distance from the mean.", registry=registry)
        self.time = Gauge("consensus_time_seconds", "How long the last agreement took.", registry=registry)
        self.converged = Gauge("consensus_converged", "1 while the instances agree.", registry=registry)
        self.value = Gauge("consensus_state", "This instance's part of the consensus.", registry=registry)
        self.cpu = Gauge("instance_cpu_utilisation", "Share of the processor in use.", registry=registry)
        self.saved = Gauge("burden_saved_hours", "Hours a week that the layers save.", registry=registry)

    def worked(self, operations: int, failed: int, *, seconds: float) -> None:
        """Count one round of operations."""
        self.total.inc(operations)
        self.failed.inc(failed)
        self.success.inc(operations - failed)
        self.fires.inc(operations)
        for _ in range(operations):
            self.duration.observe(seconds)

    def measure(self, instance: "Instance") -> None:
        """Set what is not counted."""
        faults = instance.faults
        for layer in LAYERS:
            self.enabled.labels(layer).set(layer in instance.layers)
        self.error.set(instance.error)
        self.time.set(instance.took_s + float(faults["consensus_s"]))
        self.cascades.inc(float(faults["cascade_failures"]))
        self.converged.set(instance.converged)
        self.value.set(instance.value)
        self.cpu.set(float(faults["cpu"]))
        self.queue.set(5 + float(faults["queue_depth"]))
        self.saved.set(sum(SAVED_HOURS.get(layer, 0.0) for layer in instance.layers))
        self._layers = _of_layers(instance.layers, instance.orchestrations, faults)

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self._registry) + generate_latest(self._layers)

    def manager_text(self) -> bytes:
        """What the layer manager of the instance says: which layers are on."""
        return generate_latest(self._manager)


def _of_layers(layers: set[str], orchestrations: int, faults: dict[str, Any]) -> CollectorRegistry:
    registry = CollectorRegistry()

    def show(name: str, value: float) -> None:
        Gauge(name, name.replace("_", " "), registry=registry).set(value)

    for layer in sorted(layers):
        for name, value in GAUGES[layer].items():
            show(name, value * (float(faults["composition"]) if name.endswith("success_rate") else 1.0))
        if layer in AMPLIFICATION:
            letter, expected = AMPLIFICATION[layer]
            show(f"{letter}_amplification", expected * float(faults["amplification"]) * float(faults[letter]))
    if orchestrations:
        letter, expected = STRATEGIC
        show("r6_strategic_orchestrations", orchestrations)
        show(f"{letter}_amplification", expected * float(faults["amplification"]) * float(faults[letter]))
    return registry
