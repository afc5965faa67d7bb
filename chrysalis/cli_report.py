"""`chrysalis report`: the summaries that the scheduled flows make, printed."""

from typing import Annotated

import typer

from tasks.summarize import written
from tasks.summary import Kind


def report(
    kind: Annotated[Kind, typer.Argument(metavar="daily|weekly|executive", help="Which summary.")] = "daily",
    since: Annotated[str, typer.Option(help="How far back, such as 2d; else a day, a week or a month.")] = "",
) -> None:
    """Print the daily stand-up, the weekly or the executive summary, from the ledger alone."""
    print(written(kind, since), end="")
