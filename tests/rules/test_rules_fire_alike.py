"""Exported rules fire at the same evaluations as our judge, on thousands of random series with gaps, NaN and all else."""

from pathlib import Path
from random import Random

import pytest

from chrysalis.rules import rules_yaml
from tests.rules.promtool import expectation, promtool
from tests.rules.random_plans import firing_by_our_judge, random_plan, random_series

PLANS = 4
TRIGGERS = 50
EVALUATIONS = 20


def written(seed: str, folder: Path) -> tuple[Path, int, dict[int, set[str]]]:
    """A random plan's rules and what is expected of them: the file, how many series there are, and what fires when."""
    rng = Random(seed)
    plan, values = random_plan(rng, TRIGGERS)
    series = random_series(rng, plan, values, EVALUATIONS)
    text = rules_yaml(plan)
    assert "# not exported" not in text
    rules, test = folder / f"rules-{seed}.yml", folder / f"test-{seed}.yml"
    rules.write_text(text)
    firing = firing_by_our_judge(plan, series, EVALUATIONS)
    test.write_text(expectation(rules, series, firing))
    return test, len(series), firing


@pytest.mark.parametrize("seed", [*range(5), *(pytest.param(more, marks=pytest.mark.slow) for more in range(5, 25))])
def test_promtool_fires_at_the_same_evaluations(seed: int, tmp_path: Path) -> None:
    """In the normal run about 2,200 series and 1,000 triggers, each judged 20 times; five times that with the slow ones."""
    made = [written(f"{seed}-{index}", tmp_path) for index in range(PLANS)]
    assert sum(count for _, count, _ in made) > 400
    assert all(len(set().union(*firing.values())) > TRIGGERS / 3 for _, _, firing in made)
    done = promtool("test", "rules", *(test for test, _, _ in made))
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


def test_a_single_evaluation_that_differs_is_noticed(tmp_path: Path) -> None:
    test, _, firing = written("odd", tmp_path)
    at = next(index for index, names in firing.items() if names)
    text = test.read_text()
    one = f'{{"labels": "{{trigger=\\"{min(firing[at])}\\"}}", "value": 1}}'
    assert one in text
    before, after = text.split(one, 1)
    test.write_text(before + one.replace('"value": 1', '"value": 0') + after)
    assert promtool("test", "rules", test).returncode != 0
