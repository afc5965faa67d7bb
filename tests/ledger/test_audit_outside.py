"""The audit outside of the ledger: exported and archived entries are verified by a script that has nothing of ours."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import delete, text, update

from chrysalis.errors import LedgerError, LedgerUnavailable
from chrysalis.ledger import Ledger, check_audit, schema
from tests.ledger.samples import LATER, NOW
from tests.ledger.test_audit import AUDIT, lived, remove_triggers, run

CHECKER = Path(check_audit.__file__)
COLUMNS = [column.name for column in AUDIT.columns]


def checked(*files: Path, head: str = "", after: str = "") -> tuple[int, str]:
    """The script's exit code and what it said, from a folder and an interpreter that do not know this project."""
    command = [sys.executable, "-I", "-S", CHECKER, *files]
    command += ["--head", head] if head else []
    command += ["--after", after] if after else []
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.fixture
def exported(ledger: Ledger, tmp_path: Path) -> Path:
    lived(ledger)
    ledger.export_audit(tmp_path / "audit.jsonl")
    return tmp_path / "audit.jsonl"


def head_of(ledger: Ledger) -> str:
    head = ledger.audit_head()
    return f"{head.seq}:{head.hash}"


def test_the_checker_is_short_and_needs_python_alone() -> None:
    source = CHECKER.read_text().splitlines()
    assert len(source) <= 50
    assert {line.split()[1] for line in source if line.startswith(("import ", "from "))} <= set(sys.stdlib_module_names)


def test_an_untouched_export_is_whole(ledger: Ledger, exported: Path) -> None:
    code, said = checked(exported, head=head_of(ledger))
    assert (code, said) == (0, f"whole: entries 1 to 20, head {head_of(ledger)}\n")


def changed_line(number: int, change: Callable[[dict[str, object]], object]) -> Callable[[list[str]], None]:
    def tamper(lines: list[str]) -> None:
        entry = json.loads(lines[number - 1])
        change(entry)
        lines[number - 1] = json.dumps(entry, sort_keys=True, separators=(",", ":"))

    return tamper


TAMPERING = [
    *(pytest.param(changed_line(3, lambda e, n=name: e.update({n: "forged"})), id=name) for name in COLUMNS),
    pytest.param(changed_line(3, lambda e: e.pop("origin")), id="origin taken away"),
    pytest.param(changed_line(3, lambda e: e.update(more=1)), id="a column more"),
    pytest.param(lambda lines: lines.pop(0), id="first removed"),
    pytest.param(lambda lines: lines.pop(7), id="one removed"),
    pytest.param(lambda lines: lines.pop(), id="last removed"),
    pytest.param(lambda lines: lines.clear(), id="all removed"),
    pytest.param(lambda lines: lines.insert(4, lines[3]), id="inserted twice"),
    pytest.param(lambda lines: lines.insert(4, "{}"), id="inserted"),
    pytest.param(lambda lines: lines.reverse(), id="reversed"),
    pytest.param(lambda lines: lines.__setitem__(slice(3, 5), [lines[4], lines[3]]), id="two reordered"),
    pytest.param(
        lambda lines: lines.__setitem__(2, '{"actor":"eve",' + lines[2][1:]), id="a second actor in front of the real one"
    ),
]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> tuple[list[str], str]:
    """The lines of an export, and the head of its chain."""
    folder = tmp_path_factory.mktemp("original")
    shutil.copy(sqlite_template, folder / "ledger.db")
    with Ledger.open(f"sqlite:///{folder / 'ledger.db'}") as ledger:
        lived(ledger)
        ledger.export_audit(folder / "audit.jsonl")
        return (folder / "audit.jsonl").read_text().splitlines(), head_of(ledger)


@pytest.mark.parametrize("tamper", TAMPERING)
def test_the_checker_finds_every_kind_of_tampering(
    original: tuple[list[str], str], tmp_path: Path, tamper: Callable[[list[str]], None]
) -> None:
    lines = list(original[0])
    tamper(lines)
    (tmp_path / "audit.jsonl").write_text("".join(f"{line}\n" for line in lines))
    code, said = checked(tmp_path / "audit.jsonl", head=original[1])
    assert code == 1
    assert said.count("\n") >= 2, "it says what and where, and the sum"
    assert said.splitlines()[-1].startswith("WRONG")


def test_a_chain_that_was_written_anew_is_found_by_the_head(ledger: Ledger, exported: Path) -> None:
    """Whoever computes every hash anew has a whole chain, and not the one that somebody remembers."""
    remembered = head_of(ledger)
    lines = [json.loads(line) for line in exported.read_text().splitlines()]
    lines[2]["actor"] = "eve"
    previous = "0" * 64

    def canonical(entry: object) -> str:
        return json.dumps(entry, sort_keys=True, separators=(",", ":"))

    for entry in lines:
        entry.pop("hash")
        entry["previous_hash"] = previous
        entry["hash"] = previous = sha256(canonical(entry).encode()).hexdigest()
    exported.write_text("".join(f"{canonical(entry)}\n" for entry in lines))
    assert checked(exported)[0] == 0
    code, said = checked(exported, head=remembered)
    assert code == 1
    assert f"{remembered} is not on the chain" in said


