"""What is told of a rollout, from the ledger alone."""

from tasks.report import report, report_markdown
from tests.tasks.conftest import NOW, Bench, begin
from tests.tasks.test_approve import sign, waiting


def test_a_rollout_that_has_not_begun_has_no_phases(bench: Bench) -> None:
    told = report(bench)
    assert (told["phases"], told["way_back"], told["waits"], told["asked"]) == ([], [], [], [])


def test_weights_count_when_they_were_reached(bench: Bench) -> None:
    begin(bench, "some.02.set_weight", "set_weight", outcome="done", summary="weight 30 %")
    begin(bench, "most.01.set_weight", "set_weight")
    assert [(phase["name"], phase["weights"]) for phase in report(bench)["phases"]] == [("some", [30]), ("most", [])]


def test_a_sign_off_says_who_is_missing_who_may_and_who_has_signed(bench: Bench) -> None:
    sign(waiting(bench), "dmitri")
    (wait,) = report(bench)["waits"]
    assert (wait["missing"], wait["may_sign"]) == (["product_owner"], ["ada", "dmitri", "pia"])
    text = report_markdown(bench)
    assert "who may: ada, dmitri, pia" in text
    assert "dmitri (devops_lead): approve c" in text


def test_what_is_asked_and_not_done_yet_is_told(bench: Bench) -> None:
    bench.ledger.request(bench.rollout.id, "pause", by="nadia", reason="lunch", now=NOW)
    assert "Asked: pause by nadia: lunch." in report_markdown(bench)
