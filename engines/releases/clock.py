"""The time that signatures are held against, on a device whose own clock may be dead or wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from engines.releases.errors import Refusal, ReleaseRefused

# A clock this far beyond the floor is likelier wrong than a device so long without a release: even a root, which lives
# longest, would have run out.
_DOUBTFUL = timedelta(days=3653)
_SLACK = timedelta(days=1)


@dataclass(frozen=True)
class Clock:
    """The device's clock, UTC, and the floor: a time that has surely passed, since something trusted was made then."""

    now: datetime
    floor: datetime

    @property
    def reference(self) -> datetime:
        """The later of both: a dead clock cannot bring what has expired back to life."""
        return max(self.now, self.floor)

    def raised(self, signed_at: datetime) -> datetime:
        """The floor after a release signed at this time was accepted.

        A wrong or stolen clock may have signed it: while the device's own clock runs, the floor stays with it.
        """
        sure = signed_at if self.now < self.floor else min(signed_at, self.now + _SLACK)
        return max(self.floor, sure)

    def expired(self, what: str, expires: datetime) -> ReleaseRefused:
        """The refusal of something that ran out at `expires`."""
        said = f"{what} ran out on {expires:%Y-%m-%d}; this device's clock says {self.now:%Y-%m-%d}"
        if self.now - self.floor > _DOUBTFUL:
            return ReleaseRefused(
                f"{said}, which is hard to believe: it knows of no later time than {self.floor:%Y-%m-%d}.",
                kind=Refusal.CLOCK,
            )
        if self.now < self.floor:
            said += f", but {self.floor:%Y-%m-%d} has passed for sure"
        return ReleaseRefused(f"{said}.", kind=Refusal.EXPIRED)
