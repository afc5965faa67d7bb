"""What a fleet is made of, and where its files lie. Written once when the sandbox starts; every process of it reads it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from chrysalis.sandbox.files import JsonFile, write_json
from chrysalis.sandbox.ports import free_ports

LAYERS = ("R1", "R2", "R3", "R4", "R5", "R6")
OPTIONAL = ("R6",)
FILE = "fleet.json"


@dataclass(frozen=True, slots=True)
class Fleet:
    """Instances by name with their port and region, and the port of the control. All on 127.0.0.1."""

    folder: str
    control_port: int
    ports: dict[str, int]
    regions: dict[str, str]

    @classmethod
    def make(cls, folder: Path, instances: dict[str, str]) -> "Fleet":
        """A new one: `instances` is instance to region."""
        control, *ports = free_ports(1 + len(instances))
        return cls(str(folder), control, dict(zip(instances, ports, strict=True)), dict(instances))

    def save(self) -> None:
        write_json(Path(self.folder) / FILE, asdict(self))

    @classmethod
    def load(cls, folder: Path) -> "Fleet | None":
        """The fleet of this sandbox; None where it has none."""
        path = folder / FILE
        return cls(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None

    @property
    def control_url(self) -> str:
        return f"http://127.0.0.1:{self.control_port}"

    def url(self, instance: str) -> str:
        return f"http://127.0.0.1:{self.ports[instance]}"

    def state_file(self, instance: str) -> Path:
        """What an instance keeps over a restart: its layers and its part of the consensus."""
        return Path(self.folder) / f"instance-{instance}.json"

    @property
    def control_file(self) -> Path:
        """What the control keeps: versions, the region that serves, who wrote last, the history of operations."""
        return Path(self.folder) / "control-state.json"

    @property
    def faults(self) -> JsonFile:
        """What is wrong with the fleet, by name (see `FAULTS`)."""
        return JsonFile(Path(self.folder) / "fleet-faults.json")


FAULTS = {
    "error_rate": 0.0,  # share of the framework operations that fail
    "diverging": "",  # an instance that hears nobody and drifts
    "amplification": 1.0,  # factor on every amplification
    "r2_alpha": 1.0,  # factor on the amplification of one layer
    "r3_beta": 1.0,
    "r4_gamma": 1.0,
    "r5_delta": 1.0,
    "r6_epsilon": 1.0,
    "cascade_failures": 0.0,  # failures a second that spread from framework to framework
    "consensus_s": 0.0,  # added to the time to consensus
    "composition": 1.0,  # factor on the success rate of compositions
    "p0_open": 0.0,  # incidents of the highest priority that are open
    "missing_records": 0.0,
    "integrity_failures": 0.0,
    "queue_depth": 0.0,  # added to the operations in the queue
    "operation_s": 0.0,  # added to the duration of an operation
    "cpu": 0.35,
    "database_fill": 0.2,
    "backup_age_s": 0.0,
    "restore_test_age_s": 0.0,
    "replication_lag_s": 0.0,
}
"""Every fault and its normal value."""
