"""A Gateway API HTTPRoute as traffic router: the weights of the canary's and the stable side's Service in its rules.

All rules in which the canary's Service has a part get the same weights, adding up to 100. A rule that has no other Service
bypasses the weight; at 0 it is closed by giving it the stable Service, as a rule whose weights are all 0 answers 500. A
write counts when the gateways that the route belongs to say that they have accepted its newest generation.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from chrysalis.errors import TargetUnavailable, WriteNotVerified, WriteRefused
from chrysalis.targets.base import SideCounters, Split, Stamp
from chrysalis.targets.kubernetes_api import HTTP_ROUTE, MERGE, Cluster, Object, Patch, refuse_stale, stamp_of, stamped

POLL_S = 0.2
_NEEDED = ("Accepted", "ResolvedRefs")
_REFUSED = "False"

Backend = Mapping[str, Any]


class HttpRouteRouter:
    """A TrafficRouter over one HTTPRoute. `canary` and `stable` are names of Services."""

    def __init__(self, cluster: Cluster, name: str, *, canary: str, stable: str, settle_s: float = 10.0) -> None:
        self.cluster = cluster
        self.name = name
        self.canary = canary
        self.stable = stable
        self.settle_s = settle_s
        self.where = f"HTTPRoute {cluster.namespace}/{name}"

    def read(self) -> Split:
        """The highest share that a rule gives, as the API server has it. Raises TargetUnavailable."""
        return self._split(self.cluster.get(HTTP_ROUTE, self.name))

    def write(self, canary_percent: int, stamp: Stamp) -> Split:
        """Set the share in every rule, and wait until the gateways have accepted it; 0 closes the rules that bypass it.

        Safe to repeat. Raises StaleToken, WriteRefused, WriteNotVerified, TargetUnavailable.
        """
        if not 0 <= canary_percent <= 100:
            raise WriteRefused(f"{self.where}: a share of {canary_percent} % is not within 0-100 %; nothing changed")

        def patch(found: Object) -> Patch | None:
            self._split(found)
            rules = [self._rule(rule, canary_percent) for rule in found["spec"]["rules"]]
            if stamp_of(found) == stamp and rules == found["spec"]["rules"]:
                return None
            return {"metadata": stamped(found, stamp), "spec": {"rules": rules}}

        written = self.cluster.change(HTTP_ROUTE, self.name, stamp, MERGE, patch)
        return self._verified(canary_percent, written["metadata"]["generation"], stamp)

    def counters(self) -> Mapping[str, SideCounters]:
        """A route counts no requests. Raises TargetUnavailable."""
        raise TargetUnavailable(f"{self.where} counts no requests; measure them at a source")

    def _verified(self, canary_percent: int, generation: int, stamp: Stamp) -> Split:
        deadline = time.monotonic() + self.settle_s
        while True:
            found = self.cluster.get(HTTP_ROUTE, self.name)
            refuse_stale(found, stamp, self.where)
            now = self._split(found)
            shares = set(self._shares(found))
            if shares - {canary_percent}:
                raise WriteNotVerified(f"{self.where}: wrote {canary_percent} %, reads back {sorted(shares)} %")
            missing = _not_accepted(found, generation)
            if missing is None:
                return now
            if time.monotonic() > deadline:
                raise WriteNotVerified(f"{self.where} has {canary_percent} %, but {missing} after {self.settle_s:g} s")
            time.sleep(POLL_S)

    def _split(self, found: Object) -> Split:
        shares = self._shares(found)
        if not shares:
            raise TargetUnavailable(
                f"{self.where} has no rule with the Services {self.canary!r} and {self.stable!r}; check its backendRefs"
            )
        bypassed = any(self._bypasses(rule) for rule in found["spec"]["rules"])
        return Split(max(shares), stamp_of(found), bypassed=bypassed)

    def _shares(self, found: Object) -> list[int]:
        shares = []
        for rule in found["spec"]["rules"]:
            weights = {one["name"]: one.get("weight", 1) for one in rule.get("backendRefs") or ()}
            if {self.canary, self.stable} <= set(weights):
                whole = sum(weights.values())
                shares.append(round(100 * weights[self.canary] / whole) if whole else 0)
        return shares

    def _bypasses(self, rule: Mapping[str, Any]) -> bool:
        backends: Sequence[Backend] = rule.get("backendRefs") or ()
        return [one["name"] for one in backends] == [self.canary] and backends[0].get("weight", 1) > 0

    def _rule(self, rule: Mapping[str, Any], canary_percent: int) -> Mapping[str, Any]:
        backends = list(rule.get("backendRefs") or ())
        names = [one["name"] for one in backends]
        if canary_percent == 0 and names == [self.canary]:
            backends, names = [*backends, {**backends[0], "name": self.stable}], [self.canary, self.stable]
        if not {self.canary, self.stable} <= set(names):
            return rule
        weights = {self.canary: canary_percent, self.stable: 100 - canary_percent}
        # A third Service would take its part of the share.
        return {**rule, "backendRefs": [{**one, "weight": weights.get(one["name"], 0)} for one in backends]}


def _not_accepted(found: Object, generation: int) -> str | None:
    """Why its gateways do not route by it yet; None when all of them do. Raises WriteRefused when one will not."""
    parents = found.get("status", {}).get("parents") or ()
    for parent in parents:
        conditions = {one["type"]: one for one in parent.get("conditions") or ()}
        gateway = parent.get("parentRef", {}).get("name", "?")
        for kind in _NEEDED:
            condition = conditions.get(kind)
            if condition is None or condition.get("observedGeneration", 0) < generation:
                return f"gateway {gateway} has not said {kind}"
            if condition["status"] == _REFUSED:
                said = condition.get("message") or condition.get("reason")
                raise WriteRefused(f"HTTPRoute {found['metadata']['name']}: gateway {gateway} refuses it: {kind}: {said}")
    return None if parents else "no gateway has taken it up"
