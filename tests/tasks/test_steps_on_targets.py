"""Steps of a plan on targets of every kind, from the plan's text to the target and back: Envoy's cohorts, HAProxy's header,
a Deployment and a route on Kubernetes, flags in Unleash."""

import json
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent

import pytest

from chrysalis.clock import utc_now
from chrysalis.errors import TargetUnavailable
from chrysalis.sandbox.haproxy import BACKEND
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.targets.base import Stamp
from chrysalis.targets.envoy_routes import Clusters, CookieCohort, HeaderOverride, Routing, render
from tasks.safety import make_safe
from tasks.workspace import Workspace, open_ledger
from tests.metrics.servers import serving
from tests.sandbox.fixtures import running_sandbox, sandbox, until
from tests.targets.fake_kubernetes import FakeKubernetes, deployment, http_route
from tests.targets.fake_unleash import ADMIN, FakeUnleash
from tests.targets.haproxies import Running, haproxy, running
from tests.tasks.stepping import Stepped

__all__ = ["haproxy", "running", "running_sandbox", "sandbox"]

PLAN = """
chrysalis: 1
name: stepped
service: stepped
targets:
  {target}
sources:
  people: {{manual: {{}}}}
metrics:
  errors: {{source: people, unit: ratio, query: how many}}
triggers:
  errors: {{when: {{threshold: {{metric: errors, above: 5%}}}}, respond: roll_back, severity: page}}
phases:
  - name: some
    steps:
      {steps}
"""


def stepped(target: str, steps: str) -> Stepped:
    """A rollout on this target, with these steps."""
    return Stepped(PLAN.format(target=target.strip(), steps=indent(steps.strip(), " " * 6).strip()))


def watched(rollout: Stepped, name: str) -> str:
    """Run a step that needs somebody who watches."""
    open_ledger().beat("watch", detail={"blind": []}, now=utc_now())
    return rollout.run(name)


ENVOY = """
edge: {envoy: {admin_url: "%s", route_file: "%s", cohort_cookie: cohort, cohorts: {staff: "x-staff: yes"}}}
"""
COHORTS = """
- set_route: {name: open, target: edge, header: "x-canary: on", cohort: staff}
- set_weight: {name: some, target: edge, to: 5%, audience: beta}
- set_route: {name: closed, target: edge, enabled: false}
- set_weight: {name: all, target: edge, to: 10%}
"""


@pytest.fixture
def edge(sandbox: Sandbox) -> Iterator[Sandbox]:
    """Its route is at the end as nobody's: a rollout's token is newer than those of the sandbox's other users."""
    yield sandbox
    fresh = sandbox.layout.route_file.with_name(".fresh")
    fresh.write_text(json.dumps(render(Routing(0), "sandbox:0:start", Clusters())))
    fresh.rename(sandbox.layout.route_file)
    with sandbox.router() as router:
        until(lambda: router.read().stamp == Stamp(0, "sandbox", "start"))


def test_cohorts_on_envoy(home: Path, edge: Sandbox) -> None:
    rollout = stepped(ENVOY % (edge.state.urls["envoy_admin"], edge.state.paths["route_file"]), COHORTS)
    both, beta = (HeaderOverride("x-canary", "on"), HeaderOverride("x-staff", "yes")), CookieCohort("cohort", "beta")
    with edge.router() as router:
        assert rollout.run("open") == "header x-canary: on and cohort staff reach the canary"
        assert router.read_routing() == Routing(0, both)
        assert watched(rollout, "some") == "weight 0 % → 5 % of beta, read back"
        assert router.read_routing() == Routing(5, both, beta)
        assert rollout.run("closed") == "no header and no cohort reaches the canary"
        assert router.read_routing() == Routing(5, (), beta)
        rollout.undo("closed")
        assert router.read_routing() == Routing(5, both, beta)
        assert watched(rollout, "all") == "weight 5 % → 10 %, read back"
        assert router.read_routing() == Routing(10, both)
        rollout.undo("open")
        assert router.read_routing() == Routing(10)


HEADER = """
- set_route: {name: open, target: edge, header: "x-canary: on"}
- set_route: {name: closed, target: edge, enabled: false}
"""


