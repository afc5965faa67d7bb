"""Two real processes at once: one wins, nothing is doubled, and the audit stays one chain."""

from collections.abc import Callable, Iterator
from multiprocessing import get_context
from typing import Any

import pytest

from chrysalis.ledger import Ledger
from tests.ledger.racers import race
from tests.ledger.samples import NOW, started

ROUNDS = 15
Contest = Callable[[str, int], list[Any]]


@pytest.fixture
def contest(url: str) -> Iterator[Contest]:
    """Have both processes do the same thing; their two answers."""
    spawn = get_context("spawn")
    start = spawn.Barrier(2)
    pipes = [spawn.Pipe() for _ in range(2)]
    racers = [
        spawn.Process(target=race, args=(url, f"racer-{n}", theirs, start), daemon=True)
        for n, (_, theirs) in enumerate(pipes)
    ]
    for racer in racers:
        racer.start()
    ours = [mine for mine, _ in pipes]
    try:
        assert [pipe.recv() for pipe in ours] == ["ready", "ready"]

        def both(name: str, n: int) -> list[Any]:
            for pipe in ours:
                pipe.send((name, n))
            return [pipe.recv() for pipe in ours]

        yield both
    finally:
        for racer, pipe in zip(racers, ours, strict=True):
            pipe.send(None)
            racer.join(10)
            racer.kill()


def test_two_processes_at_once(ledger: Ledger, contest: Contest) -> None:
    """For a service, a release, a token, a lease, a request and a pause key, in one go, since processes start slowly."""
    rollout_id, token = started(ledger)
    ledger.open_wait(rollout_id, token, step_id="gate", kind="sign_off", needed_s=None, detail={}, now=NOW)

    for n in range(ROUNDS):
        service = contest("service", n)
        assert service.count("ServiceBusy") == 1, service

        (first, first_created), (second, second_created) = contest("release", n)
        assert first == second
        assert sorted([first_created, second_created]) == [False, True]

        tokens = contest("token", n)
        assert sorted(tokens) == [token + 1, token + 2]
        token += 2

        assert sorted(contest("lease", n), key=str) == [1, None]

        attempts = contest("begin", token)
        assert sorted(attempts) == [1, 2]

        requests = contest("request", n)
        assert requests[0] == requests[1]

        keys = contest("sign_off", n)
        assert keys[0] != keys[1]

    assert len(ledger.active()) == 1 + 2 * ROUNDS
    assert sorted(rollout.serial for rollout in ledger.active()) == list(range(1, 2 + 2 * ROUNDS))
    assert len(ledger.journal(rollout_id)) == 2 * ROUNDS
    assert ledger.verify_audit() == []
