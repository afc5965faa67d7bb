"""Every change to a target is in the audit: the targets' own logs of what was written to them, held against the record."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from chrysalis.ledger import AuditEntry
from tasks.workspace import TOKENS_PER_ROLLOUT
from tests.desk import Desk
from tests.stack import until


@dataclass
class Log:
    """The stamps of the writes that a service was sent, in order."""

    stamps: list[str] = field(default_factory=list)


@contextmanager
def logged(url: str) -> Iterator[tuple[str, Log]]:
    """The service behind an address that logs every write before it hands it on."""
    log = Log()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if self.command != "GET":
                log.stamps.append(self.headers.get("x-chrysalis-stamp") or json.loads(body)["stamp"])
            answer = httpx.request(
                self.command, url + self.path, content=body, headers=dict(self.headers.items()), timeout=30
            )
            self.send_response(answer.status_code)
            self.send_header("content-type", answer.headers.get("content-type", ""))
            self.end_headers()
            self.wfile.write(answer.content)

        def do_PATCH(self) -> None:
            self.do_GET()

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", log
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def route_updates(desk: Desk) -> int:
    """How often Envoy took new routes, by its own count."""
    admin = json.loads((desk.stack.home / "environment.json").read_text())["ENVOY_ADMIN_URL"]
    stats = httpx.get(f"{admin}/stats", params={"filter": r"rds\..*update_success$", "format": "json"}).json()["stats"]
    return sum(int(one["value"]) for one in stats)


def done(entries: tuple[AuditEntry, ...], kind: str) -> list[AuditEntry]:
    return [one for one in entries if one.action == "step_ended" and one.details()["kind"] == kind]


def test_what_was_written_to_the_targets_is_what_the_audit_has_with_its_cause(desk: Desk) -> None:
    """Forward to 30 %, a breach that the watch answers, and the way back: nothing was written past the record."""
    url = json.loads((desk.stack.home / "environment.json").read_text())["SERVICE_URL"]
    with logged(url) as (address, log):
        desk.variable("SERVICE_URL", address)
        try:
            routes_before = route_updates(desk)
            rollout = desk.start("quick", "record-1")
            desk.await_sign_off(rollout.id)
            desk.stack.sandbox.fault("canary", error_rate=0.5)
            assert desk.await_end(rollout.id).outcome == "rolled_back"
            routes = route_updates(desk) - routes_before
        finally:
            desk.variable("SERVICE_URL", url)
    audit = desk.stack.ledger.audit(subject=rollout.id)
    recorded = {(one.details().get("token"), one.details().get("step_id")) for one in audit if one.action == "step_begun"}
    assert log.stamps
    for stamp in log.stamps:
        owner, token, step = stamp.split(":", 2)
        assert (owner, ((int(token) - rollout.serial * TOKENS_PER_ROLLOUT) // 2, step) in recorded) == (rollout.id, True), (
            stamp
        )
    safe = [one for one in audit if one.action == "acted"]
    weights = [one.details()["detail"]["percent"] for one in done(audit, "set_weight") if one.details()["outcome"] == "done"]
    assert (weights, [one.details()["after"] for one in safe]) == ([30], [{"traffic": 0, "traffic.bypassed": False}])
    assert routes == len(weights) + len(safe)
    (taken_down,) = safe
    assert taken_down.actor == "watch"
    assert taken_down.origin is not None
    assert taken_down.origin.startswith("watch ")
    assert taken_down.details()["before"] == {"traffic": 30, "traffic.bypassed": True}
    assert taken_down.details()["cause"].startswith("errors: ")
    assert "error_rate" in taken_down.details()["cause"]
    assert desk.stack.ledger.verify_audit() == []
    until(lambda: desk.weight == 0, "the weight to be 0")
