"""AWS accepts the commands in docs/security.md."""

from __future__ import annotations

import json
import re

import botocore.session
from botocore.validate import ParamValidator

from local.template import ROOT

TEXT = (ROOT / "docs/security.md").read_text(encoding="utf-8")


def test_aws_accepts_the_command_for_a_budget() -> None:
    command = TEXT[TEXT.index("aws budgets create-budget") :].partition("```")[0]
    given = {name: json.loads(value) for name, value in re.findall(r"--([a-z-]+) '(.*?)'", command, re.DOTALL)}
    model = botocore.session.get_session().get_service_model("budgets").operation_model("CreateBudget").input_shape
    assert model is not None
    parameters = {
        "AccountId": "123456789012",
        "Budget": given["budget"],
        "NotificationsWithSubscribers": given["notifications-with-subscribers"],
    }
    assert not ParamValidator().validate(parameters, model).has_errors()
    assert {notice["Notification"]["NotificationType"] for notice in given["notifications-with-subscribers"]} == {
        "ACTUAL", "FORECASTED",
    }  # fmt: skip
