"""`make chaos`: kill everything everywhere, and say what came of it. See docs/chaos.md.

python -m tests.chaos                     all walks, on the real Crystal plan
python -m tests.chaos --only back/self    those whose name contains this; may be repeated
python -m tests.chaos --resume            leave out what chaos.json says was tried
python -m tests.chaos --list              the walks and how many points each has
"""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from chrysalis.sandbox.profiles import Profile, load_profile
from chrysalis.settings import CHECKOUT
from tests.chaos.campaign import WORKERS, Campaign, Forked, Staffed
from tests.chaos.signers import give_keys
from tests.chaos.staffed import staffed
from tests.chaos.world import world
from tests.stack import PLANS
from tests.stack import SPEED as STACK_SPEED

SPEED = 320_000.0
"""Plan seconds in a real one: the eight weeks of Crystal are 15 s of soaks."""
_SIDE = 'label_replace(vector({value}), "side", "{side}", "", "")'
_ASKED = ' and on (side) count by (side) (up{side="{side}"})'
CONSTANTS = {
    "p50": f"({_SIDE.format(value=20, side='canary')} or {_SIDE.format(value=60, side='stable')})" + _ASKED,
    "p99": f"({_SIDE.format(value=100, side='canary')} or {_SIDE.format(value=100, side='stable')})" + _ASKED,
    "memory": f"({_SIDE.format(value=50, side='canary')} or {_SIDE.format(value=50, side='stable')})" + _ASKED,
    "speed_up": "vector(8)",
    "canary_share": 'max(crystal_weight{service="{service}"})',
}
SHORT_SPEED = 36_000.0
RATE_RPS = 20.0
SHORT = ("forward/self/4", "back/self/4", "back/self/12", "back/ledger/3", "forward/twice/1")
"""Inside each effect, once forward and once back; the watch when it has just asked for the way back; the ledger on the way
back; and two that take a rollout up at once."""


def main() -> None:
    arguments = _arguments()
    plans = CHECKOUT / "tests" / "plans" if arguments.short else CHECKOUT / "deployments"
    demo = Profile("quick", SHORT_SPEED) if arguments.short else replace(load_profile("crystal"), speed=SPEED)
    home = Path(tempfile.mkdtemp(prefix="chrysalis-chaos-"))
    plan = steady(plans, home / "plans", demo.surveys) / demo.name / "plan.yaml"
    if (people := home / "plans" / "people.yaml").exists():
        give_keys(people, home / "ssh")
    forked = Forked(plan, demo, arguments.json, say)
    whole = Staffed(PLANS / "quick" / "plan.yaml", Profile("quick", STACK_SPEED), arguments.json, say, forked.walks, WORKERS)
    campaigns: dict[str, Campaign[Any]] = {name: one for one in (forked, whole) for name in one.names}
    if arguments.resume:
        for one in (forked, whole):
            one.load()
    only = arguments.only or (SHORT if arguments.short else ["*"])
    todo = list(dict.fromkeys(name for pattern in only for name in campaigns if fnmatch(name, pattern)))
    todo = [name for name in todo if name not in forked.walks]
    if arguments.list:
        points = {name: len(campaigns[name].planned[name].marks) for name in todo}
        for name in todo:
            say(f"{name:<24} {points[name]:>4} points of {campaigns[name].plan.name}")
        say(f"{len(todo)} walks, {sum(points.values())} points")
        shutil.rmtree(home)
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))  # ends what was started, wherever it is
    began = time.monotonic()
    try:
        for engine in (False, True):
            some = [name for name in todo if name in forked.planned and (forked.planned[name].victim == "server") is engine]
            if not some:
                continue
            folder = home / ("engine" if engine else "plain")
            folder.mkdir()
            with world(folder, plan, keys=home / "ssh", rate_rps=RATE_RPS, speed=demo.speed, engine=engine) as here:
                say(f"all is up below {folder}; {len(some)} walks" + (", in Prefect's engine" if engine else ""))
                forked.run(here, some)
        if some := [name for name in todo if name in whole.planned]:
            folder = home / "whole"
            folder.mkdir()
            with staffed(folder, whole.path) as staff:
                say(f"all is up below {folder}; {len(some)} walks, on a whole stack with a worker")
                whole.run(staff, some)
    finally:
        if arguments.keep:
            say(f"logs are kept in {home}")
        else:
            shutil.rmtree(home, ignore_errors=True)
    say(f"\n{forked.summary()} in {(time.monotonic() - began) / 60:.1f} min; see {arguments.json}")
    sys.exit(0 if forked.passed == forked.points else 1)


def steady(plans: Path, folder: Path, surveys: Mapping[str, float]) -> Path:
    """The plans without what chance and a slow machine decide here.

    How long answers take while others are killed, whether a handful of samples of the memory can be told to be flat, which
    of the few requests of a scaled window the canary got, for which the weight that the service says it has stands, and what
    `surveys` said, which is too old after 5 s at this speed.
    """
    shutil.copytree(plans, folder)
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 1000
    constants = {**CONSTANTS, **{name: f"vector({value})" for name, value in surveys.items()}}
    for path in folder.glob("*/plan.yaml"):
        plan = yaml.load(path)
        metrics = plan.get("metrics", {})
        for name in constants.keys() & metrics.keys():
            metric = metrics[name]
            metric["query"] = constants[name]
            if name in surveys:
                metric["source"] = "prometheus"
                metric.pop("interval", None)
        yaml.dump(plan, path)
    return folder


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", default=[], help="walks with such a name, in the order given")
    parser.add_argument("--resume", action="store_true", help="leave out the walks that the JSON file has")
    parser.add_argument("--json", type=Path, default=Path("chaos.json"), help="where the result goes")
    parser.add_argument("--short", action="store_true", help="a few walks of a short plan, as in `make test`")
    parser.add_argument("--keep", action="store_true", help="keep the logs")
    parser.add_argument("--list", action="store_true", help="only list the walks")
    return parser.parse_args()


if __name__ == "__main__":
    main()
