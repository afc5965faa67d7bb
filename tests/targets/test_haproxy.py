"""A real HAProxy: weights that split, a header that reaches the canary, stale tokens, a restart, and one that is frozen."""

import os
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import pytest

from chrysalis.errors import StaleToken, TargetUnavailable, WriteRefused
from chrysalis.sandbox.haproxy import BACKEND, ensure_haproxy, write_configuration
from chrysalis.sandbox.ports import free_ports
from chrysalis.targets.base import Split, Stamp
from chrysalis.targets.haproxy import HaproxyRouter
from tests.metrics.servers import Asked, Reply, serving
from tests.sandbox.fixtures import until


@dataclass
class Running:
    """An HAProxy in front of two servers that say which side they are."""

    folder: Path
    port: int
    command: list[str]
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def router(self) -> HaproxyRouter:
        return HaproxyRouter(self.folder / "admin.sock", BACKEND, self.folder / "routes.map", timeout_s=1.0)

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, env=self.environment, stderr=subprocess.DEVNULL)
        until(self._answers)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None

    def ask(self, count: int, headers: dict[str, str] | None = None) -> Counter[str]:
        """Which side answered."""
        answers: Counter[str] = Counter()
        for _ in range(count):
            connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", "/", headers=headers or {})
            answers[connection.getresponse().read().decode()] += 1
            connection.close()
        return answers

    def _answers(self) -> bool:
        try:
            self.router.read()
        except TargetUnavailable:
            return False
        return True


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    program = ensure_haproxy()
    folder = tmp_path_factory.mktemp("haproxy")
    with ExitStack() as stack:
        ports = []
        for side in ("stable", "canary"):
            body = side.encode()

            def reply(asked: Asked, body: bytes = body) -> Reply:
                return Reply(status=500 if asked.path == "/fail" else 200, body=body)

            ports.append(int(stack.enter_context(serving(reply)).url.rpartition(":")[2]))
        port = free_ports(1)[0]
        configuration = write_configuration(folder, port=port, stable=ports[0], canary=ports[1])
        command = [str(program.path), "-f", str(configuration), "-db"]
        one = Running(folder, port, command, {**os.environ, **program.environment})
        one.start()
        stack.callback(one.stop)
        yield one


@pytest.fixture
def haproxy(running: Running) -> Running:
    """As it starts: nobody on the canary, no header, no stamp."""
    running.stop()
    running.start()
    return running


def stamp(token: int) -> Stamp:
    return Stamp(token, "crystal-1", "hybrid.03")


def split(percent: int, token: int) -> Split:
    """What is read after a weight was set: who has the header is on the canary as long as anybody is."""
    return Split(percent, stamp(token), bypassed=percent > 0)


def test_a_weight_splits_the_traffic_and_reads_back(haproxy: Running) -> None:
    """30 of 100; repeated it is the same."""
    for _ in range(2):
        assert haproxy.router.write(30, stamp(5)) == split(30, 5)
    # One may still go by the order of before.
    assert haproxy.ask(100)["canary"] in (29, 30, 31)
    assert haproxy.router.read() == split(30, 5)


def test_zero_is_a_kill_the_header_included(haproxy: Running) -> None:
    """With weight, the header reaches the canary; at 0 nobody does."""
    on = {"x-canary": "on"}
    assert haproxy.ask(4, on) == {"stable": 4}
    haproxy.router.write(10, stamp(1))
    assert haproxy.router.read().bypassed
    assert haproxy.ask(4, on) == {"canary": 4}
    haproxy.router.write(0, stamp(2))
    assert not haproxy.router.read().bypassed
    assert haproxy.ask(20, on) == {"stable": 20}


def test_the_header_alone(haproxy: Running) -> None:
    """Staff by header, nobody by weight."""
    haproxy.router.write_routing(0, True, stamp(1))
    assert haproxy.ask(5, {"x-canary": "on"}) == {"canary": 5}
    assert haproxy.ask(10) == {"stable": 10}


def test_a_stale_token_changes_nothing(haproxy: Running) -> None:
    haproxy.router.write(40, stamp(7))
    with pytest.raises(StaleToken, match=r"token 6 .* is older than 7"):
        haproxy.router.write(90, stamp(6))
    assert haproxy.router.read() == split(40, 7)


@pytest.mark.parametrize("percent", [-1, 101])
def test_a_share_that_cannot_be_is_refused(haproxy: Running, percent: int) -> None:
    with pytest.raises(WriteRefused, match="not within 0-100"):
        haproxy.router.write(percent, stamp(1))
    assert haproxy.router.read().canary_percent == 0


def test_after_a_restart_nobody_is_on_the_canary(haproxy: Running) -> None:
    """What was set at run time is gone, and it fails to the safe side; the router says so truly."""
    haproxy.router.write(50, stamp(1))
    haproxy.stop()
    with pytest.raises(TargetUnavailable, match="does not answer"):
        haproxy.router.read()
    haproxy.start()
    assert haproxy.router.read() == Split(0, None)


def test_frozen_it_is_out_of_reach_in_time(haproxy: Running) -> None:
    """And well again when it goes on."""
    assert haproxy.process is not None
    haproxy.process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(TargetUnavailable, match="does not answer"):
            haproxy.router.write(10, stamp(1))
    finally:
        haproxy.process.send_signal(signal.SIGCONT)
    assert haproxy.router.write(10, stamp(1)).canary_percent == 10


def test_a_backend_that_is_not_there(haproxy: Running) -> None:
    router = HaproxyRouter(haproxy.folder / "admin.sock", "elsewhere", haproxy.folder / "routes.map")
    with pytest.raises(TargetUnavailable, match="check the backend's name"):
        router.read()


def test_counters_count_answers_and_errors_of_each_side(haproxy: Running) -> None:
    haproxy.router.write(50, stamp(1))
    before = haproxy.router.counters()
    haproxy.ask(20)
    connection = HTTPConnection("127.0.0.1", haproxy.port, timeout=5)
    connection.request("GET", "/fail")
    connection.getresponse().read()
    connection.close()
    after = haproxy.router.counters()
    done = {side: after[side].completed - before[side].completed for side in after}
    errors = {side: after[side].errors - before[side].errors for side in after}
    assert sum(done.values()) == 21
    assert {done["canary"], done["stable"]} <= {10, 11}
    assert sum(errors.values()) == 1


def test_two_writers_at_once_leave_one_of_the_two(haproxy: Running) -> None:
    """Never a mixture of both."""
    outcomes: list[str] = []

    def write(token: int) -> None:
        try:
            haproxy.router.write(token * 10, stamp(token))
            outcomes.append("done")
        except (StaleToken, Exception) as error:
            outcomes.append(type(error).__name__)

    threads = [threading.Thread(target=write, args=(token,)) for token in (3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert haproxy.router.read() in (split(40, 4), split(30, 3))
    assert set(outcomes) <= {"done", "StaleToken", "WriteNotVerified"}
