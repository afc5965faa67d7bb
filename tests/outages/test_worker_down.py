"""The worker that started the watch is gone, and nobody reads what the watch says: it makes a breach safe and goes on."""

import os
import subprocess
import sys
from pathlib import Path

from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.settings import CHECKOUT
from tests.outages.scene import begin, until

WATCH = """
from prefect.logging.configuration import setup_logging
setup_logging()
from flows.watch import watch
watch.fn(hours=1.0)
"""


def test_a_watch_that_nobody_listens_to_makes_a_breach_safe_and_goes_on(sandbox: Sandbox, home: Path) -> None:
    scene = begin(sandbox, home)
    reads, says = os.pipe()
    environment = {**os.environ, "PREFECT_LOGGING_TO_API_ENABLED": "false"}
    watch = subprocess.Popen([sys.executable, "-c", WATCH], cwd=CHECKOUT, env=environment, stdout=says, stderr=says)
    os.close(says)
    try:
        until(lambda: scene.soak.watched_s > 0.3, "the soak to be watched", timeout_s=120)
        os.close(reads)
        sandbox.fault("canary", error_rate=0.6)
        until(lambda: scene.weight == 0, "the watch to take the traffic off")
        until(lambda: "roll_back" in scene.asked, "the way back to be asked for")
        beat = scene.ledger.last_beat("watch")
        until(lambda: scene.ledger.last_beat("watch") != beat, "the watch to go on")
        assert watch.poll() is None
    finally:
        watch.kill()
        watch.wait()
