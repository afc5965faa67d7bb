"""Two processes that do the same at the same moment, again and again: the module that the test's children run."""

from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import Any

from chrysalis.errors import ChrysalisError
from chrysalis.ledger import Ledger
from tests.ledger.samples import NOW, new_rollout


def race(url: str, name: str, orders: Connection, start: Barrier) -> None:
    """Open a ledger; for every order (a contest and its number) meet at the start, act, and answer what came of it."""
    with Ledger.open(url) as ledger:
        orders.send("ready")
        while (order := orders.recv()) is not None:
            start.wait(30)
            try:
                orders.send(_act(ledger, name, *order))
            except ChrysalisError as error:
                orders.send(type(error).__name__)


def _act(ledger: Ledger, name: str, contest: str, n: int) -> Any:
    match contest:
        case "service":
            return ledger.start_rollout(new_rollout(service=f"s{n}", idempotency_key=name), NOW)[0].id
        case "release":
            return ledger.start_rollout(new_rollout(service=f"r{n}", idempotency_key="same"), NOW)
        case "token":
            return ledger.take_token("crystal-1", name, now=NOW)
        case "lease":
            lease = ledger.acquire_lease(f"lease-{n}", name, ttl_s=10, now=NOW)
            return None if lease is None else lease.token
        case "begin":
            return ledger.begin_step("crystal-1", n, step_id=f"step-{n}", kind="k", detail={"by": name}, now=NOW)
        case "request":
            return ledger.request("crystal-1", "roll_back", by=name, reason="", arguments={"n": n}, now=NOW).id
        case "sign_off":
            return ledger.next_pause_key("crystal-1", "gate")
        case other:
            raise ValueError(f"no contest {other}")
