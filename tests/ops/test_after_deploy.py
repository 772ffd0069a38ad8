"""The last steps of `make deploy`, with moto's ECR."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import boto3
import pytest
from samcli.lib.bootstrap.companion_stack.data_types import CompanionStack  # type: ignore[import-untyped]

from local.template import ROOT
from ops import after_deploy
from ops.registry import KEPT_IMAGES, companion_stack
from tests.functional.emulator import moto

REGION = "eu-west-1"


@pytest.mark.parametrize("name", ["image-pipeline", "image-pipeline-prod"])
def test_the_companion_stack_has_the_name_that_sam_gives_it(name: str) -> None:
    assert companion_stack(name) == CompanionStack(name).stack_name


def test_a_deployment_ends_with_a_rule_for_old_images_and_the_name_of_the_smoke_test(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = tomllib.loads((ROOT / "samconfig.toml").read_text())["dev"]["global"]["parameters"]["stack_name"]
    with moto() as url:
        clients: Any = {
            one: boto3.client(one, endpoint_url=url, region_name=REGION)  # type: ignore[call-overload]
            for one in ("cloudformation", "ecr")
        }
        # Without a registry there is no rule to set.
        assert after_deploy.main(["dev", "--endpoint-url", url]) == 0
        resource = {"Type": "AWS::ECR::Repository", "Properties": {"RepositoryName": "processor"}}
        clients["cloudformation"].create_stack(
            StackName=companion_stack(name), TemplateBody=json.dumps({"Resources": {"Repository": resource}})
        )
        assert after_deploy.main(["dev", "--endpoint-url", url]) == 0
        policy = json.loads(clients["ecr"].get_lifecycle_policy(repositoryName="processor")["lifecyclePolicyText"])
        # The servers in one test process share moto's state, and other tests deploy a stack with this name.
        clients["cloudformation"].delete_stack(StackName=companion_stack(name))
    (rule,) = policy["rules"]
    assert rule["selection"] == {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": KEPT_IMAGES}
    assert rule["action"] == {"type": "expire"}
    output = capsys.readouterr().out
    assert output.count(f"make smoke STACK={name}") == 2
    assert output.count("newest") == 1


def test_a_deployment_does_not_fail_for_a_rule_that_cannot_be_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert after_deploy.main(["dev", "--endpoint-url", "http://127.0.0.1:9"]) == 0
    output = capsys.readouterr()
    assert "ecr:PutLifecyclePolicy" in output.err
    assert "make smoke STACK=image-pipeline-dev" in output.out
