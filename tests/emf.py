"""Metrics as CloudWatch identifies them: parsed from EMF lines in a log, and named by alarms and the dashboard."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Metric:
    """The identity of a metric. The same name with other dimensions is another metric."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]


def metric(namespace: str, name: str, **dimensions: str) -> Metric:
    return Metric(namespace, name, frozenset(dimensions.items()))


def lines(log: str) -> list[dict[str, Any]]:
    """Return the lines of a log that are JSON."""
    return [json.loads(line) for line in log.splitlines() if line.startswith("{")]


def emitted(log: str) -> dict[Metric, list[float]]:
    """Return the values of each metric that CloudWatch would read from a log."""
    found: dict[Metric, list[float]] = {}
    for line in lines(log):
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", []):
            for names in directive["Dimensions"]:
                dimensions = frozenset((name, line[name]) for name in names)
                assert all(isinstance(value, str) for _, value in dimensions)
                for defined in directive["Metrics"]:
                    key = Metric(directive["Namespace"], defined["Name"], dimensions)
                    found.setdefault(key, []).extend(line[defined["Name"]])
    return found


def watched(alarm: Mapping[str, Any]) -> set[Metric]:
    """Return the metrics of an alarm, given its resolved properties."""
    if "MetricName" in alarm:
        return {_of(alarm)}
    return {_of(query["MetricStat"]["Metric"]) for query in alarm["Metrics"] if "MetricStat" in query}


def _of(named: Mapping[str, Any]) -> Metric:
    dimensions = frozenset((one["Name"], one["Value"]) for one in named["Dimensions"])
    return Metric(named["Namespace"], named["MetricName"], dimensions)


def plotted(dashboard: Mapping[str, Any]) -> Iterator[Metric | tuple[str, str, frozenset[str]]]:
    """Yield the metrics in a dashboard's graphs, and the searches as (namespace, name, names of the dimensions)."""
    for widget in dashboard["widgets"]:
        for entry in widget["properties"].get("metrics", []):
            if isinstance(entry[0], dict):
                search = re.fullmatch(
                    r"""SEARCH\('\{"([^"]+)",([a-z_,]+)\} MetricName="(\w+)"', '\w+', 300\)""",
                    entry[0]["expression"],
                )
                assert search, entry
                yield search[1], search[3], frozenset(search[2].split(","))
            else:
                namespace, name, *pairs = [part for part in entry if isinstance(part, str)]
                yield Metric(namespace, name, frozenset(zip(pairs[::2], pairs[1::2], strict=True)))