def archived(ledger: Ledger, folder: Path) -> Path:
    """Everything made before LATER moved to a file; only the last entry was made then."""
    path = folder / "2026.jsonl"
    written = ledger.archive_audit(path, before=LATER, by="kim", now=LATER + timedelta(days=1))
    assert written is not None
    assert (written.first, written.last, written.entries) == (1, 19, 19)
    return path


def test_archiving_moves_what_old_entries_say_and_the_chain_stays_whole(ledger: Ledger, tmp_path: Path) -> None:
    lived(ledger)
    before, remembered = ledger.audit(), ledger.audit_head()
    old = archived(ledger, tmp_path)
    entries = ledger.audit()
    assert ledger.archived_through() == 19
    assert [one.hash for one in entries[:20]] == [one.hash for one in before]
    assert {(one.actor, one.subject, one.detail) for one in entries[:19]} == {("", "", "null")}
    assert entries[19] == before[19]
    assert (entries[20].actor, entries[20].action) == ("kim", "audit_archived")
    assert ledger.verify_audit(remembered) == []
    ledger.export_audit(tmp_path / "rest.jsonl")
    assert checked(old, tmp_path / "rest.jsonl", head=head_of(ledger))[0] == 0
    assert checked(tmp_path / "rest.jsonl")[0] == 1, "without what was before it, it does not begin at the beginning"
    assert checked(tmp_path / "rest.jsonl", after=f"19:{before[18].hash}")[0] == 0
    with pytest.raises(LedgerUnavailable, match="append-only"):
        run(ledger, delete(AUDIT))


def test_archiving_goes_on_from_where_it_was(ledger: Ledger, tmp_path: Path) -> None:
    lived(ledger)
    first = archived(ledger, tmp_path)
    lived_again = ledger.audit_head().seq
    much_later = LATER + timedelta(days=100)
    second = ledger.archive_audit(tmp_path / "2027.jsonl", before=much_later, by="kim", now=much_later)
    assert second is not None
    assert (second.first, second.last) == (20, lived_again)
    assert ledger.verify_audit() == []
    ledger.export_audit(tmp_path / "rest.jsonl")
    assert checked(first, second.path, tmp_path / "rest.jsonl", head=head_of(ledger))[0] == 0


def test_with_nothing_old_enough_nothing_is_archived(ledger: Ledger, tmp_path: Path) -> None:
    lived(ledger)
    head = ledger.audit_head()
    assert ledger.archive_audit(tmp_path / "a.jsonl", before=NOW, by="kim", now=LATER) is None
    assert ledger.audit_head() == head
    assert not (tmp_path / "a.jsonl").exists()


def test_an_archive_is_never_written_over_and_a_broken_chain_never_archived(ledger: Ledger, tmp_path: Path) -> None:
    lived(ledger)
    (tmp_path / "a.jsonl").write_text("precious")
    with pytest.raises(LedgerError, match="is there already"):
        ledger.archive_audit(tmp_path / "a.jsonl", before=LATER, by="kim", now=LATER)
    remove_triggers(ledger)
    run(ledger, update(AUDIT).where(AUDIT.c.seq == 3).values(actor="eve"))
    with pytest.raises(LedgerError, match=r"not whole: audit entry 3: .* it was changed"):
        ledger.archive_audit(tmp_path / "b.jsonl", before=LATER, by="kim", now=LATER)
    assert not (tmp_path / "b.jsonl").exists()
    assert ledger.audit()[2].action != "archived"


def test_what_is_left_of_an_archived_entry_cannot_be_changed_unseen(ledger: Ledger, tmp_path: Path) -> None:
    lived(ledger)
    archived(ledger, tmp_path)
    remove_triggers(ledger)
    (entry,) = ledger.audit(since=4, limit=1)
    for name in COLUMNS[1:]:
        run(ledger, update(AUDIT).where(AUDIT.c.seq == 5).values({name: "forged"}))
        assert ledger.verify_audit() != [], name
        run(ledger, update(AUDIT).where(AUDIT.c.seq == 5).values({name: getattr(entry, name)}))
    assert ledger.verify_audit() == []


def test_both_hashes_of_archived_neighbours_changed_alike_are_found(ledger: Ledger, tmp_path: Path) -> None:
    lived(ledger)
    archived(ledger, tmp_path)
    remove_triggers(ledger)
    run(ledger, update(AUDIT).where(AUDIT.c.seq == 5).values(hash="f" * 64))
    run(ledger, update(AUDIT).where(AUDIT.c.seq == 6).values(previous_hash="f" * 64))
    assert [problem.seq for problem in ledger.verify_audit()] == [19]


def test_an_entry_emptied_as_if_it_was_archived_is_found(ledger: Ledger) -> None:
    lived(ledger)
    remove_triggers(ledger)
    run(
        ledger,
        text("UPDATE audit SET at = '', actor = '', action = 'archived', subject = '', detail = 'null' WHERE seq = 3"),
    )
    assert [problem.seq for problem in ledger.verify_audit()] == [3]


def test_the_schema_of_the_ledger_is_what_the_checker_reads(ledger: Ledger, exported: Path) -> None:
    for line in exported.read_text().splitlines():
        assert set(json.loads(line)) == set(COLUMNS)
    assert schema.audit_head.c.keys() == ["one", "seq", "hash"]
