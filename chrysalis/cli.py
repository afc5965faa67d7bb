"""The command line: for CI, on-call, approvers, and whoever works at a terminal.

Exit codes: 0 done (with --wait: completed), 1 wrong or refused, 2 wrong use, and with --wait 10 rolled back, 11 rejected,
12 aborted, 13 failed, 14 still waiting when --timeout was over.
"""

import sys

import typer

from chrysalis.cli_act import abort, approve, measure, mode, operate, pause, reject, resume, rollback, trigger
from chrysalis.cli_judge import app as judge_app
from chrysalis.cli_local import demo, up
from chrysalis.cli_plan import app as plan_app
from chrysalis.cli_rollout import history, show, start, status
from chrysalis.errors import ChrysalisError
from chrysalis.sandbox.cli import app as sandbox_app

app = typer.Typer(
    name="chrysalis",
    help="Phased production rollouts on Prefect.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(plan_app, name="plan", help="Check and show plans.")
app.add_typer(judge_app, name="judge", help="Judge given series, without any server.")
app.add_typer(sandbox_app, name="sandbox", help="Real parts on loopback to try things on.")
LOOKING = (start, status, show, history)
ACTING = (approve, reject, rollback, abort, pause, resume, operate, measure, trigger, mode)
for command in (*LOOKING, *ACTING, demo, up):
    app.command()(command)


def main() -> None:
    """Run; an error that a person can mend is one line on stderr and exit code 1."""
    try:
        app()
    except ChrysalisError as error:
        sys.stderr.write(f"chrysalis: {error}\n")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
