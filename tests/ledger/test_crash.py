"""kill -9 in the middle of a write: what was committed stays, of the rest there is no trace, and the next writer goes on."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from chrysalis.errors import LedgerUnavailable
from chrysalis.ledger import Ledger
from tests.ledger.samples import LATER, NOW, started
from tests.postgres import embedded_postgres

ROOT = Path(__file__).parents[2]


def test_a_writer_killed_inside_its_transaction_leaves_a_consistent_ledger(url: str) -> None:
    with Ledger.open(url) as ledger:
        rollout_id, token = started(ledger)
        with victim(url, rollout_id, token) as writer:
            writer.kill()
            writer.wait()
        before = ledger.get(rollout_id)
        assert (before.state, before.version) == ("pending", "2.0")
        assert [entry.step_id for entry in ledger.open_steps(rollout_id)] == ["committed"]
        assert ledger.verify_audit() == []

        successor = ledger.take_token(rollout_id, "flow-2", now=LATER)
        ledger.end_step(rollout_id, successor, step_id="committed", outcome="abandoned", detail={}, now=LATER)
        assert ledger.open_steps(rollout_id) == ()
        assert ledger.audit()[-1].action == "step_ended"
        assert ledger.verify_audit() == []


def test_what_a_killed_writer_was_writing_is_never_read(url: str) -> None:
    with Ledger.open(url) as ledger:
        rollout_id, token = started(ledger)
        with victim(url, rollout_id, token):
            assert ledger.get(rollout_id).version == "2.0"
            assert ledger.audit()[-1].action == "step_begun"
        ledger.beat("watch", detail={}, now=NOW)
        assert ledger.get(rollout_id).version == "2.0"


def test_a_killed_database_server_loses_nothing_that_was_committed() -> None:
    with embedded_postgres() as server, Ledger.open(server.get_uri(), patience_s=5) as ledger:
        rollout_id, token = started(ledger)
        ledger.begin_step(rollout_id, token, step_id="a", kind="k", detail={}, now=NOW)
        kill_with_children(server.get_pid())
        with pytest.raises(LedgerUnavailable):
            ledger.ping()
        server.ensure_postgres_running()
        ledger.end_step(rollout_id, token, step_id="a", outcome="done", detail={}, now=LATER)
        assert [entry.event for entry in ledger.journal(rollout_id)] == ["begun", "done"]
        assert ledger.verify_audit() == []


def kill_with_children(pid: int | None) -> None:
    """SIGKILL for the postmaster and all it started."""
    assert pid is not None
    postmaster = psutil.Process(pid)
    family = [postmaster, *postmaster.children(recursive=True)]
    for one in family:
        one.kill()
    psutil.wait_procs(family, timeout=10)


@contextmanager
def victim(url: str, rollout_id: str, token: int) -> Iterator[subprocess.Popen[str]]:
    """A process that is inside a write."""
    command = [sys.executable, "-m", "tests.ledger.victim", url, rollout_id, str(token)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "inside\n"
            yield writer
        finally:
            writer.kill()
