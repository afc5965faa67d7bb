"""Flags in Unleash: against a fake of its API, and all but the fake's own tests against a real server where there is one.

For that: CHRYSALIS_TEST_UNLEASH_URL, _TOKEN (admin) and _CLIENT_TOKEN (backend, of `production`); flags are made in the
project `default`.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx
import pytest

from chrysalis.errors import StaleToken, TargetUnavailable, WriteNotVerified, WriteRefused
from chrysalis.targets.base import Split, Stamp
from chrysalis.targets.unleash import UnleashRouter, UnleashSwitchboard
from chrysalis.targets.unleash_api import Unleash
from tests.metrics.servers import closed_port, serving
from tests.targets.fake_unleash import ADMIN, CLIENT, FakeUnleash

REAL = "CHRYSALIS_TEST_UNLEASH"
NUMBERS = count(1)


def stamp(token: int, step: str = "hybrid.03") -> Stamp:
    return Stamp(token, "crystal-1", step)


@dataclass
class Server:
    """One to work with, and a new flag in it."""

    unleash: Unleash
    flag: str
    fake: FakeUnleash | None
    token: str

    @property
    def router(self) -> UnleashRouter:
        return UnleashRouter(self.unleash, self.flag)

    @property
    def switches(self) -> UnleashSwitchboard:
        return UnleashSwitchboard(self.unleash)

    def ask(self, method: str, path: str, body: Any = None) -> None:
        """Somebody at the admin interface."""
        url = f"{self.unleash.url}/api/admin/projects/default/features{path}"
        httpx.request(method, url, json=body, headers={"authorization": self.token}, trust_env=False).raise_for_status()

    def strategy(self, **content: Any) -> None:
        self.ask("POST", f"/{self.flag}/environments/production/strategies", content)


@pytest.fixture(params=["fake", "real"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    flag = f"test-{os.getpid()}-{next(NUMBERS)}"
    if request.param == "real":
        if not (url := os.environ.get(f"{REAL}_URL")):
            pytest.skip(f"{REAL}_URL names no server")
        token = os.environ[f"{REAL}_TOKEN"]
        made = Server(Unleash(url, token, client_token=os.environ[f"{REAL}_CLIENT_TOKEN"]), flag, None, token)
        made.ask("POST", "", {"name": flag})
        yield made
        return
    fake = FakeUnleash()
    with serving(fake) as running:
        made = Server(Unleash(running.url, ADMIN, client_token=CLIENT, settle_s=0.5), flag, fake, ADMIN)
        made.ask("POST", "", {"name": flag})
        yield made


@pytest.fixture
def fake(server: Server) -> FakeUnleash:
    if server.fake is None:
        pytest.skip("a real server cannot be told to do this")
    return server.fake


def test_a_share_is_written_and_read_back_and_zero_is_off(server: Server) -> None:
    assert server.router.read() == Split(0)
    for percent, token in ((10, 1), (10, 1), (30, 2), (100, 3), (0, 4), (0, 4), (1, 5)):
        assert server.router.write(percent, stamp(token)) == Split(percent, stamp(token))
        assert server.router.read() == Split(percent, stamp(token))
        assert server.unleash.flag(server.flag).enabled is (percent > 0)


def test_the_group_stays_so_that_users_do(server: Server) -> None:
    """By Unleash's hash of group and user: the same group at every share, also one that people chose."""
    server.strategy(name="flexibleRollout", parameters={"rollout": "5", "stickiness": "userId", "groupId": "first"})
    for percent, token in ((10, 1), (0, 2), (50, 3)):
        server.router.write(percent, stamp(token))
        (one,) = server.unleash.flag(server.flag).strategies
        assert one["parameters"] == {"rollout": str(percent), "stickiness": "userId", "groupId": "first"}


def test_another_strategy_bypasses_the_share_until_the_kill(server: Server) -> None:
    constraint = {"contextName": "userId", "operator": "IN", "values": ["ada"]}
    server.strategy(name="default", constraints=[constraint], parameters={})
    assert server.router.write(10, stamp(1)) == Split(10, stamp(1), bypassed=True)
    assert server.router.write(0, stamp(2)) == Split(0, stamp(2))


def test_a_share_beside_a_strategy_for_everybody_is_refused(server: Server) -> None:
    server.strategy(name="default", parameters={})
    server.strategy(name="flexibleRollout", parameters={"rollout": "5", "stickiness": "default", "groupId": "g"})
    with pytest.raises(WriteRefused, match="its strategy default lets everybody in, so 30 % would be 100 %"):
        server.router.write(30, stamp(1))
    assert server.router.write(0, stamp(1)).canary_percent == 0


