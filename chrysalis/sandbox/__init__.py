"""Real parts on loopback to roll out on: Envoy, Prometheus, PostgreSQL, two versions of a service with faults to switch on.

`Sandbox.start` in `sandbox.py` starts all of it; `keeper.py` is the process that holds it together; `cli.py` is the program.
"""