def test_a_header_on_haproxy(home: Path, haproxy: Running) -> None:
    """Opened, closed and put back, while the weight stays as it is."""
    socket, routes = haproxy.folder / "admin.sock", haproxy.folder / "routes.map"
    target = f'edge: {{haproxy: {{socket: "{socket}", backend: {BACKEND}, routes: "{routes}", header: "x-canary: on"}}}}'
    rollout = stepped(target, HEADER)
    on = {"x-canary": "on"}
    assert rollout.run("open") == "header x-canary: on reaches the canary"
    assert (haproxy.ask(5, on), haproxy.ask(5)) == ({"canary": 5}, {"stable": 5})
    rollout.run("closed")
    assert haproxy.ask(5, on) == {"stable": 5}
    assert rollout.undo("closed") == "the header's way is open, as before"
    assert haproxy.ask(5, on) == {"canary": 5}
    assert rollout.undo("open") == "the header's way is closed, as before"
    assert haproxy.router.read().canary_percent == 0
    assert haproxy.ask(5, on) == {"stable": 5}


KUBERNETES = "pods: {kubernetes: {namespace: shop, deployment: web, route: web}}"
ON_KUBERNETES = """
- deploy: {target: pods}
- set_flag: {name: configure, target: pods, values: {MODE: hybrid, SEARCH: true}}
- operate: {name: more, target: pods, action: scale, arguments: {replicas: 10}, undo: nothing}
- set_weight: {name: share, target: pods, to: 5%}
"""
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: fake
clusters: [{name: fake, cluster: {server: "%s"}}]
users: [{name: fake, user: {}}]
contexts: [{name: fake, context: {cluster: fake, user: fake}}]
"""


@pytest.fixture
def kubernetes(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKubernetes]:
    fake = FakeKubernetes()
    fake.put("deployments", deployment(MODE="legacy"))
    fake.put("httproutes", http_route())
    fake.act()
    with serving(fake) as server:
        (home / "kubeconfig").write_text(KUBECONFIG % server.url)
        monkeypatch.setenv("KUBECONFIG", str(home / "kubeconfig"))
        yield fake


def test_a_rollout_on_kubernetes(home: Path, kubernetes: FakeKubernetes) -> None:
    rollout = stepped(KUBERNETES, ON_KUBERNETES)
    assert rollout.run("deploy") == "1 runs beside nothing: 1 on 2 replica(s), revision 2"
    assert rollout.run("configure") == "MODE=hybrid, SEARCH=True"
    assert rollout.run("more") == "1 on 10 replica(s), revision 3"
    assert watched(rollout, "share") == "weight 0 % → 5 %, read back"
    workspace = Workspace.open(rollout.id, rollout.token)
    assert make_safe(workspace, 0, actor="watch", cause="errors") == {"pods": 0}
    rules = kubernetes.get("httproutes", "web")["spec"]["rules"]
    assert [one["weight"] for rule in rules[:2] for one in rule["backendRefs"] if one["name"] == "canary"] == [0, 0]
    assert rollout.undo("configure") == "put back MODE=legacy, SEARCH=None"
    assert workspace.switchboard("pods").read() == {"MODE": "legacy"}
    assert rollout.undo("deploy") == "1.0 on 10 replica(s), revision 5"
    kubernetes.forbidden = {"get deployments"}
    with pytest.raises(TargetUnavailable, match="check its name and the role's rights"):
        workspace.switchboard("pods").read()


UNLEASH = """
- set_flag: {name: switched, target: flags, values: {search: true}}
- set_weight: {name: share, target: flags, to: 5%}
"""


def test_flags_and_a_share_in_unleash(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeUnleash()
    with serving(fake) as server:
        monkeypatch.setenv("UNLEASH_TOKEN", ADMIN)
        rollout = stepped(f'flags: {{unleash: {{url: "{server.url}", share: rollout}}}}', UNLEASH)
        switchboard = Workspace.open(rollout.id, rollout.token).switchboard("flags")
        for name in ("search", "rollout"):
            fake.flags[name] = {"production": {"enabled": False, "strategies": []}}
        assert rollout.run("switched") == "search=True"
        assert watched(rollout, "share") == "weight 0 % → 5 %, read back"
        assert switchboard.read() == {"search": True, "rollout": True}
        assert rollout.undo("switched") == "put back search=False"
        assert switchboard.read() == {"search": False, "rollout": True}
