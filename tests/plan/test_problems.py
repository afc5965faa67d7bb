"""What fits together in a plan and what does not: a table of one change each, and the one line that it gives."""

import pytest

from chrysalis.plan import Plan, check_plan
from tests.plan.samples import SOUND, changed

NAMES = [
    ("source", "{source: health, unit", "{source: helth, unit", "metrics.users.source: found 'helth'"),
    ("route", "page: [oncall]", "page: [nobody]", "notifications.routes.page[0]: found 'nobody'"),
    ("escalation", "to: [oncall]", "to: [boss]", "notifications.escalation[0].to[0]: found 'boss'"),
    ("trigger's channel", "    notify: [oncall]", "    notify: [oncal]", "triggers.errors.notify[0]: found 'oncal'"),
    ("audience", "audience: [oncall]", "audience: [all]", "reports.weekly.audience[0]: found 'all'"),
    ("ladder's target", "target: config\n    rungs", "target: confg\n    rungs", "ladders.mode.target: found 'confg'"),
    ("response's target", "switch_off: {target: config", "switch_off: {target: cfg", "switch_off.target: found 'cfg'"),
    (
        "response's target kind",
        "switch_off: {target: config",
        "switch_off: {target: triad",
        "a Layers, expected one that has",
    ),
    ("feature", "feature: search", "feature: serach", "triggers.slow.respond.switch_off.feature: found 'serach'"),
    ("ladder", "ladder: mode}", "ladder: modes}", "triggers.slower.respond.step_down.ladder: found 'modes'"),
    ("mode", "ladder: mode}", "ladder: mode, to: light}", "triggers.slower.respond.step_down.to: found 'light'"),
    ("decision tree", "[errors, slow]", "[errors, slo]", "decision_tree[1]: found 'slo', expected a defined trigger"),
    ("decision twice", "[errors, slow]", "[slow, slow]", "decision_tree[1]: found 'slow' twice"),
    ("quota's metric", "metric: users, limit", "metric: user, limit", "quotas.budget.metric: found 'user'"),
    ("step's target", "name: schema, target: database", "name: schema, target: db", "migrate.target: found 'db'"),
    ("step's target kind", "name: schema, target: database", "name: schema, target: config", "expected a Database"),
    ("baseline's metric", "metrics: [p99], over", "metrics: [p98], over", "record_baseline.metrics[0]: found 'p98'"),
    ("baseline", '"baseline:before"', '"baseline:after"', "found baseline 'after' of p99"),
    ("rule", "{name: go, rule: go,", "{name: go, rule: gone,", "sign_off.rule: found 'gone'"),
    ("schedule", "{run: weekly, cron", "{run: wekly, cron", "schedules.weekly.run: found 'wekly'"),
    ("role", "roles: [lead, owner], within", "roles: [lead, boss], within", "sign_offs.go.roles[1]: found 'boss'"),
    ("rollback", "- name: some", "- name: some\n    rollback: ful", "phases[0].rollback: found 'ful'"),
    ("metric in a gate", "- threshold: {metric: error_rate, below: 1%}", "- threshold: {metric: errr, below: 1%}", "'errr'"),
    ("side without a query", "metric: error_rate, side: stable", "metric: users, side: stable", "no query for side stable"),
]
ORDER = [
    ("two phases of a name", "- name: all", "- name: some", "phases[1].name: found 'some' twice"),
    ("two steps of a name", "name: fit", "name: at_30", "phases[0].steps[5].gate.name: found step 'at_30' twice"),
    ("weight goes down", "set_weight: 100%", "set_weight: 60%", "found weight 60 % after 75 %"),
    ("ramp goes down", "[50%, 75%]", "[75%, 50%]", "ramp.through[1]: found weight 50 % after 75 %"),
    ("ramp stands still", "[50%, 75%]", "[50%, 50%]", "ramp.through[1]: found weight 50 % after 50 %"),
    ("ramp below the weight before", "[50%, 75%]", "[20%, 75%]", "ramp.through[0]: found weight 20 % after 30 %"),
    ("irreversible", "{tag: old-final}", "{tag: old-final, irreversible: true}", ""),
    ("irreversible too early", "tag_version: {tag: old-final}", "notify: hello", ""),
    ("unsigned", "point_of_no_return: true}", "question: Sure?, irreversible: true}", "found no sign-off before it"),
    ("rollback stops short", "    limit: 5m", "    limit: 5m\n    weight: 50", "which stops at 50 %"),
]
PEOPLE = [
    ("quorum", "owner], within", "owner], quorum: 4, within", "found 3 people who hold one of the roles (ada, bob, cy)"),
    ("one signs once", "roles: [lead, owner], within", "roles: [lead, lead, owner], within", ""),
    ("starter", "owner], within", "owner], quorum: 3, within", "whoever of people starts the rollout may not sign"),
    ("starter may", "owner], within", "owner], quorum: 3, starter_may_sign: true, within", ""),
    ("reminder", "remind: 1d", "remind: 3d", "sign_offs.go.remind: expected a reminder before the time is over"),
]
TIMES = [
    ("cron", '"0 9 * * 5"', '"0 9 * *"', "schedules.weekly.cron: found '0 9 * *', expected minute, hour"),
    ("cron field", '"0 9 * * 5"', '"0 25 * * 5"', "(Bad hour)"),
    ("cron never", '"0 9 * * 5"', '"0 9 31 2 *"', "(Bad day-of-month)"),
    ("window", 'end: "17:00"', 'end: "08:00"', "windows[0]: found a window in which no moment lies"),
    ("window's days", "days: [mon, tue]", "days: []", "windows[0]: found a window in which no moment lies"),
    ("soak", "name: at_30, for: 2d, every: 4h", "name: at_30, for: 0s", "soak.for: found 0s"),
    ("checkpoint", "for: 2d, every: 4h", "for: 2d, every: 3d", "soak.every: expected a time above 0s and no longer"),
    ("limit", "    limit: 5m", "    limit: 0s", "rollbacks.full.limit: found 0s"),
    (
        "limit kept",
        "    steps:\n      - set_flag: {name: off,",
        "    steps:\n      - soak: 6m\n      - set_flag: {name: off,",
        "6m > ",
    ),
    ("quota", "limit: 1000count", "limit: 1000count, warn: 90, stop: 80", "warn at 90 % after stop at 80 %"),
    ("interval", "{source: health, unit: count", "{source: health, interval: 0s, unit: count", "users.interval: found 0s"),
    (
        "timeout",
        'health: {sql: {url: "${SERVICE_DATABASE_URL}"',
        'health: {sql: {timeout: 0s, url: "x"',
        "timeout: found 0s",
    ),
]
IN_ANY = "- any:\n                - threshold: {metric: p99, below: "
LADDER = "enter: {when: {threshold: {metric: p99, above: "
UNITS = [
    ("gate", IN_ANY + "500ms}", IN_ANY + "5%}", "'%' (ratio), but the metric is in 'ms' (time)"),
    ("trigger", "{threshold: {metric: p99, above: 2s}}", "{threshold: {metric: p99, above: 2MB}}", "'MB' (size)"),
    ("ladder's unit", LADDER + "900ms}}", LADDER + "9x}}", "ladders.mode.rungs[1].enter.when.threshold"),
    (
        "quota's response",
        "1000count",
        "1000count, respond: {roll_back: {use: none}}",
        "quotas.budget.respond.roll_back.use: found 'none'",
    ),
    ("quota's channel", "limit: 1000count", "limit: 1000count, notify: [nobody]", "quotas.budget.notify"),
    ("quota's unit", "limit: 1000count", "limit: 1000ms", "quotas.budget.limit: users: 1000ms is in 'ms' (time)"),
]
TABLE = [*NAMES, *ORDER, *PEOPLE, *TIMES, *UNITS]


