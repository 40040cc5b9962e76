"""The time of an attempt: when it is told to leave, and when it is killed. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from outlast.policy.restart import Cause

GRACE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The plan of an attempt. Times are of the monotonic clock, except the deadline.

    Attributes:
        deadline: when it is killed, in seconds since the epoch: for the program; None if nobody knows.
        notice_s: when it is told to leave.
        kill_s: when it is killed.
        grace_s: how long it has after a notice that comes earlier; without bound unless somebody set one.
        lead_s: how long before the kill it is told.
        cause: DEADLINE if the deadline is ours and another attempt follows, OUTSIDE if it is the job's.
    """

    deadline: float | None = None
    notice_s: float = math.inf
    kill_s: float = math.inf
    grace_s: float = math.inf
    lead_s: float = GRACE_S
    cause: Cause = Cause.DEADLINE

    def moved(self, job_deadline: float | None, *, wall_s: float, now_s: float) -> Window:
        """Return the plan for when the job's deadline has moved; ours stays where it is, if it comes first."""
        ours = self.deadline if self.cause is Cause.DEADLINE else None
        if ours is not None and (job_deadline is None or job_deadline >= ours):
            return self
        if job_deadline is None:
            return Window(grace_s=self.grace_s, lead_s=self.lead_s)
        left_s = job_deadline - wall_s
        return replace(
            self,
            deadline=job_deadline,
            notice_s=now_s + left_s - self.lead_s,
            kill_s=now_s + left_s,
            cause=Cause.OUTSIDE,
        )


def plan(
    *, wall_s: float, now_s: float, time_s: float | None, grace_s: float | None, job_deadline: float | None
) -> Window:
    """Plan an attempt that starts now.

    Args:
        wall_s: the time since the epoch.
        now_s: the time of the monotonic clock.
        time_s: how long each attempt may take; None sets no bound.
        grace_s: from a notice to the kill. None: ten seconds before the deadline; and a notice that comes earlier
            shortens nothing, for work that nobody hurries is not to be killed.
        job_deadline: seconds since the epoch at which whatever we run in ends; None if unknown.
    """
    ours_s = math.inf if time_s is None else time_s
    jobs_s = math.inf if job_deadline is None else job_deadline - wall_s
    left_s = min(ours_s, jobs_s)
    if left_s == math.inf:
        return Window(grace_s=math.inf if grace_s is None else grace_s, lead_s=GRACE_S if grace_s is None else grace_s)
    lead_s = min(GRACE_S if grace_s is None else grace_s, left_s / 2)
    return Window(
        deadline=wall_s + left_s,
        notice_s=now_s + left_s - lead_s,
        kill_s=now_s + left_s,
        grace_s=math.inf if grace_s is None else lead_s,
        lead_s=lead_s,
        cause=Cause.DEADLINE if ours_s < jobs_s else Cause.OUTSIDE,
    )
