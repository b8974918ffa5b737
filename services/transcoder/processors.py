"""How many processors this machine gives us: a container may be allowed few of the many it sees."""

import os
from pathlib import Path
from typing import Final

_CGROUP: Final = Path("/sys/fs/cgroup")


def available(cgroup: Path = _CGROUP) -> int:
    """Processors that may be used, at least one: those this process is bound to, within its control group's quota."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroup)
    return bound if quota is None else max(1, min(bound, round(quota)))


def _quota(cgroup: Path) -> float | None:
    """Processor seconds a second that the control group allows; None for no limit, or none that we can read.

    See cgroup-v2's `cpu.max` and, for version 1, `cpu.cfs_quota_us` in the kernel's documentation.
    """
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if not quota.isdecimal() or not period.isdecimal() or period == "0":  # "max" and -1 are no limit
        return None
    return int(quota) / int(period)
