"""Every kind of step that can run, by the name it has in a plan."""

from chrysalis.plan.steps import STEP_KINDS
from tasks.approve import sign_off
from tasks.back_up import back_up
from tasks.carry_data import export_data, import_data
from tasks.checklist import checklist
from tasks.deploy import deploy
from tasks.evaluate_gate import gate, verify
from tasks.layers import activate, deactivate
from tasks.load_test import load_test
from tasks.make_report import report
from tasks.migrate import migrate
from tasks.notify import notify
from tasks.operate import operate
from tasks.record_baseline import record_baseline
from tasks.restore import restore
from tasks.run_command import run_command
from tasks.set_flag import set_flag
from tasks.set_mode import set_mode
from tasks.set_route import set_route
from tasks.set_weight import set_weight
from tasks.skip_when import skip_when
from tasks.smoke_test import smoke_test
from tasks.soak import soak
from tasks.step import StepKind
from tasks.tag_version import tag_version
from tasks.wait_until import wait_until

KINDS: dict[str, StepKind] = {
    kind.name: kind
    for kind in (
        migrate,
        back_up,
        restore,
        export_data,
        import_data,
        deploy,
        activate,
        deactivate,
        operate,
        set_flag,
        set_mode,
        smoke_test,
        load_test,
        set_route,
        set_weight,
        soak,
        wait_until,
        skip_when,
        gate,
        checklist,
        sign_off,
        notify,
        report,
        run_command,
        record_baseline,
        tag_version,
        verify,
    )
}
WRITTEN_OUT = frozenset({"ramp", "waves", "repeat"})
"""Kinds that a plan writes out into others before they run."""

if missing := STEP_KINDS.keys() - WRITTEN_OUT - KINDS.keys():
    raise ImportError(f"these kinds of steps have no task: {', '.join(sorted(missing))}")
