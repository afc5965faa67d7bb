"""A small sound plan that says a little of everything, and changes to it."""

from pathlib import Path

SOUND = """\
chrysalis: 1
name: shop
service: shop

targets:
  traffic: {envoy: {admin_url: "${ENVOY_ADMIN_URL}", route_file: "${ENVOY_ROUTE_FILE}"}}
  config: {http_api: {url: "${SERVICE_URL}"}}
  database: {database: {url: "${SERVICE_DATABASE_URL}", migrations: migrations}}
  triad: {layers: {url: "${LAYERS_URL}", layers: [r1, r2], instances: [alpha, beta]}}

sources:
  prometheus: {prometheus: {url: "${PROMETHEUS_URL}"}}
  health: {sql: {url: "${SERVICE_DATABASE_URL}"}}

metrics:
  error_rate: {source: prometheus, unit: ratio, query: 'errors{side="{side}"}'}
  p99: {source: prometheus, unit: ms, query: 'p99{side="{side}"}'}
  users: {source: health, unit: count, query: {canary: "SELECT 1"}}

channels:
  oncall: {url: "${ONCALL_URL}"}

notifications:
  routes: {page: [oncall]}
  escalation:
    - {after: 0s, to: [oncall]}

people:
  ada: {roles: [lead]}
  bob: {roles: [lead, owner]}
  cy: {roles: [owner]}

sign_offs:
  go: {roles: [lead, owner], within: 2d, remind: 1d}

ladders:
  mode:
    target: config
    rungs:
      - mode: full
      - mode: lite
        enter: {when: {threshold: {metric: p99, above: 900ms}}, for: 10m}
        values: {mode: lite}

triggers:
  errors:
    when: {threshold: {metric: error_rate, above: 5%}}
    for: 2m
    respond: roll_back
    severity: page
    notify: [oncall]
  slow:
    when: {threshold: {metric: p99, above: 900ms}}
    respond: {switch_off: {target: config, feature: search}}
  slower:
    when: {threshold: {metric: p99, above: 2s}}
    respond: {step_down: {ladder: mode}}

decision_tree: [errors, slow]

windows:
  - {days: [mon, tue], start: "09:00", end: "17:00"}

quotas:
  budget: {metric: users, limit: 1000count}

phases:
  - name: some
    steps:
      - migrate: {name: schema, target: database}
      - set_flag: {name: configure, target: config, values: {search: true}}
      - record_baseline: {name: before, baseline: before, metrics: [p99], over: 1d}
      - set_weight: 30%
      - soak: &soak {name: at_30, for: 2d, every: 4h, checkpoint: [{threshold: {metric: p99, below: 500ms}}]}
      - gate:
          name: fit
          all:
            - threshold: {metric: error_rate, below: 1%}
            - any:
                - threshold: {metric: p99, below: 500ms}
                - comparison: {metric: p99, against: "baseline:before", at_most: 5%}
      - sign_off: {name: go, rule: go, question: Go to all?}
  - name: all
    steps:
      - ramp: {through: [50%, 75%], each: 1d}
      - set_weight: 100%
      - soak: {<<: *soak, name: at_100}
      - sign_off: {name: for_good, rule: go, point_of_no_return: true}
      - tag_version: {tag: old-final}

rollbacks:
  full:
    limit: 5m
    steps:
      - set_flag: {name: off, target: config, values: {search: false}}
    verify:
      - threshold: {metric: error_rate, side: stable, below: 1%}

operations:
  off: {title: Search off, steps: [{set_flag: {target: config, values: {search: false}}}]}

reports:
  weekly: {title: Weekly report, audience: [oncall], contents: [metrics]}

schedules:
  weekly: {run: weekly, cron: "0 9 * * 5"}
"""


def add_migrations(folder: Path, *kinds: str) -> None:
    """The folder of migrations that the sample names: one of each kind, in order."""
    (folder / "migrations").mkdir(exist_ok=True)
    for number, kind in enumerate(kinds or ("expand",), start=1):
        (folder / "migrations" / f"{number:04d}_m.up.sql").write_text(f"-- chrysalis: {kind}\nSELECT 1;")
        (folder / "migrations" / f"{number:04d}_m.down.sql").write_text("SELECT 1;")


def changed(old: str, new: str, *, text: str = SOUND) -> str:
    """The plan with one change; `old` must be there exactly once, so that a test changes what it means to."""
    assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
    return text.replace(old, new)
