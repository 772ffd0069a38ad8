"""The template's secrets, which moto's CloudFormation passes over: made through Secrets Manager's own API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

_MARK = "secret of the template: "


def marked(value: Any, secrets: Iterable[str]) -> Any:
    """`value` with each reference to a secret replaced by a mark, which CloudFormation leaves alone."""
    if isinstance(value, dict):
        if set(value) == {"Ref"} and value["Ref"] in secrets:
            return _MARK + value["Ref"]
        return {key: marked(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [marked(item, secrets) for item in value]
    return value


def marked_secret(value: str) -> str | None:
    """The logical id of the secret that a mark stands for; None if `value` is no mark."""
    return value.removeprefix(_MARK) if value.startswith(_MARK) else None


def make(client: SecretsManagerClient, name: str, properties: dict[str, Any]) -> tuple[str, str]:
    """The ARN and value of the secret, generated as the template asks unless it is there already."""
    try:
        found = client.get_secret_value(SecretId=name)
        return found["ARN"], found["SecretString"]
    except client.exceptions.ResourceNotFoundException:
        value = client.get_random_password(**properties["GenerateSecretString"])["RandomPassword"]
        return client.create_secret(Name=name, SecretString=value)["ARN"], value
