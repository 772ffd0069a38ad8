"""docs/operations.md: a section for each alarm, every metric, and sums that add up."""

from __future__ import annotations

import json
import re

import pytest

from local.template import ROOT
from tests.emf import Metric, shown, watched
from tests.iam.resolved import STACK, observability, resolved

TEXT = (ROOT / "docs/operations.md").read_text()


def part(heading: str) -> str:
    """What stands under a heading of the second level."""
    return TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_every_alarm_has_its_section_and_every_section_its_alarm() -> None:
    sections = re.findall(r"^### (\w+)$", part("Alarms"), re.MULTILINE)
    assert len(sections) == len(set(sections))
    assert set(sections) == set(observability().resources("AWS::CloudWatch::Alarm"))
    for text in part("Alarms").split("\n### ")[1:]:
        assert len(text.partition("\n")[2].strip()) > 10


def test_every_alarm_names_its_section() -> None:
    for name, alarm in observability().resources("AWS::CloudWatch::Alarm").items():
        assert alarm["AlarmDescription"].endswith(f"See {name} in docs/operations.md.")


def test_every_metric_of_ours_is_explained() -> None:
    (dashboard,) = observability().resources("AWS::CloudWatch::Dashboard").values()
    alarms = observability().resources("AWS::CloudWatch::Alarm").values()
    ours = {one.name for alarm in alarms for one in watched(alarm) if one.namespace == STACK}
    for one in shown(json.loads(dashboard["DashboardBody"])):
        namespace, name = (one.namespace, one.name) if isinstance(one, Metric) else one[:2]
        ours |= {name} if namespace == STACK else set()
    first_cells = [line.split("|")[1] for line in part("Metrics").splitlines() if line.startswith("| `")]
    assert ours == set(re.findall(r"`(\w+)`", "".join(first_cells)))


def test_every_parameter_that_is_named_exists() -> None:
    named = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)+)(?:=[^`]*)?`", TEXT))
    known = set(resolved().parameters) | set(observability().template["Resources"])
    known |= set(resolved().template["Resources"]) | set(resolved().template["Outputs"])
    metrics = set(re.findall(r"`(\w+)`", part("Metrics")))
    assert named - known - metrics <= {
        "ImageProcessed",
        "ImageFailed",
        "ImageDeleted",
        "ModelError",
        "AccessDenied",
        "RouteSettings",
    }


def number(text: str) -> float:
    return float(re.sub(r"[^0-9.]", "", text))


def cost_rows() -> list[list[str]]:
    rows = [line.strip("| ").split("|") for line in part("What it costs").splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:]]


def test_the_costs_of_a_million_images_add_up() -> None:
    *rows, total = cost_rows()
    assert len(rows) >= 10
    for name, quantity, price, cost in rows:
        assert number(quantity) * number(price) == pytest.approx(number(cost), abs=0.006), name
    assert sum(number(row[3]) for row in rows) == pytest.approx(number(total[3]), abs=0.006)


PRODUCT = re.compile(r"((?:\$?[\d,.]+\)?[ A-Za-z-]*? [×/]\s+)+\$?[\d,.]+)[ A-Za-z-]*? = \$?([\d,.]*\d)")


def test_what_is_multiplied_in_the_text_is_right() -> None:
    text = re.sub(r"`ProcessorMaxConcurrency` \((\d+)\)", r"\1", " ".join(TEXT.split()))
    found = PRODUCT.findall(text)
    assert len(found) >= 8, found
    for product, result in found:
        factors = re.split(r"([×/])", product)
        value = number(factors[0])
        for sign, factor in zip(factors[1::2], factors[2::2], strict=True):
            value = value * number(factor) if sign == "×" else value / number(factor)
        assert value == pytest.approx(number(result), rel=0.01), f"{product} = {result}"


def test_the_flood_is_capped_where_the_text_says() -> None:
    assert f"`ProcessorMaxConcurrency` ({resolved().parameters['ProcessorMaxConcurrency']})" in TEXT
    assert f"`MaxImageBytes`, {int(resolved().parameters['MaxImageBytes']) // 1_000_000} MB" in TEXT
    timeout = resolved().resources("AWS::Lambda::Function")["ProcessorFunction"]["Timeout"]
    assert f"the processor's timeout, {timeout} s" in TEXT
