"""A plan whose way back cannot work is refused, with the place and what to do."""

from pathlib import Path

import pytest

from chrysalis.errors import PlanError
from chrysalis.plan import check_plan, load_plan
from tests.plan.samples import SOUND, add_migrations, changed
from tests.plan.test_problems import lines

FIRST = "      - migrate: {name: schema, target: database}\n"
BACK = "    steps:\n      - set_flag: {name: off,"
COMMAND = changed(FIRST, FIRST + "      - run_command: {run: [make, it]}\n")
ARCHIVED = changed("migrations: migrations}}", 'migrations: migrations, wal_archive: "/log"}}')


def with_back(step: str, *, text: str = ARCHIVED) -> str:
    return changed(BACK, BACK.replace("    steps:\n", f"    steps:\n      - {step}\n"), text=text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (COMMAND, "steps[1].run_command: found no undo"),
        (changed(FIRST, FIRST + "      - run_command: {run: [make, it], undo: [make, unit]}\n"), ""),
        (changed(FIRST, FIRST + "      - run_command: {run: [make, check], undo: nothing}\n"), ""),
        (changed(FIRST, FIRST + "      - operate: {target: config, action: purge}\n"), "expected the action that takes"),
        (
            changed(
                "    limit: 5m",
                "    limit: 5m\n    undo: false",
                text=changed(FIRST, FIRST + "      - run_command: {run: [x]}\n"),
            ),
            "",
        ),
        (
            with_back("restore: {target: database, to: latest_backup}"),
            "found no backup of 'database' that phase",
        ),
        (with_back("restore: {target: database, to: phase_start}", text=SOUND), "has no wal_archive"),
        (
            with_back(
                "restore: {target: database}", text=changed(FIRST, "      - back_up: {target: database}\n", text=ARCHIVED)
            ),
            "a back_up step with method: base",
        ),
        (
            with_back(
                "restore: {target: database}",
                text=changed(FIRST, "      - back_up: {target: database, method: base}\n" + FIRST, text=ARCHIVED),
            ),
            "",
        ),
        (with_back("import_data: {target: database}"), "import_data: found no export of 'database' before it"),
    ],
)
def test_what_a_way_back_needs(text: str, said: str) -> None:
    """A compensation for each effect, a backup that reaches far enough, an export before an import."""
    found = lines(text)
    assert [line for line in found if said in line] if said else found == [], found


def migrations(folder: Path, *kinds: str) -> Path:
    add_migrations(folder, *kinds)
    (folder / "plan.yaml").write_text(SOUND)
    return folder / "plan.yaml"


def test_a_contract_migration_before_the_point_of_no_return_is_refused(tmp_path: Path) -> None:
    """The stable side still serves, and would break with the schema; after the signature it is welcome."""
    path = migrations(tmp_path, "expand", "contract")
    with pytest.raises(PlanError, match=r"migrate: found 0002_m, a contract migration.*point_of_no_return, and to: 1 here"):
        load_plan(path)
    later = changed(
        "      - tag_version: {tag: old-final}\n",
        "      - tag_version: {tag: old-final}\n      - migrate: {name: contract, target: database}\n",
        text=changed("name: schema, target: database", "name: schema, target: database, to: 1"),
    )
    path.write_text(later)
    load_plan(path)


def test_migrations_that_are_not_there_are_found_before_the_start(tmp_path: Path) -> None:
    """A version above the newest file, and a folder that is missing; a text alone has no folder to look into."""
    path = migrations(tmp_path, "expand")
    path.write_text(changed("name: schema, target: database", "name: schema, target: database, to: 3"))
    with pytest.raises(PlanError, match=r"migrate\.to: found version 3, expected at most 1"):
        load_plan(path)
    path.write_text(changed("migrations: migrations", "migrations: elsewhere"))
    with pytest.raises(PlanError, match=r"elsewhere is not a folder"):
        load_plan(path)
    assert not isinstance(check_plan(path.read_text(), "plan.yaml"), list)
