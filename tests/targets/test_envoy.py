"""The router against a real Envoy in front of two real versions."""

import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from chrysalis.errors import StaleToken, TargetUnavailable, WriteNotVerified, WriteRefused
from chrysalis.sandbox.ports import free_ports
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.targets.base import Split, Stamp
from chrysalis.targets.envoy import EnvoyRouter
from chrysalis.targets.envoy_routes import Clusters, HeaderOverride, Routing
from tests.sandbox.fixtures import new_stamp, until

STAFF = HeaderOverride("x-canary", "on")


@pytest.fixture
def router(sandbox: Sandbox) -> Iterator[EnvoyRouter]:
    """The sandbox's router, with the staff's header as override."""
    with sandbox.router(overrides=(STAFF,)) as router:
        yield router


def shown(percent: int, stamp: Stamp) -> Split:
    """What the fixture's router reads back: its header is open whenever the share is above 0."""
    return Split(percent, stamp, bypassed=percent > 0)


def sides(sandbox: Sandbox, count: int = 40, **headers: str) -> list[str]:
    """Which side answered each of so many requests."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    with httpx.Client(base_url=sandbox.state.urls["service"], headers=given) as client:
        return [client.get("/work").headers["x-side"] for _ in range(count)]


@pytest.mark.parametrize("percent", [0, 1, 30, 50, 99, 100])
def test_a_write_reads_back_as_written(router: EnvoyRouter, percent: int) -> None:
    """Every share, the edges included."""
    stamp = new_stamp()
    assert router.write(percent, stamp) == shown(percent, stamp)
    assert router.read() == shown(percent, stamp)


def test_the_same_share_by_another_writer_is_seen_as_theirs(router: EnvoyRouter) -> None:
    """Envoy itself would not notice a file that differs only in its version."""
    router.write(30, new_stamp("hybrid.01"))
    later = new_stamp("hybrid.02")
    assert router.write(30, later) == shown(30, later)


def test_repeating_a_write_changes_no_file(router: EnvoyRouter) -> None:
    """A repeated write is answered from what is there."""
    stamp = new_stamp()
    router.write(30, stamp)
    before = router.route_file.stat().st_ino
    assert router.write(30, stamp) == shown(30, stamp)
    assert router.route_file.stat().st_ino == before


def test_a_stale_token_changes_nothing(router: EnvoyRouter) -> None:
    """Who was thought dead cannot undo what the successor did."""
    old, new = new_stamp(), new_stamp()
    router.write(0, new)
    with pytest.raises(StaleToken, match=f"token {old.token} .* older than {new.token}"):
        router.write(50, old)
    assert router.read() == shown(0, new)


def test_traffic_follows_the_share(router: EnvoyRouter, sandbox: Sandbox) -> None:
    """0 and 100 are exact."""
    router.write(100, new_stamp())
    assert set(sides(sandbox)) == {"canary"}
    router.write(0, new_stamp())
    assert set(sides(sandbox)) == {"stable"}


def test_a_kill_removes_the_override(router: EnvoyRouter, sandbox: Sandbox) -> None:
    """A share of 0 alone would leave the header's way to the canary open."""
    router.write(1, new_stamp())
    assert set(sides(sandbox, x_canary="on")) == {"canary"}
    router.write(0, new_stamp())
    assert router.read_routing() == Routing(0)
    assert set(sides(sandbox, x_canary="on")) == {"stable"}


def test_a_canary_for_a_header_alone(router: EnvoyRouter, sandbox: Sandbox) -> None:
    """0 percent of the rest, all of those with the header; and it says that the header bypasses the weight."""
    split = router.write_routing(Routing(0, (STAFF,)), new_stamp())
    assert (split.canary_percent, split.bypassed, split.reaches_canary) == (0, True, True)
    assert set(sides(sandbox, x_canary="on")) == {"canary"}
    assert set(sides(sandbox)) == {"stable"}


