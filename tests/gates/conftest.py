"""Examples have no deadline here: how fast they are is what benchmarks/gates.py says, and a busy machine is no failure."""

import os

from hypothesis import Phase, settings

settings.register_profile("untimed", deadline=None)
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
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "untimed"))
