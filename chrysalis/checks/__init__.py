"""Runs what a machine can check of a checklist: one item at a time or many at once, each with both operands and its time."""

from chrysalis.checks.result import Context, Result
from chrysalis.checks.run import run_items

__all__ = ["Context", "Result", "run_items"]
