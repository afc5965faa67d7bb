"""Runs the checks of items: one of each kind, in parallel, each within its own time, and none of their secrets told."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from time import monotonic

from chrysalis.checks.backups import NotRestored, check_backup
from chrysalis.checks.files import check_file_search
from chrysalis.checks.load import check_load_result
from chrysalis.checks.network import check_http, check_tls
from chrysalis.checks.programs import check_command, check_env
from chrysalis.checks.queries import check_promql, check_sql
from chrysalis.checks.reports import check_coverage, check_test_report
from chrysalis.checks.result import Context, NotKnown, Result, Verdict
from chrysalis.errors import ChrysalisError
from chrysalis.plan import checklist as kinds
from chrysalis.plan.checklist import Item
from chrysalis.secrets import learn, learn_value, redact
from gates.checklist import Status
from gates.units import UnitError

ALONE = nullcontext()
PARALLEL = 8
MOST_CHARACTERS = 2000
"""Of a text that is kept of one item."""


def run_items(
    items: Iterable[Item], context: Context, *, parallel: int = PARALLEL, done: Callable[[Result], None] | None = None
) -> tuple[Result, ...]:
    """The result of every item that a machine checks, in the list's order; `done` hears of each as it ends."""
    checked = [item for item in items if item.check is not None]
    heavy = threading.Lock()
    results: dict[str, Result] = {}
    with ThreadPoolExecutor(max(1, parallel), thread_name_prefix="check") as pool:
        running = [pool.submit(run_item, item, context, heavy) for item in checked]
        for one in as_completed(running):
            result = one.result()
            results[result.item] = result
            if done is not None:
                done(result)
    return tuple(results[item.id] for item in checked)


def run_item(item: Item, context: Context, heavy: AbstractContextManager[object] = ALONE) -> Result:
    """Check one item. Never raises: what goes wrong while asking is an answer that is not known.

    Restores share `heavy`: one at a time, so that they do not slow each other beyond their own time limits.
    """
    if item.check is None:
        raise ValueError(f"item {item.id} is attested, not checked")
    _learn_secrets(item.check, context)
    started = monotonic()
    if item.only_if_set is not None and not context.variables.get(item.only_if_set):
        said = f"{item.only_if_set} is not set, so that it does not apply"
        return Result(item.id, Status.NOT_APPLICABLE, said, "", "", 0.0)
    try:
        with heavy if isinstance(item.check, kinds.Backup) else ALONE:
            verdict = _check(item.check, context)
    except NotKnown as error:
        return _result(item, Status.NOT_KNOWN, Verdict(False, str(error), ""), started)
    except NotRestored as error:
        return _result(item, Status.FAILED, Verdict(False, str(error), "a restore"), started)
    except (ChrysalisError, UnitError) as error:
        return _result(item, Status.NOT_KNOWN, Verdict(False, f"the check cannot be made: {error}", ""), started)
    except Exception as error:
        # A fault of ours, or of a library, in one item must not end the others; and it is no pass.
        said = f"the check broke off ({type(error).__name__}: {error})"
        return _result(item, Status.NOT_KNOWN, Verdict(False, said, ""), started)
    return _result(item, Status.PASSED if verdict.passed else Status.FAILED, verdict, started)


def _learn_secrets(spec: kinds.AnyCheck, context: Context) -> None:
    for name, value in context.variables.items():
        learn(name, value)
    if isinstance(spec, kinds.Env) and spec.secret:
        learn_value(spec.name, context.variables.get(spec.name, ""))


def _check(spec: kinds.AnyCheck, context: Context) -> Verdict:
    match spec:
        case kinds.Command():
            return check_command(spec, context)
        case kinds.Sql():
            return check_sql(spec, context)
        case kinds.Promql():
            return check_promql(spec, context)
        case kinds.Http():
            return check_http(spec, context)
        case kinds.FileSearch():
            return check_file_search(spec, context)
        case kinds.Tls():
            return check_tls(spec, context)
        case kinds.Env():
            return check_env(spec, context)
        case kinds.JUnitReport():
            return check_test_report(spec, context)
        case kinds.Coverage():
            return check_coverage(spec, context)
        case kinds.LoadResult():
            return check_load_result(spec, context)
        case kinds.Backup():
            return check_backup(spec, context)


def _result(item: Item, status: Status, verdict: Verdict, started: float) -> Result:
    found, expected, evidence = (
        redact(text)[:MOST_CHARACTERS] for text in (verdict.found, verdict.expected, verdict.evidence)
    )
    return Result(item.id, status, found, expected, evidence, monotonic() - started)
