"""Resolve the intrinsic functions (`!Ref`, `!Sub` …) of the translated template, without CloudFormation.

The local stack is created from the result, and the tests read policies from it as IAM would get them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from local.template import Template, parameter_values, read_template, translate

_NOTHING = object()
_NAMES = ("BucketName", "QueueName", "LogGroupName", "Name", "DashboardName", "TopicName", "AlarmName")
_ARNS = {
    "AWS::S3::Bucket": "arn:aws:s3:::{name}",
    "AWS::SQS::Queue": "arn:aws:sqs:{place}:{name}",
    "AWS::DynamoDB::Table": "arn:aws:dynamodb:{place}:table/{name}",
    "AWS::Logs::LogGroup": "arn:aws:logs:{place}:log-group:{name}:*",
    "AWS::Events::EventBus": "arn:aws:events:{place}:event-bus/{name}",
    "AWS::Lambda::Function": "arn:aws:lambda:{place}:function:{name}",
    "AWS::IAM::Role": "arn:aws:iam::{account}:role/{name}",
    "AWS::SecretsManager::Secret": "arn:aws:secretsmanager:{place}:secret:{name}-a1b2c3",
    "AWS::Events::Rule": "arn:aws:events:{place}:rule/{name}",
    "AWS::CloudWatch::Alarm": "arn:aws:cloudwatch:{place}:alarm:{name}",
    "AWS::SNS::Topic": "arn:aws:sns:{place}:{name}",
    "AWS::Lambda::LayerVersion": "arn:aws:lambda:{place}:layer:{name}:1",
}
_REF_IS_ARN = ("AWS::SecretsManager::Secret", "AWS::SNS::Topic", "AWS::Lambda::LayerVersion")


class ResolvedTemplate:
    """A stack of template.yaml with these parameters. Missing ones have their defaults.

    `refs` has the value of `!Ref` by logical id, for resources whose names only the service knows.
    """

    def __init__(
        self,
        parameters: Mapping[str, str],
        *,
        region: str,
        account: str,
        stack: str,
        template: Template | None = None,
        refs: Mapping[str, str] | None = None,
    ) -> None:
        template = template or read_template()
        self.region, self.account, self.stack = region, account, stack
        self.parameters = parameter_values(template, parameters)
        self.template = translate(template, region=region, parameters=self.parameters)
        self._resources: dict[str, Any] = self.template["Resources"]
        self._refs = {} if refs is None else refs
        self._pseudo = {
            "AWS::Region": region,
            "AWS::AccountId": account,
            "AWS::StackName": stack,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackId": f"arn:aws:cloudformation:{region}:{account}:stack/{stack}/1",
        }

    def condition(self, name: str) -> bool:
        return bool(self.value(self.template["Conditions"][name]))

    def exists(self, logical_id: str) -> bool:
        """Whether the stack has that resource, according to its condition."""
        condition = self._resources[logical_id].get("Condition")
        return condition is None or self.condition(condition)

    def resources(self, resource_type: str) -> dict[str, dict[str, Any]]:
        """Resolved properties of all existing resources of a type, by logical id."""
        return {
            name: self.value(resource.get("Properties", {}))
            for name, resource in self._resources.items()
            if resource["Type"] == resource_type and self.exists(name)
        }

    def attribute(self, logical_id: str, name: str) -> Any:
        """An attribute of a resource, such as `DeletionPolicy`."""
        return self.value(self._resources[logical_id].get(name))

    def arn(self, logical_id: str) -> str:
        """The ARN. Raises `KeyError` for a resource type that has no entry in `_ARNS`."""
        form = _ARNS[self._resources[logical_id]["Type"]]
        place = f"{self.region}:{self.account}"
        return form.format(place=place, account=self.account, name=self.name(logical_id))

    def name(self, logical_id: str) -> str:
        """The physical name: from the template, or built from stack name and logical id."""
        properties = self._resources[logical_id].get("Properties", {})
        given = next((properties[key] for key in _NAMES if key in properties), None)
        return str(self.value(given)) if given is not None else f"{self.stack}-{logical_id}"

    def value(self, expression: Any) -> Any:
        """`expression` with every intrinsic function replaced by its value.

        Raises `NotImplementedError` for an unknown function.
        """
        if isinstance(expression, list):
            return [value for item in expression if (value := self.value(item)) is not _NOTHING]
        if not isinstance(expression, dict):
            return expression
        if len(expression) == 1:
            ((function, argument),) = expression.items()
            if function == "Ref" or function.startswith("Fn::"):
                return self._called(function.removeprefix("Fn::"), argument)
        return {key: value for key, item in expression.items() if (value := self.value(item)) is not _NOTHING}

    def _called(self, function: str, argument: Any) -> Any:
        if function == "Ref":
            return self._referred(argument)
        if function == "GetAtt":
            logical_id, attribute = argument if isinstance(argument, list) else argument.split(".", 1)
            return self._attribute_of(logical_id, attribute)
        if function == "Sub":
            text, variables = argument if isinstance(argument, list) else (argument, {})
            return re.sub(r"\$\{([^!}][^}]*)\}", lambda m: str(self._substituted(m.group(1), variables)), text)
        if function == "If":
            return self.value(argument[1] if self.condition(argument[0]) else argument[2])
        if function == "Equals":
            first, second = self.value(argument)
            return first == second
        if function == "Not":
            return not self.value(argument)[0]
        if function in ("And", "Or"):
            return (all if function == "And" else any)(self.value(argument))
        if function == "Condition":
            return self.condition(argument)
        if function == "Join":
            return str(argument[0]).join(str(item) for item in self.value(argument[1]))
        if function == "Split":
            return str(self.value(argument[1])).split(argument[0])
        if function == "FindInMap":
            mapping, first, second = self.value(argument)
            return self.template["Mappings"][mapping][first][second]
        if function == "Select":
            return self.value(argument[1])[int(self.value(argument[0]))]
        raise NotImplementedError(f"Fn::{function}")

    def _referred(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _NOTHING
        if name in self._pseudo:
            return self._pseudo[name]
        if name in self.parameters:
            return self.parameters[name]
        if name in self._refs:
            return self._refs[name]
        resource_type = self._resources[name]["Type"]
        if resource_type in _REF_IS_ARN:
            return self.arn(name)
        if resource_type == "AWS::SQS::Queue":
            return f"https://sqs.{self.region}.amazonaws.com/{self.account}/{self.name(name)}"
        return self.name(name)

    def _attribute_of(self, logical_id: str, attribute: str) -> str:
        assert logical_id in self._resources, logical_id
        if attribute == "StreamArn":
            return f"{self.arn(logical_id)}/stream/2026-11-20T10:00:00.000"
        if attribute == "Arn":
            return self.arn(logical_id)
        return f"{self.name(logical_id)}.{attribute}"

    def _substituted(self, name: str, variables: Mapping[str, Any]) -> Any:
        if name in variables:
            return self.value(variables[name])
        if "." in name:
            return self._attribute_of(*name.split(".", 1))
        return self._referred(name)
