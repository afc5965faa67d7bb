"""Every `chrysalis judge` command of README.md and docs/judging.md runs as it is written, on the files shown there."""

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.judge.running import Judge

CHECKOUT = Path(__file__).resolve().parents[2]
GUIDE = (CHECKOUT / "docs" / "judging.md").read_text(encoding="utf-8")
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
FILES = ("data.json", "gate.yaml", "trigger.yaml", "stable.json", "canary.json")
COMMAND = re.compile(r"^    chrysalis judge (.+)$", re.MULTILINE)
COMMANDS = sorted({" ".join(found.split()) for text in (GUIDE, README) for found in COMMAND.findall(text)})
BLOCKS = re.findall(r"```(json|yaml)\n(.*?)```", GUIDE, re.DOTALL)
SHOWN = [block for _, block in BLOCKS]


@pytest.fixture
def documented(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> Judge:
    data, gate, _, trigger, _, stable, canary = SHOWN
    for name, content in zip(FILES, (data, gate, trigger, stable, canary), strict=True):
        judge.file(name, content)
    monkeypatch.chdir(judge.folder)
    return judge


def test_all_four_judges_are_shown() -> None:
    assert {command.split()[0] for command in COMMANDS} == {"gate", "trigger", "rank-sum", "sequential"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_runs_as_it_is_written(documented: Judge, command: str) -> None:
    ended = documented.run(*shlex.split(command))
    assert (ended.code, ended.err) == (0, "")
    assert ended.answer.get("problems", []) == []


@pytest.mark.parametrize(("kind", "shown"), [("gate", 2), ("trigger", 4)])
def test_the_answer_is_the_one_that_is_shown(documented: Judge, kind: str, shown: int) -> None:
    command = next(one for one in COMMANDS if one.startswith(f"{kind} "))
    assert documented.run(*shlex.split(command)).answer == json.loads(SHOWN[shown])
