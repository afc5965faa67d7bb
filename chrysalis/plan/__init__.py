"""The plan: YAML in, a frozen model out, every error with its place."""

from chrysalis.plan.load import LoadedPlan, Problem, check_people, check_plan, load_plan, parse_plan, plan_schema
from chrysalis.plan.model import Phase, Plan, PlannedStep, Rollback
from chrysalis.plan.timeline import describe, timeline

__all__ = [
    "LoadedPlan",
    "Phase",
    "Plan",
    "PlannedStep",
    "Problem",
    "Rollback",
    "check_people",
    "check_plan",
    "describe",
    "load_plan",
    "parse_plan",
    "plan_schema",
    "timeline",
]
