"""For benchmarks/mutants.py, too, which takes this folder without the one above."""

import tests.gates.examples  # noqa: F401
