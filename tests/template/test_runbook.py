"""docs/operations.md has a section for each alarm, every metric, and correct sums."""

from __future__ import annotations

import json
import re

import pytest

from local.template import ROOT
from tests.emf import Metric, plotted, watched
from tests.iam.resolved import STACK, WEBHOOK_URL, observability

TEXT = (ROOT / "docs/operations.md").read_text()


def part(heading: str) -> str:
    """Return the text under a heading of the second level."""
    return TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_every_alarm_has_its_section_and_every_section_its_alarm() -> None:
    sections = re.findall(r"^### (\w+)$", part("Alarms"), re.MULTILINE)
    assert len(sections) == len(set(sections))
    assert set(sections) == set(observability(WebhookUrl=WEBHOOK_URL).resources("AWS::CloudWatch::Alarm"))
    for text in part("Alarms").split("\n### ")[1:]:
        assert len(text.partition("\n")[2].strip()) > 10


def test_every_alarm_names_its_section() -> None:
    for name, alarm in observability(WebhookUrl=WEBHOOK_URL).resources("AWS::CloudWatch::Alarm").items():
        assert alarm["AlarmDescription"].endswith(f"See {name} in docs/operations.md.")


def test_every_custom_metric_is_explained() -> None:
    (dashboard,) = observability(WebhookUrl=WEBHOOK_URL).resources("AWS::CloudWatch::Dashboard").values()
    alarms = observability(WebhookUrl=WEBHOOK_URL).resources("AWS::CloudWatch::Alarm").values()
    of_this_stack = {one.name for alarm in alarms for one in watched(alarm) if one.namespace == STACK}
    for one in plotted(json.loads(dashboard["DashboardBody"])):
        namespace, name = (one.namespace, one.name) if isinstance(one, Metric) else one[:2]
        of_this_stack |= {name} if namespace == STACK else set()
    first_cells = [line.split("|")[1] for line in part("Metrics").splitlines() if line.startswith("| `")]
    assert of_this_stack == set(re.findall(r"`(\w+)`", "".join(first_cells)))


def number(text: str) -> float:
    return float(re.sub(r"[^0-9.]", "", text))


def cost_rows(heading: str) -> list[list[str]]:
    rows = [line.strip("| ").split("|") for line in part(heading).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:]]


@pytest.mark.parametrize(("heading", "at_least"), [("What it costs", 10), ("What webhooks cost", 5)])
def test_the_costs_of_a_million_add_up(heading: str, at_least: int) -> None:
    *rows, total = cost_rows(heading)
    assert len(rows) >= at_least
    for name, quantity, price, cost in rows:
        assert number(quantity) * number(price) == pytest.approx(number(cost), abs=0.006), name
    assert sum(number(row[3]) for row in rows) == pytest.approx(number(total[3]), abs=0.006)
