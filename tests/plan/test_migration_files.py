"""A folder of migrations is read as a whole, or refused as a whole with everything that is wrong."""

from pathlib import Path

import pytest

from chrysalis.errors import StepFailed
from chrysalis.plan.migration_files import read_migrations

UP, DOWN = "0001_a.up.sql", "0001_a.down.sql"


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def test_files_become_migrations_in_order(tmp_path: Path) -> None:
    files = {f"{n:04d}_m{n}.{way}.sql": f"SELECT {n};" for n in (10, 9, *range(1, 9)) for way in ("up", "down")}
    assert [one.name for one in read_migrations(write(tmp_path, files))] == [f"{n:04d}_m{n}" for n in range(1, 11)]


def test_headers_say_kind_and_transaction(tmp_path: Path) -> None:
    header = "-- A comment first.\n-- chrysalis: contract, no-transaction\n"
    (one,) = read_migrations(write(tmp_path, {UP: header + "SELECT 1;", DOWN: "SELECT 1;\n-- chrysalis: no-transaction"}))
    assert (one.kind, one.up.transactional, one.down.transactional) == ("contract", False, True)


def test_line_ends_do_not_change_the_checksum(tmp_path: Path) -> None:
    def checksum(text: bytes) -> str:
        (tmp_path / UP).write_bytes(text)
        (tmp_path / DOWN).write_text("SELECT 1;")
        return read_migrations(tmp_path)[0].checksum

    assert checksum(b"SELECT 1;\r\n") == checksum(b"SELECT 1;\n") != checksum(b"SELECT 2;\n")


def test_an_empty_folder_has_none(tmp_path: Path) -> None:
    assert read_migrations(tmp_path) == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({UP: "SELECT 1;"}, "0001_a.up.sql has no 0001_a.down.sql", id="no way back"),
        pytest.param({DOWN: "SELECT 1;"}, "0001_a.down.sql has no 0001_a.up.sql", id="no way forward"),
        pytest.param({"0002_a.up.sql": "SELECT 1;", "0002_a.down.sql": "SELECT 1;"}, "number 0001 is missing", id="a gap"),
        pytest.param({"first.sql": "SELECT 1;"}, "first.sql: expected a name like 0001_what.up.sql", id="another name"),
        pytest.param({UP: "SELECT 1;", "0001_b.down.sql": "SELECT 1;"}, "one number and two names", id="two names"),
        pytest.param({UP: "SELECT 1;", "0001_b.up.sql": "x", DOWN: "x"}, "has the same number", id="one number twice"),
        pytest.param({UP: "-- nothing\n", DOWN: "SELECT 1;"}, "holds no statement", id="empty"),
        pytest.param({UP: "SELECT 1;\nCOMMIT;", DOWN: "SELECT 1;"}, "found 'COMMIT;'", id="a transaction of its own"),
        pytest.param({UP: "-- chrysalis: expnad\nSELECT 1;", DOWN: "x"}, "found the header 'expnad'", id="unknown header"),
        pytest.param({UP: "-- chrysalis: expand, contract\nSELECT 1;", DOWN: "x"}, "both expand and contract", id="both"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, files: dict[str, str], expected: str) -> None:
    with pytest.raises(StepFailed) as refused:
        read_migrations(write(tmp_path, files))
    assert expected in str(refused.value)
    assert "nothing was changed" in str(refused.value)


def test_a_plpgsql_block_is_not_a_transaction(tmp_path: Path) -> None:
    block = "DO $$\nBEGIN\n  PERFORM 1;\nEND;\n$$;"
    assert len(read_migrations(write(tmp_path, {UP: block, DOWN: "SELECT 1;"}))) == 1


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="is not a folder"):
        read_migrations(tmp_path / "none")
