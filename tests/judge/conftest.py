"""The program under test."""

from pathlib import Path

import pytest

from tests.judge.running import Judge


@pytest.fixture
def judge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Judge:
    return Judge(tmp_path, capsys)
