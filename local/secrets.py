"""Creating the template's secrets at an emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


def make(client: SecretsManagerClient, name: str, properties: dict[str, Any]) -> tuple[str, str]:
    """The ARN and value of the secret; it is generated as the template says unless it exists already."""
    try:
        found = client.get_secret_value(SecretId=name)
        return found["ARN"], found["SecretString"]
    except client.exceptions.ResourceNotFoundException:
        value = client.get_random_password(**properties["GenerateSecretString"])["RandomPassword"]
        return client.create_secret(Name=name, SecretString=value)["ARN"], value
