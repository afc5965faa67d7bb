"""`make chaos`: kill everything everywhere, and say what came of it. See docs/chaos.md.

python -m tests.chaos                     all walks, on the real Crystal plan
python -m tests.chaos --only back/self    those whose name contains this; may be repeated
python -m tests.chaos --resume            leave out what chaos.json says was tried
python -m tests.chaos --list              the walks and how many points each has
"""

import argparse
import shutil
import sys
import tempfile
import time
from fnmatch import fnmatch
from pathlib import Path

from chrysalis.local.demo import DEMO_PLANS, DemoPlan
from chrysalis.settings import CHECKOUT
from tests.chaos.campaign import Campaign
from tests.chaos.world import world

SPEED = 320_000.0
"""Plan seconds in a real one: the eight weeks of Crystal are 15 s of soaks."""
RATE_RPS = 20.0


def main() -> None:
    arguments = _arguments()
    demo = DEMO_PLANS["crystal"]
    plans = CHECKOUT / "deployments"
    campaign = Campaign(plans / "crystal" / "plan.yaml", DemoPlan("crystal", SPEED, demo.surveys), arguments.json, say)
    if arguments.resume:
        campaign.load()
    todo = [name for name in campaign.names if not arguments.only or any(fnmatch(name, only) for only in arguments.only)]
    todo = [name for name in todo if name not in campaign.walks]
    if arguments.list:
        for name in todo:
            say(f"{name:<24} {len(campaign.planned[name].marks):>4} points")
        say(f"{len(todo)} walks, {sum(len(campaign.planned[name].marks) for name in todo)} points")
        return
    home = Path(tempfile.mkdtemp(prefix="chrysalis-chaos-"))
    began = time.monotonic()
    try:
        with world(home, plans, rate_rps=RATE_RPS, speed=SPEED) as here:
            say(f"everything is up below {home}; {len(todo)} walks")
            campaign.run(here, todo)
    finally:
        if arguments.keep:
            say(f"logs are kept in {home}")
        else:
            shutil.rmtree(home, ignore_errors=True)
    say(f"\n{campaign.summary()} in {(time.monotonic() - began) / 60:.1f} min; see {arguments.json}")
    sys.exit(0 if campaign.passed == campaign.points else 1)


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", default=[], help="walks with such a name")
    parser.add_argument("--resume", action="store_true", help="leave out the walks that the JSON file has")
    parser.add_argument("--json", type=Path, default=Path("chaos.json"), help="where the result goes")
    parser.add_argument("--keep", action="store_true", help="keep the logs")
    parser.add_argument("--list", action="store_true", help="only list the walks")
    return parser.parse_args()


if __name__ == "__main__":
    main()
