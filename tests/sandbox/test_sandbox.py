"""The sandbox at work: what it measures, what its faults do, what its load generator tells."""

import os
import time
from pathlib import Path

import httpx
import psycopg
import pytest

from chrysalis.errors import SettingsError, TargetUnavailable, WriteRefused
from chrysalis.sandbox.sandbox import Sandbox
from tests.sandbox.fixtures import new_stamp, query, until


def test_all_parts_run_and_only_on_loopback(sandbox: Sandbox) -> None:
    """Six processes, and the traffic starts at 0 %."""
    state = sandbox.state
    assert set(state.pids) == {"postgres", "stable", "canary", "envoy", "prometheus", "load"}
    assert state.ready
    assert all(url.startswith("http://127.0.0.1:") for url in state.urls.values())
    listening = {port for port in state.ports.values() if _listens_everywhere(port)}
    assert listening == set()


def _listens_everywhere(port: int) -> bool:
    wildcard = f"00000000:{port:04X}"
    return any(wildcard in line for line in Path("/proc/net/tcp").read_text().splitlines())


def test_two_versions_answer_as_themselves(sandbox: Sandbox) -> None:
    """By health and header."""
    for side, version in sandbox.state.versions.items():
        answer = httpx.get(sandbox.state.urls[side] + "/health")
        assert answer.json() == {"status": "ok", "version": version, "side": side}
        assert answer.headers["x-version"] == version


def test_prometheus_scrapes_both_versions_and_envoy(sandbox: Sandbox) -> None:
    """With labels for service, side and version."""
    until(lambda: len(query(sandbox, "up == 1")) == 3)
    rows = query(sandbox, "up{job='service'}")
    assert {(row["service"], row["side"], row["version"]) for row in rows} == {
        ("maia", "stable", "v1"),
        ("maia", "canary", "v2"),
    }
    until(lambda: {row.get("side") for row in query(sandbox, "envoy_cluster_upstream_rq_completed")} >= {"stable"})


def test_the_canary_is_measurably_better(sandbox: Sandbox) -> None:
    """At least twice as fast, a speed-up over 5, and within the ranges that the Crystal gates ask."""
    with sandbox.router() as router:
        router.write(50, new_stamp())
    speed_up = "rate(serial_seconds_total{side='canary'}[3s]) / rate(parallel_seconds_total{side='canary'}[3s]) > 5"
    until(lambda: len(query(sandbox, speed_up)) == 1)
    p50 = "histogram_quantile(0.5, sum by (side, le) (rate(response_time_seconds_bucket[3s])))"
    until(lambda: len(query(sandbox, p50)) == 2)
    by_side = {row["side"]: float(row["value"]) for row in query(sandbox, p50)}
    assert by_side["canary"] < by_side["stable"] / 2
    assert len(query(sandbox, "coherence_ratio{side='canary'} >= 0.6 <= 0.8")) == 1
    assert len(query(sandbox, "aether_weight{side='canary'} >= 0.25 <= 0.5")) == 1
    assert [row["weather"] for row in query(sandbox, "field_weather{side='canary'} == 1")] == ["flowing"]


def test_requests_are_rows_in_the_database(sandbox: Sandbox) -> None:
    """Of both versions, with the columns that the SQL gates ask."""
    with sandbox.router() as router:
        router.write(50, new_stamp())
    with psycopg.connect(sandbox.state.postgres["uri"], autocommit=True) as connection:
        until(lambda: len(connection.execute("SELECT DISTINCT version FROM system_health").fetchall()) == 2)
        row = connection.execute(
            "SELECT avg(coherence_ratio), count(DISTINCT user_id), sum(paradox_count) FROM system_health "
            "WHERE \"timestamp\" > now() - interval '48 hours'"
        ).fetchone()
        assert row is not None
        assert 0.6 < row[0] < 0.8
        assert row[1] > 1


