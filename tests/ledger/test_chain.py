"""What tampering with the chain of entries looks like, whatever is done to them."""

from dataclasses import fields, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chrysalis.ledger.chain import GENESIS, AuditEntry, AuditHead, Note, link, problems

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def chain(length: int, *, actor: str = "kim") -> list[AuditEntry]:
    entries: list[AuditEntry] = []
    head = AuditHead(0, GENESIS)
    for n in range(length):
        entries.append(link(Note(NOW, actor, "step_begun", "crystal-1", {"n": n, "ratio": 0.1}), head))
        head = AuditHead(entries[-1].seq, entries[-1].hash)
    return entries


def head_of(entries: list[AuditEntry]) -> AuditHead:
    return AuditHead(entries[-1].seq, entries[-1].hash) if entries else AuditHead(0, GENESIS)


def seqs_of_problems(entries: list[AuditEntry], *heads: AuditHead) -> list[int]:
    return [problem.seq for problem in problems(entries, heads)]


@pytest.mark.parametrize("length", [0, 1, 5])
def test_an_untouched_chain_has_no_problem(length: int) -> None:
    entries = chain(length)
    assert seqs_of_problems(entries, head_of(entries), head_of(entries[: length // 2])) == []


@pytest.mark.parametrize("name", [part.name for part in fields(AuditEntry)])
def test_a_change_of_any_column_is_found_where_it_is(name: str) -> None:
    entries = chain(5)
    changed: object = 9 if name == "seq" else "{}" if name == "detail" else "forged"
    entries[2] = replace(entries[2], **{name: changed})
    assert 3 in seqs_of_problems(entries, head_of(chain(5)))


def test_a_detail_that_is_no_json_is_a_change() -> None:
    entries = chain(3)
    entries[1] = replace(entries[1], detail="{")
    assert seqs_of_problems(entries, head_of(entries)) == [2]


def test_a_removed_entry_is_found() -> None:
    entries = chain(5)
    del entries[2]
    assert 3 in seqs_of_problems(entries, head_of(entries))


def test_an_entry_put_between_with_numbers_moved_up_is_found() -> None:
    entries = chain(5)
    forged = link(Note(NOW, "eve", "signed", "crystal-1", {}), head_of(entries[:2]))
    moved = [replace(entry, seq=entry.seq + 1) for entry in entries[2:]]
    assert seqs_of_problems([*entries[:2], forged, *moved], head_of(moved)) != []


def test_two_entries_that_changed_places_are_found() -> None:
    entries = chain(5)
    entries[1], entries[2] = replace(entries[2], seq=2), replace(entries[1], seq=3)
    assert {2, 3} <= set(seqs_of_problems(entries, head_of(chain(5))))


def test_a_cut_off_end_is_found_by_the_head() -> None:
    entries = chain(5)
    (problem,) = problems(entries[:3], [head_of(entries)])
    assert str(problem) == "audit entry 5: missing; the chain ends at 3, remembered is 5: its end was cut off"


def test_a_chain_written_anew_is_found_by_a_head_remembered_elsewhere() -> None:
    remembered = head_of(chain(3))
    forged = chain(5, actor="eve")
    assert seqs_of_problems(forged, head_of(forged)) == []
    assert seqs_of_problems(forged, head_of(forged), remembered) == [3]


@given(st.data())
def test_no_single_edit_goes_unnoticed(data: st.DataObject) -> None:
    entries = chain(6)
    at = data.draw(st.integers(0, 5), label="entry")
    match data.draw(st.sampled_from(["remove", "repeat", "swap", "actor"]), label="edit"):
        case "remove":
            del entries[at]
        case "repeat":
            entries.insert(at, entries[at])
        case "swap":
            other = data.draw(st.integers(0, 5).filter(lambda n: n != at), label="with")
            entries[at], entries[other] = entries[other], entries[at]
        case "actor":
            entries[at] = replace(entries[at], actor=data.draw(st.text().filter(lambda text: text != "kim"), label="actor"))
    assert list(problems(entries, [head_of(chain(6))])) != []
