"""Envoy as traffic router: the split is a route file that Envoy watches, and it is read back from Envoy's own config dump.

A route file rather than Envoy's runtime: it survives a restart and a kill, and reads back as typed weights with the write's
own id. The write holds a file lock, so that of two processes one is first and the other sees its stamp. Two things decide
about a stale token: what Envoy has loaded, and the file itself, which counts when Envoy cannot be asked.

A share of 0 is a kill: the header overrides go with it, because a weight of 0 alone leaves them in place. `write_routing`
is the way to say "0 percent, but these headers".

With the admin interface out of reach, a write that takes traffic off the canary still goes into the file, since Envoy reads
it without the admin; it raises TargetUnavailable all the same, as nobody has seen it take effect. A write that adds traffic
is not written then.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx

from chrysalis.errors import StaleToken, TargetUnavailable, WriteNotVerified, WriteRefused
from chrysalis.targets.base import SideCounters, Split, Stamp
from chrysalis.targets.envoy_routes import Clusters, HeaderOverride, Loaded, Routing, loaded, render, written

POLL_S = 0.001
_REJECTIONS = ("update_rejected", "update_failure")


class EnvoyRouter:
    """A TrafficRouter over one Envoy. `overrides` hold whenever the share is above 0."""

    def __init__(
        self,
        admin_url: str,
        route_file: Path,
        *,
        clusters: Clusters | None = None,
        overrides: tuple[HeaderOverride, ...] = (),
        timeout_s: float = 2.0,
    ) -> None:
        self.admin_url = admin_url.rstrip("/")
        self.route_file = route_file
        self.clusters = clusters or Clusters()
        self.overrides = overrides
        self.timeout_s = timeout_s
        self._client = httpx.Client(base_url=self.admin_url, timeout=timeout_s, trust_env=False)

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self) -> Split:
        """What Envoy itself says it does now. Raises TargetUnavailable."""
        return _split(self._loaded())

    def read_routing(self) -> Routing:
        """The same with the overrides. Raises TargetUnavailable."""
        return self._loaded().routing

    def write(self, canary_percent: int, stamp: Stamp) -> Split:
        """Set the share and read it back; 0 removes the overrides too. Safe to repeat.

        Raises StaleToken, WriteRefused, WriteNotVerified, TargetUnavailable.
        """
        return self.write_routing(Routing(canary_percent, self.overrides if canary_percent > 0 else ()), stamp)

    def write_routing(self, routing: Routing, stamp: Stamp) -> Split:
        """Set share and overrides exactly as given and read them back; raises as `write`."""
        if not 0 <= routing.canary_percent <= 100:
            raise WriteRefused(
                f"envoy {self.admin_url}: a share of {routing.canary_percent} % is not within 0-100 %; nothing changed"
            )
        with self._locked():
            return self._write_locked(routing, stamp)

    def counters(self) -> Mapping[str, SideCounters]:
        """Envoy's running totals by side, `canary` and `stable`. Raises TargetUnavailable."""
        names = {"canary": self.clusters.canary, "stable": self.clusters.stable}
        pattern = f"^cluster\\.({'|'.join(names.values())})\\.upstream_rq_(completed|5xx|active)$"
        stats = self._stats(pattern)
        totals = {}
        for side, name in names.items():
            prefix = f"cluster.{name}.upstream_rq_"
            if prefix + "active" not in stats:
                raise TargetUnavailable(f"envoy {self.admin_url} has no cluster {name!r} ({side}); check the cluster's name")
            # A response class that has not occurred has no counter yet: that is a true zero.
            totals[side] = SideCounters(
                completed=stats.get(prefix + "completed", 0),
                errors=stats.get(prefix + "5xx", 0),
                in_flight=stats[prefix + "active"],
            )
        return totals

    def _write_locked(self, routing: Routing, stamp: Stamp) -> Split:
        before = self._file_content()
        on_file = written(json.loads(before), self.clusters) if before else None
        self._refuse_stale(on_file, stamp)
        try:
            now = self._loaded()
            rejected_before = self._rejections()
        except TargetUnavailable as unreachable:
            self._write_blind(routing, stamp, on_file, unreachable)
            raise
        self._refuse_stale(now, stamp)
        wanted = Loaded(routing, str(stamp))
        if now != wanted or on_file != wanted:
            self._replace_file(render(routing, str(stamp), self.clusters))
        return self._verify(wanted, rejected_before, before)

    def _write_blind(self, routing: Routing, stamp: Stamp, on_file: Loaded | None, cause: TargetUnavailable) -> None:
        if on_file is None or not _takes_off(routing, on_file.routing):
            return
        self._replace_file(render(routing, str(stamp), self.clusters))
        raise TargetUnavailable(
            f"{cause}; {routing.canary_percent} % is in {self.route_file.name}, which Envoy reads by itself, but "
            "nobody saw it take effect: repeat the write"
        ) from cause

    def _refuse_stale(self, last: Loaded | None, stamp: Stamp) -> None:
        if last is not None and last.stamp is not None and last.stamp.token > stamp.token:
            raise StaleToken(
                f"envoy {self.admin_url}: token {stamp.token} ({stamp}) is older than {last.stamp.token} ({last.stamp}), "
                "which wrote last; stop this worker, its successor has taken over"
            )

    def _verify(self, wanted: Loaded, rejected_before: int, before: str | None) -> Split:
        deadline = time.monotonic() + self.timeout_s
        while True:
            now = self._loaded()
            if now == wanted:
                return _split(now)
            if self._rejections() > rejected_before:
                reason = self._put_back(before)
                raise WriteRefused(
                    f"envoy {self.admin_url} refused {_show(wanted)}{reason}; it goes on with {_show(now)}, see Envoy's log"
                )
            if time.monotonic() > deadline:
                raise WriteNotVerified(
                    f"envoy {self.admin_url}: wrote {_show(wanted)}, reads back {_show(now)} after {self.timeout_s:g} s; "
                    f"check that Envoy watches {self.route_file}"
                )
            time.sleep(POLL_S)

    def _put_back(self, before: str | None) -> str:
        # A refused file would stop Envoy from routing at its next start.
        reason = self._refusal_reason()
        if before is not None:
            self._replace_file(json.loads(before))
        return f" ({reason})" if reason else ""

    def _refusal_reason(self) -> str:
        for entry in self._dump().get("configs", []):
            if details := entry.get("error_state", {}).get("details"):
                return str(details)
        return ""

    def _loaded(self) -> Loaded:
        found = loaded(self._dump(), self.clusters)
        if found is None:
            raise TargetUnavailable(
                f"envoy {self.admin_url} has no route configuration 'local' with weights for {self.clusters.stable!r} and "
                f"{self.clusters.canary!r}; check {self.route_file}"
            )
        return found

    def _dump(self) -> dict[str, Any]:
        answer: dict[str, Any] = self._get("/config_dump", {"resource": "dynamic_route_configs"}, absent={})
        return answer

    def _rejections(self) -> int:
        stats = self._stats(r"\.rds\..*\.update_(rejected|failure)$")
        return sum(value for name, value in stats.items() if name.endswith(_REJECTIONS))

    def _stats(self, pattern: str) -> dict[str, int]:
        answer = self._get("/stats", {"filter": pattern, "format": "json"})
        return {stat["name"]: int(stat["value"]) for stat in answer["stats"] if "name" in stat}

    def _get(self, path: str, query: dict[str, str], *, absent: Any = None) -> Any:
        try:
            answer = self._client.get(path, params=query)
            if answer.status_code == 404 and absent is not None:
                return absent
            answer.raise_for_status()
            return answer.json()
        except (httpx.HTTPError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise TargetUnavailable(
                f"envoy {self.admin_url}{path} did not answer within {self.timeout_s:g} s ({reason})"
            ) from error

    def _file_content(self) -> str | None:
        try:
            content = self.route_file.read_text(encoding="utf-8")
            json.loads(content)
        except (OSError, ValueError):
            return None
        return content

    def _replace_file(self, content: Mapping[str, Any]) -> None:
        temporary = self.route_file.with_name(f".{self.route_file.name}.{os.getpid()}")
        try:
            with temporary.open("w", encoding="utf-8") as file:
                json.dump(content, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(self.route_file)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise TargetUnavailable(f"{self.route_file} cannot be written ({error}); nothing changed") from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        path = self.route_file.with_name(f".{self.route_file.name}.lock")
        deadline = time.monotonic() + 2 * self.timeout_s
        try:
            lock = path.open("w")
        except OSError as error:
            raise TargetUnavailable(f"{path} cannot be opened ({error}); nothing changed") from error
        with lock:
            while not _try_lock(lock.fileno()):
                if time.monotonic() > deadline:
                    raise TargetUnavailable(
                        f"{path} is held by another writer for {2 * self.timeout_s:g} s; nothing changed"
                    )
                time.sleep(POLL_S)
            yield


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _takes_off(routing: Routing, current: Routing) -> bool:
    return routing.canary_percent <= current.canary_percent and set(routing.overrides) <= set(current.overrides)


def _split(state: Loaded) -> Split:
    return Split(state.routing.canary_percent, state.stamp, bypassed=bool(state.routing.overrides))


def _show(state: Loaded) -> str:
    kept = ", ".join(f"{each.header}: {each.value}" for each in state.routing.overrides)
    return f"{state.routing.canary_percent} % {'with ' + kept if kept else 'without overrides'} ({state.version})"
