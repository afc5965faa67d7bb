"""The route file: what is written reads back the same, and what we did not write is not guessed at."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chrysalis.targets.base import Stamp
from chrysalis.targets.envoy_routes import Clusters, CookieCohort, HeaderOverride, Loaded, Routing, loaded, render, written

names = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12)
cohorts = st.builds(HeaderOverride, names, names) | st.builds(CookieCohort, names, st.text("ab-_.+ü", min_size=1))
routings = st.builds(
    Routing, st.integers(0, 100), st.lists(cohorts, max_size=3, unique=True).map(tuple), st.none() | cohorts
)
clusters_kinds = st.builds(
    Clusters, st.just("blue"), st.just("green"), st.none() | st.just("x-user-id"), st.none() | st.just("cohort")
)


def as_envoy_dumps(content: dict[str, Any]) -> dict[str, Any]:
    """The config dump for a route file: weights of zero are left out, as Envoy does."""
    configuration = copy.deepcopy(content["resources"][0])
    for route in configuration["virtual_hosts"][0]["routes"]:
        for share in route["route"].get("weighted_clusters", {}).get("clusters", ()):
            if share["weight"] == 0:
                del share["weight"]
    return {"configs": [{"version_info": content["version_info"], "route_config": configuration}]}


@given(routings, clusters_kinds)
def test_a_routing_reads_back_the_same_from_the_file_and_from_envoy(routing: Routing, clusters: Clusters) -> None:
    """Nothing is lost on the way through the file and the dump."""
    stamp = Stamp(7, "crystal-1", "hybrid.03")
    content = render(routing, str(stamp), clusters)
    assert written(content, clusters) == Loaded(routing, str(stamp))
    back = loaded(as_envoy_dumps(content), clusters)
    assert back == Loaded(routing, str(stamp))
    assert back.stamp == stamp


@given(st.integers(0, 100))
def test_weights_always_add_up_to_100(percent: int) -> None:
    """Envoy refuses 0/0."""
    routes = render(Routing(percent), "v", Clusters())["resources"][0]["virtual_hosts"][0]["routes"]
    assert sum(share["weight"] for share in routes[-1]["route"]["weighted_clusters"]["clusters"]) == 100


def test_two_stamps_give_two_contents() -> None:
    """Envoy takes a file that differs only in its version for no change."""
    one, two = (render(Routing(30), version, Clusters())["resources"] for version in ("a:1:x", "a:2:x"))
    assert one != two


def _foreign(**changes: Any) -> dict[str, Any]:
    content = as_envoy_dumps(render(Routing(30), "v", Clusters()))
    content["configs"][0]["route_config"] |= changes
    return content


@pytest.mark.parametrize(
    "dump",
    [
        pytest.param({}, id="nothing loaded"),
        pytest.param({"configs": []}, id="no configuration"),
        pytest.param(_foreign(name="other"), id="another name"),
        pytest.param(_foreign(virtual_hosts=[]), id="no virtual host"),
        pytest.param(_foreign(virtual_hosts=[{"routes": []}]), id="no routes"),
        pytest.param(_foreign(virtual_hosts=[{"routes": [{"route": {"cluster": "stable"}}]}]), id="no weights"),
        pytest.param(as_envoy_dumps(render(Routing(30), "v", Clusters("a", "b"))), id="other clusters"),
    ],
)
def test_a_foreign_configuration_is_not_guessed_at(dump: dict[str, Any]) -> None:
    """What is not ours has no share."""
    assert loaded(dump, Clusters()) is None


def test_a_foreign_version_has_no_stamp() -> None:
    """A write by somebody else is read, and known to be somebody else's."""
    back = loaded(as_envoy_dumps(render(Routing(30), "by hand", Clusters())), Clusters())
    assert back is not None
    assert back.stamp is None