def lines(text: str) -> list[str]:
    """What checking says, a line each."""
    found = check_plan(text, "plan.yaml")
    return [] if isinstance(found, Plan) else [str(problem) for problem in found]


@pytest.mark.parametrize(("old", "new", "said"), [case[1:] for case in TABLE], ids=[case[0] for case in TABLE])
def test_one_change_gives_its_line(old: str, new: str, said: str) -> None:
    """Every mistake is told once, with its place; what only looks like one is not."""
    found = lines(changed(old, new))
    if not said:
        assert found == []
        return
    assert [line for line in found if said in line], found
    assert all(line.startswith("plan.yaml:") for line in found)


def test_the_sample_is_sound() -> None:
    """Otherwise the table proves nothing."""
    assert lines(SOUND) == []


def test_traffic_needs_a_trigger_that_takes_it_back() -> None:
    """Watched by nobody, by people only, or only told: no weight goes up in production."""
    start, end = SOUND.index("triggers:"), SOUND.index("windows:")
    for triggers in ("", "triggers:\n  told: {when: {threshold: {metric: p99, above: 2s}}, respond: page}\n"):
        found = lines(SOUND[:start] + triggers + SOUND[end:])
        assert [line for line in found if "found a change of production that nobody watches" in line], found


def test_staging_needs_no_trigger() -> None:
    """What no user reaches may go unwatched, and up and down."""
    start, end = SOUND.index("triggers:"), SOUND.index("windows:")
    text = (SOUND[:start] + SOUND[end:]).replace("    steps:\n", "    environment: staging\n    steps:\n", 2)
    assert lines(text.replace("[50%, 75%]", "[20%, 75%]")) == []


