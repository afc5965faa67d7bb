"""A configuration API on loopback that behaves as it is told: honest, deaf, late, refusing, failing, silent."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Manner = Literal["honest", "deaf", "late", "refusing", "failing", "conflict", "coercing"]


class LyingTarget(ThreadingHTTPServer):
    """`deaf` answers 200 and applies nothing; `late` applies at the third read after the write; `coercing` stores text."""

    daemon_threads = True

    def __init__(self, values: dict[str, Any], manner: Manner) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.values = values
        self.manner: Manner = manner
        self.pending: dict[str, Any] = {}
        self.reads_until_applied = 0
        self.writes: list[dict[str, Any]] = []
        self.stamps: list[str | None] = []

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server_port}/config"


class _Handler(BaseHTTPRequestHandler):
    server: LyingTarget
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        target = self.server
        if target.pending:
            target.reads_until_applied -= 1
            if target.reads_until_applied <= 0:
                _merge(target.values, target.pending)
                target.pending = {}
        self._answer(200, target.values)

    def do_PATCH(self) -> None:
        target = self.server
        changes = json.loads(self.rfile.read(int(self.headers["content-length"])))
        target.writes.append(changes)
        target.stamps.append(self.headers["x-chrysalis-stamp"])
        match target.manner:
            case "honest":
                _merge(target.values, changes)
            case "coercing":
                _merge(target.values, {name: str(value) for name, value in changes.items()})
            case "late":
                target.pending, target.reads_until_applied = changes, 3
            case "refusing":
                return self._answer(422, {"error": "mode must be legacy"})
            case "failing":
                return self._answer(503, {"error": "database is away"})
            case "conflict":
                return self._answer(409, {"error": "somebody else edits this"})
            case "deaf":
                pass
        return self._answer(200, {"ok": True})

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, code: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _merge(values: dict[str, Any], changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(values.get(name), dict):
            _merge(values[name], value)
        else:
            values[name] = value


@contextmanager
def lying_target(values: dict[str, Any], manner: Manner) -> Iterator[LyingTarget]:
    """One that serves until the end of the block."""
    target = LyingTarget(values, manner)
    thread = threading.Thread(target=target.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield target
    finally:
        target.shutdown()
        thread.join()
        target.server_close()
