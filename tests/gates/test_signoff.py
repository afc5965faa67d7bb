"""Who may sign, whether enough have, what voids a signature, and when time is over: tables, and what must always hold."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gates.signoff import (
    LOCKED_FOR,
    TRIES,
    Grant,
    Rule,
    Seen,
    Signature,
    Tally,
    expired,
    grant,
    locked_until,
    reminders_due,
    tally,
    why_void,
)
from gates.verdict import Verdict

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PASS, UNKNOWN, FAIL = Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL
SEEN = Seen("plan", "2.0", {"errors": PASS})
BOTH = Rule(("lead", "owner"))
ONE = Rule(("lead", "owner"), quorum=1)
ROLES = {
    "ada": frozenset({"lead", "owner"}),
    "bob": frozenset({"lead"}),
    "cy": frozenset({"owner"}),
    "ci": frozenset({"lead"}),
}


def signed(signer: str, role: str, decision: str = "approve", *, seen: Seen = SEEN, behalf: str = "") -> Signature:
    return Signature(signer, behalf or signer, role, decision, "why", NOW, seen)  # type: ignore[arg-type]


def may(signer: str, rule: Rule = BOTH, *standing: Signature, givers: tuple[str, ...] = (), **more: str) -> Grant | str:
    given_ = {"decision": "approve", **more}
    return grant(rule, signer, roles_of=ROLES, givers=givers, starter="ci", standing=standing, **given_)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param(partial(may, "bob"), Grant("lead", "bob"), id="their role"),
        pytest.param(partial(may, "ada", BOTH, signed("bob", "lead")), Grant("owner", "ada"), id="the role that is left"),
        pytest.param(partial(may, "ada", BOTH, role="owner"), Grant("owner", "ada"), id="the role they ask for"),
        pytest.param(partial(may, "bob", BOTH, role="owner"), "not listed", id="a role they do not hold"),
        pytest.param(partial(may, "zed"), "not listed", id="a stranger"),
        pytest.param(partial(may, "ci"), "ci started the rollout", id="the starter"),
        pytest.param(
            partial(may, "ci", Rule(("lead",), starter_may_sign=True)), Grant("lead", "ci"), id="the starter, where they may"
        ),
        pytest.param(partial(may, "zed", BOTH, givers=("ci",)), "nobody may sign for ci", id="standing in for the starter"),
        pytest.param(partial(may, "zed", BOTH, givers=("cy",)), Grant("owner", "cy"), id="standing in"),
        pytest.param(
            partial(may, "zed", BOTH, signed("cy", "owner"), givers=("cy",)), "cy signed already", id="for one who signed"
        ),
        pytest.param(
            partial(may, "cy", BOTH, signed("zed", "owner", behalf="cy")),
            "somebody has signed for cy",
            id="for whom one signed",
        ),
        pytest.param(partial(may, "ada", ONE, signed("bob", "lead")), "nothing more is needed: bob", id="quorum reached"),
        pytest.param(partial(may, "bob", ONE, signed("bob", "lead")), Grant("lead", "bob"), id="the same person again"),
        pytest.param(
            partial(may, "ada", BOTH, signed("bob", "lead"), role="lead"), "bob as lead signed already", id="role taken"
        ),
        pytest.param(
            partial(may, "cy", BOTH, signed("bob", "lead", "reject")), "bob has rejected it: why", id="after a rejection"
        ),
        pytest.param(
            partial(may, "bob", BOTH, signed("bob", "lead", "reject")), Grant("lead", "bob"), id="a change of mind"
        ),
        pytest.param(
            partial(may, "ada", ONE, signed("bob", "lead"), decision="reject"),
            Grant("lead", "ada"),
            id="a rejection is always taken",
        ),
        pytest.param(partial(may, "ci", decision="reject"), "ci started the rollout", id="the starter rejects"),
        pytest.param(
            partial(may, "ada", Rule(("lead", "owner"), quorum=2), signed("bob", "lead")),
            Grant("lead", "ada"),
            id="one more",
        ),
        pytest.param(
            partial(may, "zed", BOTH, signed("bob", "lead"), givers=("bob", "cy")),
            Grant("owner", "cy"),
            id="who is left of two",
        ),
        pytest.param(
            partial(may, "zed", BOTH, givers=("ci", "cy")), Grant("owner", "cy"), id="not for the starter but another"
        ),
        pytest.param(
            partial(may, "zed", ONE, signed("ada", "lead", behalf="bob"), givers=("ada", "bob")),
            "ada and bob signed already; a person counts once",
            id="neither who stood in nor for whom",
        ),
        pytest.param(
            partial(may, "ada", BOTH, signed("bob", "lead"), signed("cy", "owner")),
            "nothing more is needed of them: bob as lead, cy as owner signed already",
            id="all roles taken",
        ),
        pytest.param(
            partial(may, "ada", Rule(("lead", "owner"), quorum=2), signed("bob", "lead"), signed("cy", "owner")),
            "nothing more is needed: bob, cy signed",
            id="quorum of two reached",
        ),
    ],
)
def test_who_may_sign(asked: Callable[[], Grant | str], expected: Grant | str) -> None:
    answer = asked()
    assert answer == expected or (isinstance(answer, str) and isinstance(expected, str) and expected in answer), answer


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (SEEN, None),
        (Seen("other", "2.0", {"errors": PASS}), "the plan was changed"),
        (Seen("plan", "2.1", {"errors": PASS}), "signed for release 2.0, now it is 2.1"),
        (Seen("plan", "2.0", {"errors": FAIL}), "errors: PASS when it was signed, now FAIL"),
        (Seen("plan", "2.0", {"errors": PASS, "p99": FAIL}), "p99: not judged when it was signed, now FAIL"),
        (Seen("plan", "2.0", {"errors": UNKNOWN}), None),
        (Seen("plan", "2.0", {}), None),
    ],
)
def test_what_voids_a_signature(now: Seen, says: str | None) -> None:
    why = why_void(signed("bob", "lead"), now)
    assert (why is None) if says is None else (why is not None and says in why)
    assert why_void(signed("bob", "lead", "reject"), now) is None, "a rejection stands"


def test_who_signed_for_a_failing_finding_saw_it() -> None:
    shown = Seen("plan", "2.0", {"errors": FAIL})
    assert why_void(signed("bob", "lead", seen=shown), shown) is None


def test_opened_anew_voids_what_was_signed_before() -> None:
    assert (
        why_void(signed("bob", "lead"), SEEN, NOW + timedelta(seconds=1))
        == "it was given before the sign-off was opened anew"
    )
    assert why_void(signed("bob", "lead"), SEEN, NOW) is None


def test_what_is_not_known_holds_and_voids_nothing() -> None:
    held = tally(ONE, [signed("bob", "lead")], Seen("plan", "2.0", {"errors": UNKNOWN}))
    assert (held.missing, held.void) == (("an answer: errors cannot be judged",), ())
    assert held.unanswered


TWO = Rule(("lead", "owner"), quorum=2)
CHANGED = Seen("other", "2.0", {"errors": PASS})


@pytest.mark.parametrize(
    ("rule", "given_", "expected"),
    [
        pytest.param(BOTH, [], Tally((), ("lead", "owner"), None, ""), id="nobody"),
        pytest.param(BOTH, [signed("bob", "lead")], Tally(("bob",), ("owner",), None, ""), id="one role"),
        pytest.param(
            BOTH, [signed("bob", "lead"), signed("cy", "owner")], Tally(("bob", "cy"), (), None, ""), id="both roles"
        ),
        pytest.param(TWO, [signed("bob", "lead")], Tally(("bob",), ("1 more of lead, owner",), None, ""), id="one of two"),
        pytest.param(TWO, [signed("bob", "lead"), signed("cy", "owner")], Tally(("bob", "cy"), (), None, ""), id="quorum"),
        pytest.param(
            ONE,
            [signed("bob", "lead"), signed("cy", "owner")],
            Tally(("bob", "cy"), (), None, ""),
            id="more than the quorum",
        ),
        pytest.param(
            TWO,
            [signed("zed", "owner", behalf="cy"), signed("cy", "owner")],
            Tally(("zed",), ("1 more of lead, owner",), None, ""),
            id="for somebody who signed",
        ),
        pytest.param(
            BOTH,
            [signed("bob", "lead", "reject"), signed("cy", "owner", "reject")],
            Tally((), ("lead", "owner"), "bob", "why"),
            id="rejected",
        ),
    ],
)
def test_where_a_sign_off_stands(rule: Rule, given_: list[Signature], expected: Tally) -> None:
    assert tally(rule, given_, SEEN) == expected


def test_void_signatures_are_named_and_make_room_for_others() -> None:
    void = signed("zed", "owner", behalf="cy", seen=CHANGED)
    why = why_void(void, SEEN)
    assert why is not None
    assert tally(BOTH, [void, signed("cy", "owner")], SEEN) == Tally(("cy",), ("lead",), None, "", (("zed", why),))
    assert tally(ONE, [signed("bob", "lead")], SEEN, NOW + timedelta(seconds=1)).approved_by == ()


def test_every_finding_that_was_lost_is_missing() -> None:
    shown = Seen("plan", "2.0", {"p99": PASS, "errors": PASS, "load": UNKNOWN})
    now = Seen("plan", "2.0", {"p99": UNKNOWN, "errors": UNKNOWN, "load": UNKNOWN, "new": UNKNOWN})
    lost = tuple(f"an answer: {name} cannot be judged" for name in ("errors", "p99"))
    assert tally(ONE, [signed("bob", "lead", seen=shown)], now).missing == lost
    one_of_two = tally(TWO, [signed("bob", "lead", seen=shown)], now)
    assert one_of_two.missing == ("1 more of lead, owner", *lost)
    assert not one_of_two.unanswered
    assert not tally(ONE, [signed("bob", "lead", seen=shown)], shown).unanswered
    assert tally(ONE, [], now).missing == ("1 more of lead, owner",)


NAMES = st.sampled_from(["ada", "bob", "cy", "dee"])
VERDICTS = st.dictionaries(st.sampled_from(["errors", "p99"]), st.sampled_from(list(Verdict)))
SEENS = st.builds(Seen, st.sampled_from(["plan", "other"]), st.just("2.0"), VERDICTS)


@st.composite
def signatures(draw: st.DrawFn) -> list[Signature]:
    """One per signer, some for somebody else."""
    signers = draw(st.lists(NAMES, unique=True))
    return [
        Signature(one, draw(st.sampled_from([one, "ada", "bob"])), draw(st.sampled_from(["lead", "owner"])),
                  draw(st.sampled_from(["approve", "reject"])), "", NOW, draw(SEENS))
        for one in signers
    ]  # fmt: skip


@given(signatures(), SEENS, st.sampled_from([BOTH, ONE, Rule(("lead", "owner"), quorum=2)]))
def test_nothing_passes_on_less_than_the_rule_asks_for(given_: list[Signature], now: Seen, rule: Rule) -> None:
    """Whatever was signed: complete means enough people, each once, for what still is so."""
    made = tally(rule, given_, now)
    counted = [one for one in given_ if one.signer in made.approved_by]
    people = [name for one in counted for name in {one.signer, one.principal}]
    assert len(people) == len(set(people)), "nobody counts twice"
    assert all(one.decision == "approve" and why_void(one, now) is None for one in counted)
    if not made.missing:
        assert len(counted) >= (rule.quorum or 0)
        assert rule.quorum is not None or {one.role for one in counted} >= set(rule.roles)
    assert (made.rejected_by is not None) == any(one.decision == "reject" for one in given_)


@pytest.mark.parametrize(
    ("waited_s", "within_s", "over"), [(59, 60.0, False), (60, 60.0, False), (61, 60.0, True), (10**9, None, False)]
)
def test_time_is_over_after_the_limit(waited_s: float, within_s: float | None, over: bool) -> None:
    assert expired(NOW, NOW + timedelta(seconds=waited_s), within_s) is over


@pytest.mark.parametrize(
    ("waited_s", "remind_s", "within_s", "due"),
    [
        (9, 10, 100, 0),
        (10, 10, 100, 1),
        (99, 10, 100, 9),
        (100, 10, 100, 9),
        (500, 10, 100, 9),
        (25, 10, None, 2),
        (25, None, 100, 0),
        (25, 0, 100, 0),
        (25, -1, 100, 0),
        (-25, 10, 100, 0),
        (50, 100, 10, 0),
        (2, 1, 2, 1),
        (20, 0.5, 1, 1),
    ],
)
def test_reminders_come_before_the_limit(waited_s: float, remind_s: float | None, within_s: float | None, due: int) -> None:
    assert reminders_due(NOW, NOW + timedelta(seconds=waited_s), remind_s, within_s) == due


def test_a_lock_lasts_longer_each_time_and_ends_with_a_right_code() -> None:
    wrong = [(NOW, False)] * TRIES
    assert locked_until(wrong[:-1], NOW) is None
    assert locked_until(wrong, NOW) == NOW + LOCKED_FOR
    assert locked_until(wrong, NOW + LOCKED_FOR) is None
    assert locked_until([*wrong, (NOW, False)], NOW) is None, "after the lock the next tries are looked at"
    assert locked_until([*wrong, *wrong], NOW) == NOW + 2 * LOCKED_FOR
    assert locked_until(wrong * 3, NOW) == NOW + 4 * LOCKED_FOR
    assert locked_until([*wrong, (NOW, True)], NOW) is None
    assert locked_until([(NOW, False), (NOW, True), *wrong], NOW) == NOW + LOCKED_FOR
    assert locked_until([], NOW) is None


def test_a_lock_begins_with_the_last_wrong_code() -> None:
    wrong = [(NOW + timedelta(minutes=minute), False) for minute in range(TRIES)]
    assert locked_until(wrong, NOW) == NOW + timedelta(minutes=TRIES - 1) + LOCKED_FOR