def test_emergence_follows_the_plans_clock(sandbox: Sandbox) -> None:
    """Events come at the rate per plan hour once the canary has traffic."""
    with sandbox.router() as router:
        router.write(50, new_stamp())
    sandbox.set_plan_speed(36_000)
    with psycopg.connect(sandbox.state.postgres["uri"], autocommit=True) as connection:
        count = "SELECT count(*) FROM resonance_events WHERE event_type = 'emergence' AND side = 'canary'"
        until(lambda: (connection.execute(count).fetchone() or (0,))[0] > 20)
    sandbox.set_plan_speed(1)


@pytest.mark.parametrize("side", ["stable", "canary"])
def test_errors_come_at_the_rate_of_the_fault_on_one_side_only(sandbox: Sandbox, side: str) -> None:
    """30 % is 3 in 10, spread evenly."""
    other = "canary" if side == "stable" else "stable"
    sandbox.set_load(rate_rps=0)
    sandbox.fault("canary" if side == "canary" else "stable", error_rate=0.3)
    with httpx.Client() as client:
        codes = [client.get(sandbox.state.urls[side] + "/work").status_code for _ in range(20)]
        others = [client.get(sandbox.state.urls[other] + "/work").status_code for _ in range(5)]
    assert abs(codes.count(500) - 6) <= 1
    assert others == [200] * 5


def test_switching_the_feature_off_ends_the_errors_tied_to_it(sandbox: Sandbox) -> None:
    """The decision tree's last rung."""
    urls = sandbox.state.urls
    sandbox.fault("canary", error_rate=1.0, error_feature="collectiveResonance")
    for on, code in ((True, 500), (False, 200)):
        httpx.patch(urls["config"], json={"features": {"collectiveResonance": on}})
        assert httpx.get(urls["canary"] + "/work").status_code == code


@pytest.mark.parametrize(
    ("fault", "shown"),
    [
        pytest.param({"coherence": 0.3}, "coherence_ratio{side='canary'} < 0.4", id="low coherence"),
        pytest.param({"field_weather": "stormy"}, "field_weather{side='canary', weather='stormy'} == 1", id="weather"),
        pytest.param({"memory_growth_mb_s": 500}, "memory_bytes{side='canary'} > 3e8", id="memory growth"),
        pytest.param({"database_connections": 20}, "db_connections_used{side='canary'} >= 20", id="connections held"),
        pytest.param({"no_metrics": True}, "up{side='canary'} == 0", id="no metrics"),
    ],
)
def test_a_fault_shows_in_prometheus(sandbox: Sandbox, fault: dict[str, float | str | bool], shown: str) -> None:
    """And not on the other side."""
    sandbox.fault("canary", **fault)
    until(lambda: len(query(sandbox, shown)) == 1)
    assert query(sandbox, shown.replace("canary", "stable")) == [] or "connections" in shown


def test_added_latency_is_felt(sandbox: Sandbox) -> None:
    """By the client."""
    sandbox.fault("canary", latency_ms=150)
    assert httpx.get(sandbox.state.urls["canary"] + "/work").elapsed.total_seconds() >= 0.15


def test_a_crash_is_restarted_and_counted(sandbox: Sandbox) -> None:
    """As a supervisor would."""
    before = sandbox.state.restarts.get("canary", 0)
    sandbox.fault("canary", crash=True)
    until(lambda: sandbox.state.restarts.get("canary", 0) > before)
    until(lambda: healthy(sandbox))


def healthy(sandbox: Sandbox) -> bool:
    """Does the canary answer 200?"""
    try:
        return httpx.get(sandbox.state.urls["canary"] + "/health").is_success
    except httpx.HTTPError:
        return False


def test_a_crash_loop_lasts_until_it_is_cleared(sandbox: Sandbox) -> None:
    """While the version is down, too."""
    before = sandbox.state.restarts.get("canary", 0)
    sandbox.fault("canary", crash_loop=True)
    until(lambda: sandbox.state.restarts.get("canary", 0) >= before + 2)
    assert not healthy(sandbox)
    sandbox.clear_faults("canary")
    until(lambda: healthy(sandbox))


def test_a_slow_start_answers_503_until_it_is_over(sandbox: Sandbox) -> None:
    """Health and work alike."""
    sandbox.fault("canary", slow_start_s=1.0, crash=True)
    url = sandbox.state.urls["canary"]
    until(lambda: _status(url + "/work") == 503)
    until(lambda: _status(url + "/work") == 200)


