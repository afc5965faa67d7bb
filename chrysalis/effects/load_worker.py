"""Sends the load of one load test by locust, in a process of its own: `python -m chrysalis.effects.load_worker < job.json`.

locust needs gevent, which patches the whole process, so nothing else of ours runs here. What it measured goes to standard
output as one JSON object: every latency, not locust's rounded percentiles, so that 704 ms is never taken for 700.
"""

import gevent.monkey

gevent.monkey.patch_all()

import json  # noqa: E402
import random  # noqa: E402
import re  # noqa: E402
import resource  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from array import array  # noqa: E402
from collections import Counter  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
from locust import FastHttpUser, between, task  # noqa: E402
from locust.env import Environment  # noqa: E402

POLL_S = 0.1


class Measured:
    """What came back."""

    def __init__(self) -> None:
        self.latencies_ms = array("d")
        self.first_token_ms = array("d")
        self.failures: Counter[str] = Counter()
        self.begun = self.under_way = self.most_at_once = 0

    def begin(self) -> None:
        """A request is under way."""
        self.begun += 1
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)

    def end(self, latency_ms: float, first_s: float | None, why: str) -> None:
        """It has ended, or was cut off; `why` is empty when all was as expected."""
        self.under_way -= 1
        self.latencies_ms.append(latency_ms)
        if first_s is not None:
            self.first_token_ms.append(first_s * 1000)
        if why:
            self.failures[why] += 1

    def as_json(self, seconds: float) -> str:
        told = {
            "latencies_ms": list(self.latencies_ms),
            "first_token_ms": list(self.first_token_ms),
            "failures": dict(self.failures.most_common(20)),
            "failed": self.failures.total(),
            "most_at_once": self.most_at_once,
            "seconds": seconds,
        }
        return json.dumps(told)


def user_class(job: dict[str, Any], measured: Measured) -> type[FastHttpUser]:
    """A user who sends one request after another, with a pause between them."""
    bodies = [json.dumps(body) for body in job["bodies"]]
    expected = {name.lower(): re.compile(pattern) for name, pattern in job["expect_headers"].items()}

    class LoadUser(FastHttpUser):
        host = job["url"]
        wait_time = between(job["pause_at_least_s"], job["pause_at_most_s"])
        connection_timeout = network_timeout = job["timeout_s"]
        max_redirects = 0
        max_retries = 0

        @task
        def send(self) -> None:
            method = "POST" if bodies else "GET"
            began = time.perf_counter()
            first_s, why = None, ""
            measured.begin()
            try:
                with self.client.request(
                    method,
                    job["url"],
                    headers=job["headers"],
                    data=random.choice(bodies) if bodies else None,  # noqa: S311 - which body comes next is no secret
                    stream=True,
                    catch_response=True,
                ) as response:
                    try:
                        first_s = _read(response, began)
                        why = _wrong(response, expected, job)
                    except Exception as error:  # an answer that breaks off is a failure like any other
                        why = f"the answer broke off ({type(error).__name__})"
                    response.success()
            except gevent.GreenletExit:
                # The end stops users who pause; one of them may have gone on by then, and that says nothing of the service.
                if time.perf_counter() - began < job["timeout_s"]:
                    measured.under_way -= 1
                    raise
                why = f"no whole answer within {job['timeout_s']:g} s"
            measured.end((time.perf_counter() - began) * 1000, first_s, why)

    return LoadUser


def _read(response: Any, began: float) -> float | None:
    """Read the answer to its end. For an event stream, the seconds until its first event that says something."""
    streamed = str((response.headers or {}).get("content-type", "")).startswith("text/event-stream")
    if not streamed:
        response.text  # noqa: B018 - reading it is the point
        return None
    first: float | None = None
    # Line by line as they come: locust's own iter_content waits for a full chunk, and would time the last token.
    while line := response._response.readline(b"\n"):
        if first is None and line.startswith(b"data:") and line[5:].strip():
            first = time.perf_counter() - began
    return first


def _wrong(response: Any, expected: dict[str, re.Pattern[str]], job: dict[str, Any]) -> str:
    if response.status_code == 0:
        return f"no answer ({type(response.error).__name__})"
    if response.status_code != job["status"]:
        return f"status {response.status_code}, expected {job['status']}"
    for name, pattern in expected.items():
        found = str(response.headers.get(name, ""))
        if not pattern.search(found):
            return f"header {name} is {found!r}, expected {pattern.pattern}"
    if job["contains"] and job["contains"] not in (response.text or ""):
        return f"the body does not contain {job['contains']!r}"
    return ""


def main() -> None:
    """Run the job from standard input."""
    job = json.load(sys.stdin)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    measured = Measured()
    environment = Environment(user_classes=[user_class(job, measured)], stop_timeout=job["timeout_s"])
    runner = environment.create_local_runner()
    began = time.perf_counter()
    runner.start(job["users"], spawn_rate=job["users"] / job["ramp_s"])
    gevent.sleep(job["duration_s"])
    while measured.begun < job["users"] and time.perf_counter() - began < job["duration_s"] + job["timeout_s"]:
        gevent.sleep(POLL_S)  # a machine that is busy sends them later than it should
    seconds = time.perf_counter() - began
    runner.quit()
    print(measured.as_json(seconds))  # noqa: T201


if __name__ == "__main__":
    main()