def test_users_stay_on_their_side_when_the_share_grows(sandbox: Sandbox) -> None:
    """By the hash of a header, the canary's users at 20 percent are among those at 60."""
    users = [f"user-{number}" for number in range(40)]

    def on_canary() -> set[str]:
        return {user for user in users if sides(sandbox, 1, x_user_id=user) == ["canary"]}

    admin = sandbox.state.urls["envoy_admin"]
    with EnvoyRouter(admin, sandbox.layout.route_file, clusters=Clusters(sticky_header="x-user-id")) as router:
        router.write(20, new_stamp())
        few = on_canary()
        assert few == on_canary()
        router.write(60, new_stamp())
        assert few < on_canary()


def test_a_cohort_by_cookie_keeps_its_users_when_the_share_grows(sandbox: Sandbox) -> None:
    """The cohort of 10 percent is part of that of 30."""
    admin = sandbox.state.urls["envoy_admin"]
    cookies = [f"user-{number}" for number in range(60)]

    def cohort() -> set[str]:
        return {one for one in cookies if sides(sandbox, 1, cookie=f"cohort={one}") == ["canary"]}

    with EnvoyRouter(admin, sandbox.layout.route_file, clusters=Clusters(sticky_cookie="cohort")) as router:
        router.write(10, new_stamp())
        few = cohort()
        router.write(30, new_stamp())
        many = cohort()
        assert few < many < set(cookies)


@pytest.mark.parametrize("percent", [-1, 101, 150])
def test_a_share_outside_0_to_100_is_refused(router: EnvoyRouter, percent: int) -> None:
    """Before anything is written."""
    before = router.read()
    with pytest.raises(WriteRefused, match=f"{percent} %"):
        router.write(percent, new_stamp())
    assert router.read() == before


def test_what_envoy_refuses_is_an_error_and_the_file_is_put_back(router: EnvoyRouter) -> None:
    """A refused file left behind would stop Envoy from routing at its next start."""
    stamp = new_stamp()
    router.write(30, stamp)
    with pytest.raises(WriteRefused, match="refused 10 %"):
        router.write_routing(Routing(10, (HeaderOverride("", "x"),)), new_stamp())
    assert router.read() == shown(30, stamp)
    assert json.loads(router.route_file.read_text())["version_info"] == str(stamp)


def test_a_file_that_envoy_does_not_watch_is_not_verified(sandbox: Sandbox, tmp_path: Path) -> None:
    """A write that does not take effect is never called done."""
    elsewhere = tmp_path / "rds.json"
    shutil.copy(sandbox.layout.route_file, elsewhere)
    with EnvoyRouter(sandbox.state.urls["envoy_admin"], elsewhere, timeout_s=0.2) as router:
        before = router.read()
        with pytest.raises(WriteNotVerified, match=r"wrote 30 % .* reads back 0 %"):
            router.write(30, new_stamp())
        assert router.read() == before


def test_an_envoy_that_is_away_is_unavailable(sandbox: Sandbox, tmp_path: Path) -> None:
    """Reading, counting and writing all say so."""
    with EnvoyRouter(f"http://127.0.0.1:{free_ports(1)[0]}", tmp_path / "rds.json", timeout_s=0.2) as router:
        for call in (router.read, router.counters, lambda: router.write(0, new_stamp())):
            with pytest.raises(TargetUnavailable, match="did not answer"):
                call()


def test_with_a_frozen_envoy_traffic_is_taken_off_and_never_added(router: EnvoyRouter, sandbox: Sandbox) -> None:
    """Envoy reads the safe share by itself as soon as it is back."""
    router.write(30, new_stamp())
    more, kill = new_stamp(), new_stamp()
    sandbox.freeze_part("envoy")
    try:
        with sandbox.router(timeout_s=0.2) as impatient:
            with pytest.raises(TargetUnavailable):
                impatient.write(50, more)
            with pytest.raises(TargetUnavailable, match=r"0 % is in rds\.json"):
                impatient.write(0, kill)
    finally:
        sandbox.thaw_part("envoy")
    until(lambda: router.read() == shown(0, kill))
    assert router.read_routing() == Routing(0)


