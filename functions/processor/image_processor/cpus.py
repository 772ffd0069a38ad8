"""How many CPUs this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")
"""A container's share of CPU time: microseconds in every period, or "max"."""


def usable_cpus(cgroup_limit: Path = CGROUP_LIMIT) -> int:
    """CPUs that the scheduler gives this process, but at most its container's share of CPU time, rounded up."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = cgroup_limit.read_text(encoding="ascii").split()
        share = math.ceil(int(quota) / int(period))
    except (OSError, ValueError):
        return count
    return max(1, min(count, share))