def test_flags_are_switched_and_read_back(server: Server) -> None:
    for value, token in ((True, 1), (True, 1), (False, 2), (True, 3)):
        assert server.switches.write({server.flag: value}, stamp(token))[server.flag] is value
        assert server.switches.read()[server.flag] is value
    found = server.unleash.flag(server.flag)
    assert found.stamp == stamp(3)
    assert [one["disabled"] for one in found.ours] == [True]


def test_one_flag_by_switch_and_by_share(server: Server) -> None:
    """Each sees the other's stamp."""
    server.switches.write({server.flag: True}, stamp(1))
    assert server.router.write(30, stamp(2)) == Split(30, stamp(2))
    server.switches.write({server.flag: False}, stamp(3, "hybrid.01"))
    with pytest.raises(StaleToken):
        server.router.write(40, stamp(2))
    assert server.router.write(40, stamp(3, "hybrid.02")) == Split(40, stamp(3, "hybrid.02"))


def test_a_stale_token_changes_nothing(server: Server) -> None:
    server.router.write(30, stamp(7))
    calls: list[Callable[[], object]] = [
        lambda: server.router.write(90, stamp(6)),
        lambda: server.router.write(0, stamp(6)),
        lambda: server.switches.write({server.flag: False}, stamp(6)),
    ]
    for call in calls:
        with pytest.raises(StaleToken, match=r"token 6 .* is older than 7"):
            call()
    assert server.router.read() == Split(30, stamp(7))


def test_what_cannot_be_is_refused(server: Server) -> None:
    with pytest.raises(WriteRefused, match="not within 0-100"):
        server.router.write(150, stamp(1))
    with pytest.raises(WriteRefused, match="there is no such flag; create it first"):
        server.switches.write({server.flag: True, "no-such-flag": True}, stamp(1))
    with pytest.raises(WriteRefused, match=r"found 0\.3, expected true or false"):
        server.switches.write({server.flag: 0.3}, stamp(1))
    assert server.unleash.flag(server.flag).strategies == []
    with pytest.raises(TargetUnavailable, match=r'404 .*no feature named "no-such-flag"'):
        UnleashRouter(server.unleash, "no-such-flag").read()


def test_a_rollout_that_is_no_percentage(server: Server) -> None:
    """Unleash takes it. A kill still works."""
    server.strategy(name="flexibleRollout", parameters={"rollout": "150", "stickiness": "default", "groupId": "g"})
    with pytest.raises(TargetUnavailable, match="a rollout of 150; put it right by hand"):
        server.router.read()
    assert server.router.write(0, stamp(1)) == Split(0, stamp(1))


def test_a_wrong_token_or_environment(server: Server) -> None:
    with pytest.raises(TargetUnavailable, match=r"401 .* check address, names and token"):
        Unleash(server.unleash.url, "nobody").flags()
    with pytest.raises(TargetUnavailable, match="no environment 'moon'"):
        Unleash(server.unleash.url, server.token, environment="moon").flag(server.flag)


def test_a_write_counts_when_services_see_it(server: Server, fake: FakeUnleash) -> None:
    fake.stale_for = 2
    assert server.router.write(10, stamp(1)).canary_percent == 10
    fake.stale_for = 1_000
    with pytest.raises(WriteNotVerified, match=r"wrote 50 %, reads back services get on, rollout 10"):
        server.router.write(50, stamp(2))


@pytest.mark.parametrize(("code", "error"), [(403, WriteRefused), (503, TargetUnavailable)])
def test_what_the_server_answers_to_a_write(server: Server, fake: FakeUnleash, code: int, error: type[Exception]) -> None:
    fake.failing = code
    with pytest.raises(error, match=f"answered {code}"):
        server.router.write(10, stamp(1))


def test_no_server_is_out_of_reach() -> None:
    with closed_port() as port:
        unleash = Unleash(f"http://127.0.0.1:{port}", ADMIN)
        for call in (UnleashSwitchboard(unleash).read, lambda: UnleashRouter(unleash, "x").write(0, stamp(1))):
            with pytest.raises(TargetUnavailable, match="did not answer"):
                call()
    with pytest.raises(TargetUnavailable, match="counts no requests"):
        UnleashRouter(unleash, "x").counters()