def test_a_stale_token_is_refused_even_when_envoy_is_away(router: EnvoyRouter, sandbox: Sandbox) -> None:
    """The file itself remembers who wrote last."""
    old, new = new_stamp(), new_stamp()
    router.write(30, new)
    sandbox.freeze_part("envoy")
    try:
        with sandbox.router(timeout_s=0.2) as impatient, pytest.raises(StaleToken):
            impatient.write(0, old)
    finally:
        sandbox.thaw_part("envoy")
    assert router.read() == shown(30, new)


def test_the_share_outlasts_a_kill_of_envoy(router: EnvoyRouter, sandbox: Sandbox) -> None:
    """A router that comes back with other weights would promote by accident."""
    stamp = new_stamp()
    router.write(30, stamp)
    before = sandbox.state.pids["envoy"]
    sandbox.kill_part("envoy")
    until(lambda: sandbox.state.pids.get("envoy", before) != before)
    until(lambda: _answers(router))
    assert router.read() == shown(30, stamp)


def _answers(router: EnvoyRouter) -> bool:
    try:
        router.read()
    except TargetUnavailable:
        return False
    return True


def test_writers_at_once_leave_the_newest_token(sandbox: Sandbox) -> None:
    """Whatever order they come in, the newest stands at the end and the others were done or told."""
    stamps = [new_stamp() for _ in range(12)]

    def write(stamp: Stamp) -> bool:
        with sandbox.router() as router:
            try:
                router.write(stamp.token % 100, stamp)
            except StaleToken:
                return False
        return True

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(write, stamps[6:] + stamps[:6]))
    assert any(done)
    with sandbox.router() as router:
        assert router.read().stamp == stamps[-1]


def test_counters_count_each_side(router: EnvoyRouter, sandbox: Sandbox) -> None:
    """Requests and errors, those by header included."""
    sandbox.set_load(rate_rps=0)
    router.write(1, new_stamp())
    sandbox.fault("canary", error_rate=1.0)
    before = router.counters()["canary"]
    sides(sandbox, 10, x_canary="on")
    after = router.counters()["canary"]
    assert after.completed - before.completed >= 10
    assert after.errors - before.errors >= 10


def test_a_version_that_is_down_counts_as_errors(router: EnvoyRouter, sandbox: Sandbox) -> None:
    """A connect failure is an error of that side."""
    router.write(100, new_stamp())
    sandbox.stop_part("canary")
    try:
        before = router.counters()["canary"]
        assert set(sides(sandbox, 10)) == {"canary"}
        assert router.counters()["canary"].errors - before.errors >= 10
    finally:
        router.write(0, new_stamp())
        sandbox.start_part("canary")
        until(lambda: _healthy(sandbox, "canary"))


def _healthy(sandbox: Sandbox, side: str) -> bool:
    try:
        return httpx.get(sandbox.state.urls[side] + "/health").is_success
    except httpx.HTTPError:
        return False


def test_a_cluster_that_envoy_does_not_have_is_named(sandbox: Sandbox) -> None:
    """A wrong name is not zero requests."""
    with EnvoyRouter(
        sandbox.state.urls["envoy_admin"], sandbox.layout.route_file, clusters=Clusters(canary="nope")
    ) as router:
        with pytest.raises(TargetUnavailable, match="'nope'"):
            router.counters()
        with pytest.raises(TargetUnavailable, match="'nope'"):
            router.read()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_said(sandbox: Sandbox, tmp_path: Path) -> None:
    """Nothing changes."""
    shutil.copy(sandbox.layout.route_file, tmp_path / "rds.json")
    tmp_path.chmod(0o500)
    with (
        EnvoyRouter(sandbox.state.urls["envoy_admin"], tmp_path / "rds.json") as router,
        pytest.raises(TargetUnavailable, match="nothing changed"),
    ):
        router.write(30, new_stamp())


def test_a_missing_folder_is_said(sandbox: Sandbox, tmp_path: Path) -> None:
    """Nothing changes."""
    with (
        EnvoyRouter(sandbox.state.urls["envoy_admin"], tmp_path / "gone" / "rds.json") as router,
        pytest.raises(TargetUnavailable, match="cannot be opened"),
    ):
        router.write(30, new_stamp())
