"""Runs `chrysalis judge` in this process, on files written for it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chrysalis.cli_judge import main


@dataclass(frozen=True)
class Ended:
    """How it ended."""

    code: int
    out: str
    err: str

    @property
    def answer(self) -> Any:
        """What it printed, which has to be strict JSON."""

        def refuse(word: str) -> None:
            raise AssertionError(f"{word} is no JSON")

        return json.loads(self.out, parse_constant=refuse)


class Judge:
    """The program, with a folder for its files."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def file(self, name: str, content: Any) -> str:
        """Writes text as it is and anything else as JSON."""
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    def run(self, *arguments: str) -> Ended:
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main(list(arguments))
        printed = self._capsys.readouterr()
        return Ended(int(left.value.code or 0), printed.out, printed.err)

    def gate(self, spec: Any, data: Any, *more: str) -> Ended:
        files = ("--spec", self.file("spec.yaml", spec), "--data", self.file("data.json", data))
        return self.run("gate", *files, *more)

    def trigger(self, spec: Any, data: Any, *more: str) -> Ended:
        files = ("--spec", self.file("spec.yaml", spec), "--data", self.file("data.json", data))
        return self.run("trigger", *files, *more)

    def sides(self, command: str, control: Any, experiment: Any, *more: str) -> Ended:
        files = ("--control", self.file("control.json", control), "--experiment", self.file("experiment.json", experiment))
        return self.run(command, *files, *more)
