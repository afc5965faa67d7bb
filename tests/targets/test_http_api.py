"""The configuration API as a switchboard, against targets that lie and against the sandbox's own service."""

from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chrysalis.errors import StaleToken, TargetUnavailable, WriteNotVerified, WriteRefused
from chrysalis.sandbox.ports import free_ports
from chrysalis.sandbox.sandbox import Sandbox
from chrysalis.targets.base import Stamp
from chrysalis.targets.http_api import HttpApiSwitchboard, flatten, unflatten
from tests.sandbox.fixtures import new_stamp
from tests.targets.lying_target import Manner, lying_target

STAMP = Stamp(5, "crystal-1", "hybrid.02")

words = st.text("abcdefgh", min_size=1, max_size=5)
leaves = st.one_of(st.booleans(), st.none(), st.floats(-1e6, 1e6), words, st.lists(words, max_size=3))
contents = st.dictionaries(words, st.one_of(leaves, st.dictionaries(words, leaves, min_size=1, max_size=3)), max_size=5)


def values() -> dict[str, Any]:
    return {"mode": "legacy", "weight": 0.0, "features": {"emergence": True}, "segments": ["beta"], "stamp": ""}


@given(contents)
def test_flattening_and_back_loses_nothing(content: dict[str, Any]) -> None:
    """Nested objects and lists come back as they were."""
    flat = flatten(content)
    assert unflatten(flat, flat) == content


def test_a_write_changes_only_what_it_names_and_carries_its_stamp() -> None:
    """Nested values by dotted name, lists by their JSON text, the stamp as header and value."""
    with lying_target(values(), "honest") as target, HttpApiSwitchboard(target.url) as board:
        after = board.write({"mode": "hybrid", "features.emergence": False, "segments": '["beta", "staff"]'}, STAMP)
        assert after == {
            "mode": "hybrid",
            "weight": 0.0,
            "features.emergence": False,
            "segments": '["beta", "staff"]',
            "stamp": str(STAMP),
        }
        assert target.values["segments"] == ["beta", "staff"]
        assert target.stamps == [str(STAMP)]


def test_a_repeated_write_sends_nothing() -> None:
    """What reads back as wanted, by the same stamp, is done."""
    with lying_target(values(), "honest") as target, HttpApiSwitchboard(target.url) as board:
        board.write({"mode": "hybrid"}, STAMP)
        board.write({"mode": "hybrid"}, STAMP)
        assert len(target.writes) == 1


def test_an_api_without_a_stamp_field_is_sent_none() -> None:
    """A field that it does not know could be refused."""
    bare = {"mode": "legacy"}
    with lying_target(bare, "honest") as target, HttpApiSwitchboard(target.url) as board:
        assert board.write({"mode": "hybrid"}, STAMP) == {"mode": "hybrid"}
        assert target.writes == [{"mode": "hybrid"}]


def test_a_late_target_is_waited_for() -> None:
    """A value that comes a little later is verified all the same."""
    with lying_target(values(), "late") as target, HttpApiSwitchboard(target.url) as board:
        assert board.write({"mode": "hybrid"}, STAMP)["mode"] == "hybrid"


@pytest.mark.parametrize(
    ("manner", "error", "said"),
    [
        pytest.param(
            "deaf", WriteNotVerified, "mode wrote 'hybrid', reads back 'legacy'", id="answers 200 and does not apply"
        ),
        pytest.param("refusing", WriteRefused, "422 .*mode must be legacy", id="refuses"),
        pytest.param("conflict", WriteRefused, "409 .*somebody else", id="conflict that is not ours"),
        pytest.param("failing", TargetUnavailable, "503 .*database is away", id="fails"),
    ],
)
def test_what_did_not_come_about_is_an_error(manner: Manner, error: type[Exception], said: str) -> None:
    """With what was written and what the target says."""
    with lying_target(values(), manner) as target, HttpApiSwitchboard(target.url, settle_s=0.1) as board:
        with pytest.raises(error, match=said):
            board.write({"mode": "hybrid"}, STAMP)
        assert target.values["mode"] == "legacy"


