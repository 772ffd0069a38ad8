"""Create the template's secrets in an emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


def make(client: SecretsManagerClient, name: str, properties: dict[str, Any]) -> tuple[str, str]:
    """Return the ARN and value of the secret. It is generated according to the template unless it already
    exists."""
    try:
        found = client.get_secret_value(SecretId=name)
        return found["ARN"], found["SecretString"]
    except client.exceptions.ResourceNotFoundException:
        value = client.get_random_password(**properties["GenerateSecretString"])["RandomPassword"]
        return client.create_secret(Name=name, SecretString=value)["ARN"], value
