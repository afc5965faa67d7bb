"""The worker that read what a flow's process says is gone: the process goes on."""

import os
import subprocess
import sys
from pathlib import Path

from chrysalis.settings import CHECKOUT

SAYS_MORE = """
import logging, sys, threading
from prefect.logging.configuration import setup_logging
setup_logging()
from tasks.orphans import outlive_worker
outlive_worker()
sys.stdin.read()
for name in ("chrysalis", "chrysalis", "prefect.flow_runs"):
    logging.getLogger(name).warning("nobody hears this")
thread = threading.Thread(target=logging.getLogger("chrysalis").error, args=("nor this",))
thread.start()
thread.join()
open(sys.argv[1], "w").write("it went on")
"""


def test_a_process_goes_on_when_nobody_reads_what_it_says(tmp_path: Path) -> None:
    went_on = tmp_path / "went-on"
    reads, says = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", SAYS_MORE, str(went_on)],
        cwd=CHECKOUT,
        env={**os.environ, "PREFECT_LOGGING_TO_API_ENABLED": "false"},
        stdin=subprocess.PIPE,
        stdout=says,
        stderr=says,
    )
    os.close(says)
    os.close(reads)
    process.communicate(timeout=120)
    assert went_on.read_text() == "it went on"
