"""The command line: for CI, on-call, approvers, and whoever works at a terminal.

Exit codes: 0 done (with --wait: completed), 1 wrong or refused, 2 wrong use, and with --wait 10 rolled back, 11 rejected,
12 aborted, 13 failed, 14 still waiting when --timeout was over.
"""

import sys

import typer

from chrysalis.cli_act import abort, measure, mode, operate, pause, resume, rollback, trigger
from chrysalis.cli_audit import app as audit_app
from chrysalis.cli_checklist import app as checklist_app
from chrysalis.cli_judge import app as judge_app
from chrysalis.cli_local import demo, up
from chrysalis.cli_notices import ack, notices
from chrysalis.cli_people import app as people_app
from chrysalis.cli_plan import app as plan_app
from chrysalis.cli_report import report
from chrysalis.cli_rollout import history, show, start, status
from chrysalis.cli_sign import app as sign_offs_app
from chrysalis.cli_sign import approve, reject
from chrysalis.errors import ChrysalisError
from chrysalis.ledger.origin import came_by
from chrysalis.sandbox.cli import app as sandbox_app

app = typer.Typer(
    name="chrysalis",
    help="Phased production rollouts on Prefect.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(plan_app, name="plan", help="Check and show plans.")
app.add_typer(people_app, name="people", help="Who people are, how they prove it, who stands in for whom.")
app.add_typer(sign_offs_app, name="sign-offs", help="Sign with a key of your own, open anew, export for an auditor.")
app.add_typer(checklist_app, name="checklist", help="Check, attest and show what must be so before a phase.")
app.add_typer(audit_app, name="audit", help="Read, verify, export and archive the record.")
app.add_typer(judge_app, name="judge", help="Judge given series, without any server.")
app.add_typer(sandbox_app, name="sandbox", help="Real parts on loopback to try things on.")
LOOKING = (start, status, show, history, notices, report)
ACTING = (approve, reject, ack, rollback, abort, pause, resume, operate, measure, trigger, mode)
for command in (*LOOKING, *ACTING, demo, up):
    app.command()(command)


def main() -> None:
    """Run; an error that a person can mend is one line on stderr and exit code 1."""
    came_by("cli")
    try:
        app()
    except ChrysalisError as error:
        sys.stderr.write(f"chrysalis: {error}\n")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
