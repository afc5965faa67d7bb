"""What the load generator saw: one JSON line per request, and the figures that a report needs from them.

A line: `{"t": 1700000000.123, "ms": 5.1, "code": 200, "side": "canary", "version": "v2", "header": false, "error": ""}`.
`t` is when it was sent (unix seconds), `code` 0 where there was no answer, `side` who answered according to Envoy (empty
where nobody did), `error` why there was no answer.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class Request:
    """One line."""

    t: float
    ms: float
    code: int
    side: str
    version: str
    header: bool
    error: str

    @property
    def lost(self) -> bool:
        """No answer, or 5xx."""
        return self.code == 0 or self.code >= _SERVER_ERROR

    @property
    def ended_s(self) -> float:
        """When its answer was complete, unix seconds."""
        return self.t + self.ms / 1000


@dataclass(frozen=True, slots=True)
class LoadSummary:
    """Figures of a stretch of time. Moments are unix seconds, None where it did not happen."""

    served: int
    lost: int
    served_by_side: dict[str, int]
    lost_by_side: dict[str, int]
    """`unknown` where nobody answered."""
    first_canary_error_s: float | None
    """When the client had the first 5xx answer from the canary."""
    last_canary_request_s: float | None
    """When the last request that went to the canary was sent, header-routed ones included."""
    last_canary_answer_s: float | None
    p50_ms_by_side: dict[str, float]
    p99_ms_by_side: dict[str, float]

    @property
    def exposure_ms(self) -> float | None:
        """From the first error to the last request on the canary."""
        if self.first_canary_error_s is None or self.last_canary_request_s is None:
            return None
        return (self.last_canary_request_s - self.first_canary_error_s) * 1000


def read_requests(path: Path, *, since_s: float = 0.0, until_s: float = float("inf")) -> Iterator[Request]:
    """The requests sent in this time, the rotated file first; a line still being written is left out."""
    for file in (path.with_name(path.name + ".1"), path):
        if not file.exists():
            continue
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n"):
                    request = Request(**json.loads(line))
                    if since_s <= request.t <= until_s:
                        yield request


def summarise(path: Path, *, since_s: float = 0.0, until_s: float = float("inf")) -> LoadSummary:
    """The figures of the requests sent in this time."""
    requests = list(read_requests(path, since_s=since_s, until_s=until_s))
    kept = [each for each in requests if not each.lost]
    lost = [each for each in requests if each.lost]
    canary = [each for each in requests if each.side == "canary"]
    return LoadSummary(
        served=len(kept),
        lost=len(lost),
        served_by_side=_by_side(kept),
        lost_by_side=_by_side(lost),
        first_canary_error_s=min((each.ended_s for each in canary if each.lost), default=None),
        last_canary_request_s=max((each.t for each in canary), default=None),
        last_canary_answer_s=max((each.ended_s for each in canary), default=None),
        p50_ms_by_side=_percentile(kept, 50),
        p99_ms_by_side=_percentile(kept, 99),
    )


def _by_side(requests: list[Request]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for each in requests:
        side = each.side or "unknown"
        counts[side] = counts.get(side, 0) + 1
    return counts


def _percentile(requests: list[Request], percent: int) -> dict[str, float]:
    times: dict[str, list[float]] = {}
    for each in requests:
        times.setdefault(each.side or "unknown", []).append(each.ms)
    return {side: quantiles(ms, n=100)[percent - 1] for side, ms in times.items() if len(ms) > 1}