def test_all_problems_at_once_in_the_order_of_the_document() -> None:
    """Nobody mends a plan one run at a time."""
    text = changed("set_weight: 100%", "set_weight: 60%", text=changed("{source: health,", "{source: helth,"))
    found = lines(changed('"0 9 * * 5"', "never", text=text))
    assert ["helth" in found[0], "60 %" in found[1], "never" in found[2]] == [True] * 3


ENVOY = 'traffic: {envoy: {admin_url: "${ENVOY_ADMIN_URL}", route_file: "${ENVOY_ROUTE_FILE}"}}'
COOKIE = ENVOY.replace('}"}}', '}", cohort_cookie: c}}')
HAPROXY = 'traffic: {haproxy: {socket: s, backend: b, routes: r, header: "x-canary: on"}}'
WEIGHT, AUDIENCE = "- set_weight: 30%", "- set_weight: {to: 30%, audience: beta}"


@pytest.mark.parametrize(
    ("target", "steps", "said"),
    [
        (COOKIE, AUDIENCE, ""),
        (COOKIE.replace("cohort_cookie: c", 'cohorts: {beta: "x-beta: on"}'), AUDIENCE, ""),
        (ENVOY, AUDIENCE, "set_weight.audience: found cohort 'beta', which nothing tells apart"),
        (ENVOY, f"- set_route: {{cohort: beta}}\n      {WEIGHT}", "set_route.cohort: found cohort 'beta', which nothing"),
        (HAPROXY, AUDIENCE, "found cohort 'beta' on target 'traffic', a Haproxy; only an Envoy tells cohorts apart"),
        (HAPROXY, f'- set_route: {{header: "x-canary: on"}}\n      {WEIGHT}', ""),
        (
            HAPROXY,
            f'- set_route: {{header: "x-other: on"}}\n      {WEIGHT}',
            "found header 'x-other: on', expected 'x-canary",
        ),
        ("traffic: {unleash: {url: u}}", WEIGHT, "found target 'traffic' without `share`"),
        ("traffic: {unleash: {url: u, share: s}}", WEIGHT, ""),
        ("traffic: {unleash: {url: u, share: s}}", f"- set_route: {{}}\n      {WEIGHT}", "expected a Envoy or Haproxy"),
        ("traffic: {kubernetes: {deployment: web}}", WEIGHT, "found target 'traffic' without `route`"),
        ("traffic: {kubernetes: {deployment: web, route: web}}", WEIGHT, ""),
    ],
)
def test_what_a_step_needs_of_its_target(target: str, steps: str, said: str) -> None:
    found = lines(changed(ENVOY, target, text=changed(WEIGHT, steps)))
    assert found == [] if not said else [line for line in found if said in line], found


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("- activate: {target: triad, layers: [r1], instances: [alpha]}", ""),
        ("- activate: {target: triad, layers: [r2], instances: [alpha]}", "before r1"),
        ("- activate: {target: triad, layers: [r3], instances: [alpha]}", "'r3'"),
        ("- activate: {target: triad, layers: [r1], instances: [delta]}", "'delta'"),
        ("- waves: {target: triad, layers: [r1, r2], instances: [alpha, beta], each: 2d}", ""),
        ("- waves: {target: triad, layers: [r1], instances: [alpha], each: 0s}", "waves.each: found 0s"),
        ("- sign_off: {rule: go, irreversible: true}", "expected a sign_off step with point_of_no_return"),
    ],
)
def test_steps_of_layers(steps: str, said: str) -> None:
    """Layers go on in their order, on instances that there are."""
    found = lines(changed("      - migrate:", f"      {steps}\n      - migrate:"))
    assert [line for line in found if said in line] if said else found == [], found


def test_no_point_of_no_return_on_the_way_back() -> None:
    """It belongs to the way forward, where people see what they give up."""
    step = "      - sign_off: {rule: go, point_of_no_return: true}\n      - set_flag: {name: off,"
    found = lines(changed("      - set_flag: {name: off,", step))
    assert "found a point of no return aside from the way forward" in found[0]


def test_the_routers_counters_are_judged_now_and_over_no_window() -> None:
    prometheus = 'prometheus: {prometheus: {url: "${PROMETHEUS_URL}"}}'
    found = lines(changed(prometheus, 'prometheus: {envoy: {admin_url: "${ENVOY_ADMIN_URL}"}}'))
    said = [line for line in found if "the router's counters have no history" in line]
    assert any("p99" in line for line in said)
    assert not any("triggers.errors" in line for line in said)
