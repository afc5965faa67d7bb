"""Every error a person may see. The message says what, where, both operands, and what to do.

ChrysalisError
├── PlanError           the plan is wrong; nothing ran
├── SettingsError       a setting is missing or unusable
├── LedgerError
│   ├── ServiceBusy     another rollout of the same service is active
│   ├── TargetBusy      another rollout changes the same target
│   ├── UnknownRollout  no such rollout
│   ├── StaleToken      a newer worker has taken over this rollout; stop and change nothing
│   └── LedgerUnavailable   the ledger's database cannot be reached
├── TargetError
│   ├── TargetUnavailable   the target cannot be reached; may be repeated
│   ├── WriteRefused        the target refused the change
│   ├── WriteNotVerified    the target answered, and reads back something else
│   └── SickerSide          traffic would go to the side that is worse off; nothing was moved
├── MetricError
│   ├── SourceUnavailable   the source cannot be reached; the verdict is INCONCLUSIVE
│   └── QueryError          the source answered that the query is wrong
├── StepFailed          a step of the plan did what it could, and it was not enough
└── NotAllowed          this person may not do this

A message holds no secret: what `chrysalis.secrets` knows is taken out of it when the error is made.
"""

from chrysalis.secrets import redacted


class ChrysalisError(Exception):
    """Something went wrong that a person can mend; the message says how."""

    def __init__(self, *told: object) -> None:
        super().__init__(*redacted(told))


class PlanError(ChrysalisError):
    """The plan is wrong; nothing ran."""


class SettingsError(ChrysalisError):
    """A setting is missing or unusable."""


class LedgerError(ChrysalisError):
    """The ledger refused."""


class ServiceBusy(LedgerError):
    """Another rollout of the same service is active."""


class TargetBusy(LedgerError):
    """Another active rollout changes the same target."""


class UnknownRollout(LedgerError):
    """No such rollout."""


class StaleToken(LedgerError):
    """A newer worker has taken over this rollout; stop and change nothing."""


class Superseded(StaleToken):
    """Another process works for this rollout and shows that it lives: leave everything to it, the run of Prefect as well."""


class LedgerUnavailable(LedgerError):
    """The ledger's database cannot be reached."""


class TargetError(ChrysalisError):
    """A change to a target did not come about."""


class TargetUnavailable(TargetError):
    """The target cannot be reached; the write may be repeated."""


class WriteRefused(TargetError):
    """The target refused the change."""


class WriteNotVerified(TargetError):
    """The target answered, and reads back something else."""


class SickerSide(TargetError):
    """Traffic would go to the side that is worse off; nothing was moved."""


class MetricError(ChrysalisError):
    """A measurement could not be had."""


class SourceUnavailable(MetricError):
    """The source cannot be reached; what was to be judged is INCONCLUSIVE."""


class QueryError(MetricError):
    """The source answered that the query is wrong."""


class StepFailed(ChrysalisError):
    """A step of the plan did what it could, and it was not enough."""


class NotAllowed(ChrysalisError):
    """This person may not do this."""
