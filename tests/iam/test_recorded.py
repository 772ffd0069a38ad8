"""The comparison of recorded calls with the roles' permissions, and the permissions for a customer's KMS key."""

from __future__ import annotations

import pytest

from tests.iam.calls import Permission
from tests.iam.policies import ROLES, allows, of_role
from tests.iam.recorded import problems_of, unused_permissions
from tests.iam.resolved import REGION, resolved
from tests.template.conftest import EVERYTHING_ON

IMAGES = resolved().arn("ImagesTable")


def test_a_permission_counts_as_used_if_a_call_needed_it_on_its_resource() -> None:
    unused = ("dynamodb:PutItem", IMAGES)
    assert unused in unused_permissions("api", [])
    assert unused in unused_permissions("api", [Permission("dynamodb:PutItem", f"{IMAGES}-2")])
    assert unused not in unused_permissions("api", [Permission("dynamodb:PutItem", IMAGES)])


def test_a_run_without_recorded_calls_has_problems() -> None:
    problems = problems_of({})
    assert "only 0 calls" in problems[-1]
    assert {problem.partition(":")[0] for problem in problems[:-1]} == set(ROLES)


@pytest.mark.parametrize("service", ["s3", "dynamodb"])
@pytest.mark.parametrize("function", ["api", "processor", "recovery"])
def test_a_customer_key_can_be_used_only_through_the_services_that_encrypt_with_it(
    function: str, service: str
) -> None:
    key = EVERYTHING_ON["KmsKeyArn"]
    statements = of_role(resolved(**EVERYTHING_ON), ROLES[function])
    through = {"kms:ViaService": f"{service}.{REGION}.amazonaws.com"}
    for action in ("kms:Decrypt", "kms:GenerateDataKey"):
        assert allows(statements, action, key, through)
        assert not allows(statements, action, key, {})
        assert not allows(statements, action, key, {"kms:ViaService": f"sqs.{REGION}.amazonaws.com"})
        assert not allows(statements, action, key + "x", through)