def _status(url: str) -> int:
    try:
        return httpx.get(url).status_code
    except httpx.HTTPError:
        return 0


@pytest.mark.parametrize(
    "fault", [{"nope": 1}, {"error_rate": 2}, {"error_rate": "x"}, {"no_metrics": 1}, {"field_weather": "odd"}]
)
def test_a_fault_that_does_not_exist_is_refused(sandbox: Sandbox, fault: dict[str, float | str | bool]) -> None:
    """And none is switched on."""
    with pytest.raises(WriteRefused, match=next(iter(fault))):
        sandbox.fault("canary", **fault)
    assert httpx.get(sandbox.state.urls["canary"] + "/faults").json()["faults"] == {}


def test_rows_wait_while_the_database_is_away(sandbox: Sandbox) -> None:
    """Nothing is lost when it is back soon, and the service goes on serving."""
    user = "waits-for-the-database"
    sandbox.stop_part("postgres")
    answer = httpx.get(sandbox.state.urls["stable"] + "/work", headers={"x-user-id": user})
    assert answer.status_code == 200
    sandbox.start_part("postgres")

    def stored() -> bool:
        try:
            with psycopg.connect(sandbox.state.postgres["uri"]) as connection:
                row = connection.execute("SELECT count(*) FROM system_health WHERE user_id = %s", [user]).fetchone()
                return row is not None and row[0] == 1
        except psycopg.OperationalError:
            return False

    until(stored)


def test_the_load_generator_tells_exactly_when_the_canary_was_last_used(sandbox: Sandbox) -> None:
    """First error and last request, header-routed ones included, and who lost what."""
    start = time.time()
    with sandbox.router() as router:
        router.write(50, new_stamp())
        sandbox.fault("canary", error_rate=0.5)
        until(lambda: sandbox.load_summary(since_s=start).lost_by_side.get("canary", 0) >= 3)
        router.write(0, new_stamp())
        safe = time.time()
    until(lambda: sandbox.load_summary(since_s=safe + 0.1).served >= 20)
    summary = sandbox.load_summary(since_s=start)
    assert summary.first_canary_error_s is not None
    assert summary.last_canary_request_s is not None
    assert start < summary.first_canary_error_s < summary.last_canary_request_s + 0.1 < safe + 0.2
    assert summary.lost_by_side.keys() == {"canary"}
    assert summary.exposure_ms is not None


def test_a_part_can_be_stopped_and_started(sandbox: Sandbox) -> None:
    """It stays down in between."""
    sandbox.stop_part("prometheus")
    with pytest.raises(SettingsError, match="'prometheus' does not run"):
        sandbox.kill_part("prometheus")
    sandbox.start_part("prometheus")
    until(lambda: _status(sandbox.state.urls["prometheus"] + "/-/ready") == 200)


def test_an_unknown_part_is_named(sandbox: Sandbox) -> None:
    """With those there are."""
    with pytest.raises(SettingsError, match=r"'nginx' .*canary"):
        sandbox.freeze_part("nginx")
    with pytest.raises(SettingsError, match="no part 'nginx'"):
        sandbox.stop_part("nginx")


def test_a_second_sandbox_in_the_same_folder_is_refused(sandbox: Sandbox) -> None:
    """The first one goes on."""
    with pytest.raises(SettingsError, match="a sandbox runs in"):
        Sandbox.start(sandbox.folder)
    assert sandbox.state.running


def test_memory_of_each_service_process_is_small(sandbox: Sandbox) -> None:
    """Under 80 MB."""
    for side in ("stable", "canary"):
        pages = int(Path(f"/proc/{sandbox.state.pids[side]}/statm").read_text().split()[1])
        assert pages * os.sysconf("SC_PAGE_SIZE") < 80_000_000


def test_a_side_that_is_down_is_unavailable(sandbox: Sandbox) -> None:
    """For faults."""
    sandbox.stop_part("canary")
    try:
        with pytest.raises(TargetUnavailable, match="canary at"):
            sandbox.fault("canary", error_rate=0.1)
    finally:
        sandbox.start_part("canary")
        until(lambda: healthy(sandbox))
