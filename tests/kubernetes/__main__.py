"""`make kubernetes`: the Kubernetes targets on a real API server.

python -m tests.kubernetes [PYTEST OPTIONS]

Builds the server below `.chrysalis/kubernetes` where it is not there yet, starts it, runs
`tests/targets/test_kubernetes_server.py` on it, and ends it.
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from chrysalis.errors import SettingsError
from chrysalis.settings import CHECKOUT
from tests.kubernetes.build import ensure_programs
from tests.kubernetes.server import serving

TESTS = "tests/targets/test_kubernetes_server.py"


def main() -> int:
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))  # ends what was started
    try:
        programs = ensure_programs(CHECKOUT / ".chrysalis" / "kubernetes")
        with tempfile.TemporaryDirectory(prefix="chrysalis-kubernetes-") as folder, serving(programs, Path(folder)) as file:
            command = [sys.executable, "-m", "pytest", TESTS, *sys.argv[1:]]
            environment = {**os.environ, "CHRYSALIS_TEST_KUBECONFIG": str(file)}
            return subprocess.run(command, env=environment, check=False).returncode
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
