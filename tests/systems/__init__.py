"""All systems in the sandbox: forward, and each with its own faults. `python -m tests.systems`; see docs/systems.md."""
