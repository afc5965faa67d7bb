"""Cohorts and sticky shares on a real Envoy: who belongs, who stays, and that nobody else gets in.

The users are fixed and Envoy hashes without a seed, so the counts are the same on every run.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from math import sqrt

import httpx
import pytest

from chrysalis.errors import SettingsError, TargetUnavailable
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.targets.envoy import EnvoyRouter
from chrysalis.targets.envoy_routes import Clusters, CookieCohort, HeaderOverride, Routing
from tests.sandbox.fixtures import new_stamp

COOKIE = "cohort"
SHARES = (10, 25, 50, 75, 100)
SIGMAS = 3.0
"""How far a share of the fixed users may lie from the asked one, in standard deviations of a binomial."""
STAFF = HeaderOverride("x-staff", "yes")
BETA = CookieCohort(COOKIE, "beta")
OUTSIDERS = ({}, *({"cookie": f"{COOKIE}={one}"} for one in ("betamax.1", "alphabeta", "Beta", "4711", "x.beta", "")))


def connected(sandbox: Sandbox, *, timeout_s: float = 2.0, **clusters: str) -> EnvoyRouter:
    return EnvoyRouter(
        sandbox.state.urls["envoy_admin"],
        sandbox.layout.route_file,
        clusters=Clusters(**(clusters or {"sticky_cookie": COOKIE})),
        cohorts={"staff": STAFF},
        timeout_s=timeout_s,
    )


@pytest.fixture
def router(sandbox: Sandbox) -> Iterator[EnvoyRouter]:
    with connected(sandbox) as router:
        yield router


class Clients:
    """Asks as many users, each with its own headers and no cookie jar, some at a time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._transport = httpx.HTTPTransport()
        self._threads = ThreadPoolExecutor(8)

    def close(self) -> None:
        self._threads.shutdown()
        self._transport.close()

    def ask(self, headers: dict[str, str]) -> httpx.Response:
        answer = self._transport.handle_request(httpx.Request("GET", self._url + "/work", headers=headers))
        answer.read()
        assert answer.status_code == 200
        return answer

    def side(self, headers: dict[str, str]) -> str:
        return str(self.ask(headers).headers["x-side"])

    def on_canary(self, users: Iterable[str], form: str = f"cookie: {COOKIE}={{}}", **more: str) -> set[str]:
        """The users whose request the canary answers; `form` is the header that tells who they are."""
        name, _, value = form.partition(": ")
        named = {name.replace("_", "-"): one for name, one in more.items()}
        asked = list(users)
        sides = self._threads.map(lambda user: self.side({name: value.format(user), **named}), asked)
        return {user for user, where in zip(asked, sides, strict=True) if where == "canary"}


@pytest.fixture
def clients(sandbox: Sandbox) -> Iterator[Clients]:
    clients = Clients(sandbox.state.urls["service"])
    yield clients
    clients.close()


def near(found: int, percent: int, of: int) -> bool:
    share = percent / 100
    return abs(found - of * share) <= SIGMAS * sqrt(of * share * (1 - share))


@pytest.mark.parametrize("audience", [None, "beta"])
def test_no_user_of_the_canary_goes_back_while_the_share_grows(
    router: EnvoyRouter, clients: Clients, audience: str | None
) -> None:
    users = [f"{audience or 'user'}.{number}" for number in range(250)]
    before: set[str] = set()
    for percent in SHARES:
        router.write_for(percent, audience, new_stamp())
        now = clients.on_canary(users)
        assert before <= now
        assert near(len(now), percent, len(users)), (percent, len(now))
        before = now
    assert before == set(users)


def test_users_who_are_known_by_a_header_stay_whatever_their_cookie(sandbox: Sandbox, clients: Clients) -> None:
    """One user with two devices, that is two cookies, is on one side."""
    users = [f"user-{number}" for number in range(60)]
    with connected(sandbox, sticky_cookie=COOKIE, sticky_header="x-user-id") as router:
        router.write(25, new_stamp())
        few = clients.on_canary(users, "x-user-id: {}")
        assert few == clients.on_canary(users, "x-user-id: {}", cookie=f"{COOKIE}=1")
        router.write(50, new_stamp())
        assert few < clients.on_canary(users, "x-user-id: {}") < set(users)


