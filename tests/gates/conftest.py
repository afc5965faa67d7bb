"""Examples have no deadline here: how fast they are is what benchmarks/gates.py says, and a busy machine is no failure."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
