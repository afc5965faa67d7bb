"""One measurement, and what it is compared with in the same run."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """`ours` and `reference` in `unit`; `reference` None where there is nothing to compare with but a limit in words."""

    name: str
    ours: float
    reference: float | None
    reference_is: str
    unit: str

    @property
    def ratio(self) -> float | None:
        """Ours over the reference; below 1 is better."""
        return None if not self.reference else self.ours / self.reference

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "ratio": self.ratio}