def test_who_comes_without_a_cookie_gets_one_and_stays(router: EnvoyRouter, clients: Clients) -> None:
    """From their very first request on, and when the share has grown."""
    router.write(50, new_stamp())
    newcomers: dict[str, str] = {}
    for _ in range(30):
        first = clients.ask({})
        name, _, value = first.headers["set-cookie"].partition(";")[0].partition("=")
        assert name == COOKIE
        newcomers[value] = first.headers["x-side"]
    canary = {one for one, where in newcomers.items() if where == "canary"}
    assert len(newcomers) == 30
    assert clients.on_canary(newcomers) == canary
    router.write(75, new_stamp())
    assert canary <= clients.on_canary(newcomers)


@pytest.mark.parametrize("headers", OUTSIDERS, ids=str)
def test_nobody_else_reaches_the_canary_of_an_audience(
    router: EnvoyRouter, clients: Clients, headers: dict[str, str]
) -> None:
    """At the largest share there is."""
    router.write_for(100, "beta", new_stamp())
    assert clients.side({"cookie": f"{COOKIE}=beta.1"}) == clients.side({"cookie": f"a=b; {COOKIE}=beta"}) == "canary"
    assert {clients.side(headers) for _ in range(5)} == {"stable"}


def test_an_audience_by_header(router: EnvoyRouter, clients: Clients) -> None:
    """The share is of them, and each of them stays by the cookie."""
    router.write_for(50, "staff", new_stamp())
    cookies = [str(number) for number in range(60)]
    staff = clients.on_canary(cookies, x_staff="yes")
    assert near(len(staff), 50, len(cookies))
    assert staff == clients.on_canary(cookies, x_staff="yes")
    assert clients.on_canary(cookies) == set()


def test_a_route_takes_all_of_a_cohort_beside_the_share(router: EnvoyRouter, clients: Clients) -> None:
    """At 0 percent they alone; a share leaves their way open; a kill closes it."""
    split = router.write_overrides((BETA, STAFF), new_stamp())
    assert (split.canary_percent, split.bypassed) == (0, True)
    users = [f"beta.{number}" for number in range(20)]
    assert clients.on_canary(users) == set(users)
    assert clients.side({"x-staff": "yes"}) == "canary"
    assert {clients.side({}) for _ in range(5)} == {"stable"}
    router.write(1, new_stamp())
    assert router.read_routing() == Routing(1, (BETA, STAFF))
    assert clients.on_canary(users) == set(users)
    router.write(0, new_stamp())
    assert router.read_routing() == Routing(0)
    assert clients.on_canary(users) == set()


def test_a_share_taken_down_is_still_of_the_same_cohort(router: EnvoyRouter) -> None:
    """What the watch does knows of no cohort; a step that names none means everybody, and so does a new start from 0."""
    router.write_for(50, "beta", new_stamp())
    router.write(20, new_stamp())
    router.write_overrides((STAFF,), new_stamp())
    assert router.read_routing() == Routing(20, (STAFF,), BETA)
    router.write_for(30, None, new_stamp())
    assert router.read_routing() == Routing(30, (STAFF,))
    router.write_for(30, "beta", new_stamp())
    router.write(0, new_stamp())
    router.write(10, new_stamp())
    assert router.read_routing() == Routing(10)


def test_with_a_frozen_envoy_a_share_is_not_given_to_others(router: EnvoyRouter, sandbox: Sandbox) -> None:
    """From a cohort to everybody adds traffic even where the number is smaller."""
    router.write_for(50, "beta", new_stamp())
    before = router.route_file.read_text()
    sandbox.freeze_part("envoy")
    try:
        with connected(sandbox, timeout_s=0.2) as impatient:
            with pytest.raises(TargetUnavailable):
                impatient.write_for(10, None, new_stamp())
            assert router.route_file.read_text() == before
            with pytest.raises(TargetUnavailable, match=r"10 % is in"):
                impatient.write(10, new_stamp())
    finally:
        sandbox.thaw_part("envoy")


def test_a_cohort_that_nothing_tells_apart(sandbox: Sandbox) -> None:
    with connected(sandbox, sticky_header="x-user-id") as router:
        assert router.cohort("staff") == STAFF
        with pytest.raises(SettingsError, match="knows no cohort 'beta', it has: staff"):
            router.write_for(10, "beta", new_stamp())
