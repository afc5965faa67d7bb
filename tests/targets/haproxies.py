"""A real HAProxy in front of two servers that say which side they are; imported by the tests that need one."""

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import pytest

from chrysalis.errors import TargetUnavailable
from chrysalis.sandbox.haproxy import BACKEND, ensure_haproxy, write_configuration
from chrysalis.sandbox.ports import free_ports
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
