"""How Hypothesis makes its examples. HYPOTHESIS_PROFILE names another profile than the one for work at the desk.

No example has a deadline: how fast they are is what benchmarks/gates.py says, and a busy machine is no failure.
"""

import os

from hypothesis import HealthCheck, Phase, settings

SLOW_IS_FINE = [HealthCheck.too_slow]

settings.register_profile("searching", deadline=None, suppress_health_check=SLOW_IS_FINE)
# For `make test`: the same examples every time, so that it says something of the change and not of the day.
settings.register_profile("repeatable", deadline=None, suppress_health_check=SLOW_IS_FINE, derandomize=True, database=None)
# For benchmarks/mutants.py: the same examples every time, none kept, none made smaller.
settings.register_profile(
    "mutants",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=50,
    phases=[Phase.explicit, Phase.generate],
    report_multiple_bugs=False,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "searching"))
