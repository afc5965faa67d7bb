"""The flow `rollout` in a process that says where it is: the entrypoint of a deployment whose worker is killed.

What is wanted, and where to say it, stands in the file that `ORDERS` names; a process reads it when it starts.
"""

import json
import os
from pathlib import Path

from flows.rollout import rollout
from tests.chaos import marks

__all__ = ["ORDERS", "rollout"]

ORDERS = "CHAOS_ORDERS"

if path := os.environ.get(ORDERS):
    orders = json.loads(Path(path).read_text())
    marks.install()
    here = marks.HERE
    here.process, here.wanted = "flow", set(orders["wanted"])
    here.door, here.trace = Path(orders["door"]), Path(orders["trace"])