def test_a_switch_that_reads_back_as_text_was_not_set() -> None:
    """`"False"` is not false."""
    bare: dict[str, Any] = {"on": True}
    with (
        lying_target(bare, "coercing") as target,
        HttpApiSwitchboard(target.url, settle_s=0.1) as board,
        pytest.raises(WriteNotVerified, match="on wrote False, reads back 'False'"),
    ):
        board.write({"on": False}, STAMP)


def test_a_value_that_the_target_does_not_show_is_not_verified() -> None:
    """A misspelt name reads back as nothing."""
    with (
        lying_target(values(), "deaf") as target,
        HttpApiSwitchboard(target.url, settle_s=0.1) as board,
        pytest.raises(WriteNotVerified, match="moode wrote 'hybrid', reads back nothing"),
    ):
        board.write({"moode": "hybrid"}, STAMP)


def test_a_stale_token_is_refused_before_anything_is_sent() -> None:
    """By the stamp that the target shows."""
    newer = {**values(), "stamp": "crystal-2:9:transition.01"}
    with lying_target(newer, "honest") as target, HttpApiSwitchboard(target.url) as board:
        with pytest.raises(StaleToken, match=r"token 5 .*crystal-2:9"):
            board.write({"mode": "hybrid"}, STAMP)
        assert target.writes == []


def test_a_target_that_is_away_is_unavailable() -> None:
    """Reading and writing."""
    with HttpApiSwitchboard(f"http://127.0.0.1:{free_ports(1)[0]}/config", timeout_s=0.2) as board:
        for call in (board.read, lambda: board.write({"mode": "hybrid"}, STAMP)):
            with pytest.raises(TargetUnavailable, match="did not answer"):
                call()


def test_an_address_without_an_api_is_said(sandbox: Sandbox) -> None:
    """404 and something that is not JSON."""
    stable = sandbox.state.urls["stable"]
    with HttpApiSwitchboard(f"{stable}/nowhere") as board, pytest.raises(TargetUnavailable, match="404"):
        board.read()
    with HttpApiSwitchboard(f"{stable}/metrics") as board, pytest.raises(TargetUnavailable, match="no JSON object"):
        board.read()


def test_the_services_own_api_is_written_and_read_by_both_versions(sandbox: Sandbox) -> None:
    """One configuration, whichever version answers."""
    with HttpApiSwitchboard(sandbox.state.urls["config"]) as board:
        board.write({"mode": "hybrid", "crystalWeight": 0.3, "features.multiUserSync": True}, new_stamp())
    shown = httpx.get(sandbox.state.urls["canary"] + "/api/crystal/status").json()
    assert (shown["mode"], shown["crystalWeight"], shown["features"]["multiUserSync"]) == ("hybrid", 0.3, True)


def test_the_weights_api_refuses_a_stale_stamp_by_itself(sandbox: Sandbox) -> None:
    """It shows no stamp, and remembers it all the same."""
    old, new = new_stamp(), new_stamp()
    with HttpApiSwitchboard(sandbox.state.urls["weights"]) as board:
        assert board.write({"crystal": 0.5}, new)["crystal"] == 0.5
        with pytest.raises(StaleToken, match=f"token {old.token} "):
            board.write({"crystal": 0.9}, old)
        assert board.read()["crystal"] == 0.5


def test_the_service_refuses_what_it_does_not_know(sandbox: Sandbox) -> None:
    """With the reason."""
    with HttpApiSwitchboard(sandbox.state.urls["config"]) as board:
        with pytest.raises(WriteRefused, match="mode is 'nope', must be one of"):
            board.write({"mode": "nope"}, new_stamp())
        with pytest.raises(WriteRefused, match=r"crystalWeight is 1\.5"):
            board.write({"crystalWeight": 1.5}, new_stamp())


def test_a_value_that_was_not_there_before_is_taken_away_again(sandbox: Sandbox) -> None:
    """None is what a step found that brought the value; the way back must not stop at it."""
    with HttpApiSwitchboard(sandbox.state.urls["config"]) as board:
        stood = {"features.brandNew": board.read().get("features.brandNew")}
        assert board.write({"features.brandNew": True}, new_stamp())["features.brandNew"] is True
        assert "features.brandNew" not in board.write(stood, new_stamp())
