"""A whole Chrysalis on one machine: sandbox, Prefect server, worker and watch, for the demo, for trying out, for tests."""
