"""What a rollout will change, so that of two that want the same target the second is refused before it has begun.

Stamps order two writers, and the older one's writes are refused from then on, the safe ones included. So two active
rollouts never share a router's route or a named value, whatever their services are called.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from chrysalis.errors import SettingsError
from chrysalis.plan import Plan, parts
from chrysalis.plan.steps import SetFlag, SetRoute, SetWeight
from chrysalis.settings import fill_in
from gates.response import SetValue, SwitchOff, Throttle

DIGEST_CHARACTERS = 12


def claims(plan: Plan, variables: Mapping[str, str]) -> list[str]:
    """Every router and named value that a step, a way back, an operation or a trigger of the plan may write."""
    return sorted({f"{_address(plan, target, variables)}{name}" for target, name in _written(plan)})


def _written(plan: Plan) -> Iterator[tuple[str, str]]:
    for step in plan.all_steps:
        match step.spec:
            case SetWeight() | SetRoute() as spec:
                yield spec.target, ""
            case SetFlag() as spec:
                yield from ((spec.target, f"#{name}") for name in spec.values)
            case _:
                continue
    for phase in plan.phase_names:
        for trigger in plan.triggers_at(phase).values():
            match trigger.respond:
                case SwitchOff() as response:
                    yield response.target, f"#{response.feature}"
                case Throttle() as response:
                    yield response.target, f"#{response.setting}"
                case SetValue() as response:
                    yield from ((response.target, f"#{name}") for name in response.changes)
                case _:
                    continue


def _address(plan: Plan, target: str, variables: Mapping[str, str]) -> str:
    """What two plans name alike when they mean the same: the kind, what may be shown of the address, and a digest of all.

    An address may hold a secret, and claims are kept in the ledger.
    """
    where = f"{plan.name}: target {target}"
    match plan.targets.get(target):
        case parts.Envoy() as spec:
            kind, written = "envoy", spec.route_file
        case parts.HttpApi() as spec:
            kind, written = "http_api", spec.url.rstrip("/") + spec.path
        case other:
            kind, written = type(other).__name__.lower(), repr(other)
    # Where it is cannot always be told here; by the same words two plans still mean the same.
    with suppress(SettingsError):
        written = fill_in(written, variables, where=where)
    digest = hashlib.sha256(written.encode()).hexdigest()[:DIGEST_CHARACTERS]
    return " ".join(part for part in (kind, _host(written) if kind == "http_api" else "", digest) if part)


def _host(url: str) -> str:
    parsed = urlsplit(url)
    return (parsed.hostname or "") + (f":{parsed.port}" if parsed.port else "")
