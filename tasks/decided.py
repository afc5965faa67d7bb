"""Sign-offs that are decided while the run that waits for them sleeps.

Whoever signs wakes the run. That comes to nothing when the run was just about to sleep, when Prefect is down, or when the
signer's process ends between the two; so the watch looks as well. The step itself decides, once it goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from chrysalis.ledger import Ledger
from chrysalis.plan.steps import SignOff
from tasks import approve
from tasks.waits import Glance, isolated

Signed = tuple[int, datetime]
"""How many decisions stand, and when the newest was made."""
Basis = tuple[Signed, datetime | None]
"""What was counted: the decisions, and when what they were made on was last judged again."""


@dataclass
class Decided:
    """What one watch knows of them: a wait is counted again only when something was signed, has become void or was judged
    again."""

    ledger: Ledger
    _known: dict[int, tuple[Basis, bool]] = field(default_factory=dict)

    def among(self, glances: Sequence[Glance]) -> set[int]:
        """The waits for which nobody has to sign any more, or that somebody has refused."""
        waiting = [one for one in glances if one.wait.kind == "sign_off" and isinstance(one.step.spec, SignOff)]
        signed = self.ledger.signed_waits() if waiting else {}
        self._known = {wait: known for wait, known in self._known.items() if wait in signed}
        for one in waiting:
            newest = signed.get(one.wait.id)
            if newest is not None and self._known.get(one.wait.id, (None,))[0] != (newest, one.wait.ticked_at):
                self._count(one, (newest, one.wait.ticked_at))
        return {wait for wait, (_, decided) in self._known.items() if decided}

    def _count(self, glance: Glance, basis: Basis) -> None:
        spec = glance.step.spec
        assert isinstance(spec, SignOff)  # noqa: S101 - chosen by `among`
        tally = isolated(glance, partial(approve.count, glance.workspace, glance.step, spec), None)
        if tally is not None:
            self._known[glance.wait.id] = (basis, bool(tally.rejected_by) or not tally.missing)
