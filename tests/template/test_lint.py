"""cfn-lint on the translated template, which `sam validate --lint` does not see."""

from __future__ import annotations

import copy
import json
from typing import Any

from cfnlint.api import lint
from cfnlint.core import get_rules

from local.template import OBSERVABILITY, read_template


def findings(template: dict[str, Any]) -> list[str]:
    """Return errors and warnings, for a region that has every service."""
    rules = get_rules([], [], ["E", "W"], {}, False)
    return [str(match) for match in lint(json.dumps(template), rules, ["us-east-1"])]


def test_the_translated_template_has_no_errors_and_no_warnings(cloudformation):
    assert findings(cloudformation) == []


def test_the_nested_template_has_no_errors_and_no_warnings():
    assert findings(read_template(OBSERVABILITY)) == []


def test_a_cycle_would_be_found(cloudformation):
    broken = copy.deepcopy(cloudformation)
    statement = broken["Resources"]["QueuePolicy"]["Properties"]["PolicyDocument"]["Statement"][0]
    statement["Condition"]["ArnEquals"] = {"aws:SourceArn": {"Fn::GetAtt": ["UploadsBucket", "Arn"]}}
    assert any("E3004" in finding or "Circular" in finding for finding in findings(broken))
