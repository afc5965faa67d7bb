"""Where everything of a sandbox lies below its folder, and on which ports it listens."""

import hashlib
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from chrysalis.sandbox.ports import free_ports

SIDES = ("stable", "canary")
# A unix socket's path may have 107 characters; PostgreSQL adds `/.s.PGSQL.5432`.
_LONGEST_SOCKET_FOLDER = 90


@dataclass(frozen=True, slots=True)
class Ports:
    """All on 127.0.0.1."""

    envoy: int
    envoy_admin: int
    prometheus: int
    stable: int
    canary: int

    @classmethod
    def choose(cls) -> "Ports":
        """Five that are free now."""
        return cls(*free_ports(5))

    def as_dict(self) -> dict[str, int]:
        """By name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths below one sandbox's folder."""

    folder: Path

    @property
    def state(self) -> Path:
        """`state.json`: ports, urls, pids and paths, for whoever wants to use the sandbox."""
        return self.folder / "state.json"

    @property
    def wanted(self) -> Path:
        """Which parts shall run; the keeper follows it."""
        return self.folder / "wanted.json"

    @property
    def logs(self) -> Path:
        """One log per part."""
        return self.folder / "logs"

    @property
    def route_file(self) -> Path:
        """Alone in its folder, since Envoy watches that."""
        return self.folder / "routes" / "rds.json"

    @property
    def postgres_data(self) -> Path:
        """PostgreSQL's data; for root outside of the folder, which the user that PostgreSQL runs as may not enter."""
        return self.postgres_short if os.geteuid() == 0 else self.folder / "postgres"

    @property
    def postgres_socket(self) -> Path:
        """The folder of PostgreSQL's socket: the data folder, or a short one where that path is too long for a socket."""
        data = self.postgres_data
        return data if len(str(data)) <= _LONGEST_SOCKET_FOLDER else self.postgres_short

    @property
    def postgres_short(self) -> Path:
        """A folder of this sandbox alone with a short path; made with mode 0700 and removed at the end."""
        name = hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"chrysalis-pg-{os.geteuid()}-{name}"

    @property
    def wal_archive(self) -> Path:
        """Where PostgreSQL archives its log; beside its data folder, and of the same user."""
        return self.postgres_data.with_name(self.postgres_data.name + "-log")

    @property
    def postgres_standby(self) -> Path:
        """The data folder and socket of a read replica, where a system has one."""
        return self.postgres_short.with_name(self.postgres_short.name + "-standby")

    @property
    def postgres_folders(self) -> tuple[Path, ...]:
        """All of PostgreSQL's; they may lie outside of the sandbox's folder, and whoever ends the sandbox removes them."""
        return (self.postgres_data, self.postgres_short, self.wal_archive, self.postgres_standby)

    @property
    def prometheus_data(self) -> Path:
        """Prometheus's blocks."""
        return self.folder / "prometheus"

    @property
    def service_config(self) -> Path:
        """What the service's configuration API serves; both versions share it."""
        return self.folder / "service-config.json"

    @property
    def load_log(self) -> Path:
        """One JSON line per request that the generator sent."""
        return self.folder / "load.jsonl"

    @property
    def control(self) -> Path:
        """What can be changed while it runs: `rate_rps`, `header_share`, `plan_speed`."""
        return self.folder / "control.json"

    def faults(self, side: str) -> Path:
        """The faults of one side; they last over its restarts."""
        return self.folder / f"faults-{side}.json"

    @property
    def leftovers(self) -> tuple[Path, ...]:
        """What an earlier sandbox in the same folder left and the next one must not see."""
        names = (self.state, self.wanted, self.service_config, self.load_log, self.control)
        writes = self.service_config.with_suffix(".writes.jsonl")
        rotated = self.load_log.with_name(self.load_log.name + ".1")
        folders = (*self.postgres_folders, self.prometheus_data, self.route_file.parent, self.logs)
        fleet = (
            *self.folder.glob("fleet*.json"),
            self.folder / "redis.json",
            self.folder / "rules",
            self.folder / "backups",
            *self.folder.glob("instance-*.json"),
            self.folder / "control-state.json",
        )
        return (*names, writes, rotated, *fleet, *folders, *(self.faults(side) for side in SIDES))
