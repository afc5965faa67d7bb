"""From what a plan names to what can be called; what does not fit says which kind is needed."""

import pytest

from chrysalis import wiring
from chrysalis.errors import SettingsError
from chrysalis.metrics.prometheus import PrometheusSource
from chrysalis.plan import Plan, parse_plan
from chrysalis.targets.envoy import EnvoyRouter
from chrysalis.targets.http_api import HttpApiSwitchboard
from tests.stack import PLANS

PLAN: Plan = parse_plan((PLANS / "quick" / "plan.yaml").read_text(), "quick").plan
VARIABLES = {
    "ENVOY_ADMIN_URL": "http://127.0.0.1:9901",
    "ENVOY_ROUTE_FILE": "routes/rds.json",
    "SERVICE_URL": "http://127.0.0.1:8080/",
    "PROMETHEUS_URL": "http://127.0.0.1:9090",
}


def test_an_envoy_target_is_a_router_and_is_kept() -> None:
    router = wiring.router(PLAN, "traffic", VARIABLES)
    assert isinstance(router, EnvoyRouter)
    assert wiring.router(PLAN, "traffic", VARIABLES) is router


def test_an_http_api_is_a_switchboard_at_its_path() -> None:
    board = wiring.switchboard(PLAN, "config", VARIABLES)
    assert isinstance(board, HttpApiSwitchboard)
    assert board.read_url == "http://127.0.0.1:8080/api/config"


def test_sources_are_built_by_name_and_those_of_people_are_left_out() -> None:
    built = wiring.sources(PLAN, VARIABLES)
    assert list(built) == ["prometheus"]
    assert isinstance(built["prometheus"], PrometheusSource)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        pytest.param(lambda: wiring.router(PLAN, "config", VARIABLES), "quick: target config is a HttpApi", id="router"),
        pytest.param(lambda: wiring.switchboard(PLAN, "traffic", VARIABLES), "has no values to set", id="switchboard"),
        pytest.param(lambda: wiring.database_url(PLAN, "config", VARIABLES), "not a database", id="database"),
        pytest.param(lambda: wiring.router(PLAN, "traffic", {}), "ENVOY_ADMIN_URL", id="variable"),
    ],
)
def test_what_does_not_fit_is_named(call: object, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        call()  # type: ignore[operator]
