"""What a version does for a request, and what it is like while doing it: work in pieces, coherence, weather, emergence.

Stable does its pieces one after the other, canary all at once; that is why canary is faster, and the speed-up is measured,
not made up. Rates are spread evenly instead of drawn, so that 30 % is 30 in every 100 and a run can be repeated.
"""

import asyncio
import math
import time
from dataclasses import dataclass

from chrysalis.sandbox.files import JsonFile
from chrysalis.sandbox.service.configuration import Configuration
from chrysalis.sandbox.service.faults import FaultFile
from chrysalis.sandbox.service.recorder import EventRow, HealthRow, Recorder, now
from chrysalis.sandbox.service.telemetry import Telemetry
from chrysalis.sandbox.settings import SandboxSettings

REFRESH_S = 0.25
TRAFFIC_WITHIN_S = 2.0
COHERENCE_SWING = 0.015
STABLE_COHERENCE_DROP = 0.05
EMERGENCE_QUALITY = 4.4


@dataclass(slots=True)
class Evenly:
    """Says yes at a rate: `due(0.3)` is true 3 times in 10, `due(25.0)` counts 25."""

    carried: float = 0.0

    def due(self, amount: float) -> int:
        """How many are due after adding `amount`."""
        self.carried += amount
        whole = math.floor(self.carried + 1e-9)
        self.carried -= whole
        return whole


class Behaviour:
    """One version at work."""

    def __init__(
        self,
        side: str,
        *,
        control: JsonFile,
        settings: SandboxSettings,
        configuration: Configuration,
        faults: FaultFile,
        telemetry: Telemetry,
        recorder: Recorder,
    ) -> None:
        self.side = side
        self.version = settings.version(side)
        self.first_error_s: float | None = None
        """When a request failed first since the faults were last changed, unix seconds."""
        self.last_request_s: float | None = None
        self._control = control
        self._settings = settings
        self._configuration = configuration
        self._faults = faults
        self._telemetry = telemetry
        self._recorder = recorder
        self._errors, self._emergence = Evenly(), Evenly()
        self._served = 0

    async def serve(self, user_id: str) -> int:
        """Do the work of one request; returns its status code."""
        self.last_request_s = time.time()
        start = time.perf_counter()
        faults = self._faults.now
        if faults.latency_ms > 0:
            await asyncio.sleep(faults.latency_ms / 1000)
        await self._work()
        failed = self._fails()
        seconds = time.perf_counter() - start
        self._served += 1
        if failed and self.first_error_s is None:
            self.first_error_s = time.time()
        self._telemetry.answered(500 if failed else 200, seconds)
        self._record(user_id, seconds * 1000, error=failed)
        return 500 if failed else 200

    async def live(self) -> None:
        """Emergence and the measured values, four times a second, until cancelled."""
        last = time.monotonic()
        while True:
            passed = time.monotonic() - last
            last += passed
            self._emerge(passed)
            self.refresh()
            await asyncio.sleep(REFRESH_S)

    def refresh(self) -> None:
        """Set the gauges to what is the case now."""
        config = self._configuration.read()
        self._telemetry.coherence.set(self.coherence)
        self._telemetry.entropy.set(self.symbolic_entropy)
        self._telemetry.refresh(
            self._faults.now,
            aether_weight=float(config["aetherWeight"]),
            crystal_weight=float(config["crystalWeight"]),
            weather=self.field_weather,
        )

    @property
    def coherence(self) -> float:
        """0 to 1, with a slow swing of its own."""
        fault = self._faults.now.coherence
        base = self._settings.coherence - (0.0 if self.side == "canary" else STABLE_COHERENCE_DROP)
        swing = COHERENCE_SWING * math.sin(time.time() / 3)
        return round(min(1.0, max(0.0, (base if fault is None else fault) + swing)), 4)

    @property
    def symbolic_entropy(self) -> float:
        """0 to 1."""
        fault = self._faults.now.symbolic_entropy
        return self._settings.symbolic_entropy if fault is None else fault

    @property
    def field_weather(self) -> str:
        """In one word."""
        return self._faults.now.field_weather or "flowing"

    async def _work(self) -> None:
        start = time.perf_counter()
        if self.side == "canary" and self._configuration.read()["optimizations"]["parallelProcessing"]:
            pieces = sum(await asyncio.gather(*(self._piece() for _ in range(self._settings.work_parts))))
        else:
            pieces = 0.0
            for _ in range(self._settings.work_parts):
                pieces += await self._piece()
        self._telemetry.serial.inc(pieces)
        self._telemetry.parallel.inc(time.perf_counter() - start)

    async def _piece(self) -> float:
        start = time.perf_counter()
        await asyncio.sleep(self._settings.part_ms / 1000)
        return time.perf_counter() - start

    def _fails(self) -> bool:
        faults = self._faults.now
        if faults.error_rate <= 0:
            return False
        feature = faults.error_feature
        if feature and not self._configuration.read()["features"].get(feature, False):
            return False
        return self._errors.due(faults.error_rate) > 0

    def _record(self, user_id: str, response_ms: float, *, error: bool) -> None:
        self._recorder.add(
            HealthRow(
                timestamp=now(),
                version=self.version,
                side=self.side,
                user_id=user_id,
                coherence_ratio=self.coherence,
                paradox_count=int(self._served % 7 == 0),
                symbolic_entropy=self.symbolic_entropy,
                field_weather=self.field_weather,
                aether_weight=float(self._configuration.read()["aetherWeight"]),
                response_ms=round(response_ms, 3),
                error=error,
            )
        )

    def _emerge(self, passed_s: float) -> None:
        config, fault = self._configuration.read(), self._faults.now.emergence_per_h
        served_lately = self.last_request_s is not None and time.time() - self.last_request_s < TRAFFIC_WITHIN_S
        if self.side != "canary" or not served_lately or not config["features"]["emergence"]:
            return
        per_plan_hour = (self._settings.emergence_per_h if fault is None else fault) * float(config["emergenceThrottle"])
        plan_hours = passed_s * float(self._control.read().get("plan_speed", self._settings.plan_speed)) / 3600
        for _ in range(self._emergence.due(per_plan_hour * plan_hours)):
            self._telemetry.emergence.inc()
            self._recorder.add(EventRow(now(), self.version, self.side, "emergence", "field", EMERGENCE_QUALITY))
