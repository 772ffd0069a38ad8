"""The output of every benchmark: the machine, and a Markdown table with spreads."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from image_processor.cpus import usable_cpus


def machine(*packages: str) -> str:
    """Describe the machine, the versions, and the current load in one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {_cpu()}, {usable_cpus()} CPUs, {memory:.0f} GiB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, {versions}; "
        f"load average at the start {os.getloadavg()[0]:.1f}"
    )


def spread(values: Sequence[float], scale: float = 1.0, digits: int = 2) -> str:
    """Format median and range: "1.23 (1.20–1.31)"."""
    low, middle, high = (one * scale for one in (min(values), statistics.median(values), max(values)))
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def ratio(slow: Sequence[float], fast: Sequence[float]) -> str:
    """The ratio of `slow` to `fast`, round by round."""
    return spread([one / other for one, other in zip(slow, fast, strict=True)])


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table. The first column is text, the others are numbers."""
    rule = [":--", *("--:" for _ in header[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, rule, *rows))


def check_bound(name: str, value: float, bound: float, *, at_least: bool) -> str:
    """A line that says whether a target is met."""
    met = value >= bound if at_least else value <= bound
    return f"- {name}: {value:.2f}, target {'≥' if at_least else '≤'} {bound:g}: {'met' if met else 'MISSED'}"


def _cpu() -> str:
    about = Path("/proc/cpuinfo")  # Linux
    for line in about.read_text(encoding="ascii").splitlines() if about.exists() else ():
        if line.startswith(("model name", "CPU part")):
            return line.partition(":")[2].strip()
    return platform.machine()
