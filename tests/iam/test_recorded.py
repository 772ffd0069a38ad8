"""What the functions really called in the functional tests, against what their roles allow: neither less nor more.

Each call is checked as it is made (tests/functional/emulator.py); these tests come after them, in the same run.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.iam import calls
from tests.iam.policies import ROLES, allows, as_list, of_role
from tests.iam.resolved import REGION, resolved
from tests.template.conftest import EVERYTHING_ON

FUNCTIONAL = Path(__file__).parents[1] / "functional"
FUNCTIONS = ("api", "processor", "recovery", "stream")

NOT_CALLED_BY_CODE = {
    "logs:CreateLogStream": "Lambda itself, in the role's name",
    "logs:PutLogEvents": "Lambda itself, in the role's name",
    "sqs:ReceiveMessage": "Lambda's event source mapping, in the role's name",
    "sqs:DeleteMessage": "Lambda's event source mapping, in the role's name",
    "sqs:GetQueueAttributes": "Lambda's event source mapping, in the role's name",
    "dynamodb:DescribeStream": "Lambda's event source mapping, in the role's name",
    "dynamodb:GetRecords": "Lambda's event source mapping, in the role's name",
    "dynamodb:GetShardIterator": "Lambda's event source mapping, in the role's name",
    "dynamodb:ListStreams": "Lambda's event source mapping, in the role's name",
    ("sqs:SendMessage", "RecoveryFailureQueue"): "Lambda itself, for the sweep's on-failure destination",
    ("sqs:SendMessage", "StreamFailureQueue"): "Lambda itself, for the mapping's on-failure destination",
}
"""Actions, some on one resource alone, and who uses them."""


@pytest.fixture
def whole_run(request: pytest.FixtureRequest) -> None:
    """Skips where not all functional tests ran before: nothing could be said about what is missing."""
    run = {item.path.name for item in request.session.items if item.path.parent == FUNCTIONAL}
    option = request.config.option
    if run != {path.name for path in FUNCTIONAL.glob("test_*.py")} or option.keyword:
        pytest.skip("not all functional tests are part of this run")


@pytest.mark.usefixtures("whole_run")
def test_every_call_that_the_functions_made_was_allowed() -> None:
    assert calls.refused == []
    assert {function for function, *_ in calls.recorded} == set(FUNCTIONS)
    assert calls.recorded.total() > 1000


@pytest.mark.usefixtures("whole_run")
@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_right_is_granted_that_nothing_uses(function: str) -> None:
    used = [right for name, _, _, right in calls.recorded if name == function]
    unused = [
        (action, resource)
        for statement in of_role(resolved(), ROLES[function])
        for action in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
        if not {action, (action, resource.rpartition("-")[2])} & NOT_CALLED_BY_CODE.keys()
        and not any(allows([statement | {"Action": action, "Resource": resource}], *right) for right in used)
    ]
    assert unused == []


@pytest.mark.usefixtures("whole_run")
def test_with_a_customer_key_every_call_that_needs_it_may_use_it_through_its_service_alone() -> None:
    stack = resolved(**EVERYTHING_ON)
    key = EVERYTHING_ON["KmsKeyArn"]
    encrypted = {(function, service) for function, service, *_ in calls.recorded if service in ("s3", "dynamodb")}
    assert len(encrypted) == 6
    for function, service in encrypted:
        statements = of_role(stack, ROLES[function])
        through = {"kms:ViaService": f"{service}.{REGION}.amazonaws.com"}
        for action in ("kms:Decrypt", "kms:GenerateDataKey"):
            assert allows(statements, action, key, through)
            assert not allows(statements, action, key, {})
            assert not allows(statements, action, key, {"kms:ViaService": f"sqs.{REGION}.amazonaws.com"})
            assert not allows(statements, action, key + "x", through)
