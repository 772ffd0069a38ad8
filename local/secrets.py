"""Create the template's secrets in an emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


def make(
    client: SecretsManagerClient, name: str, properties: dict[str, Any], value: str | None = None
) -> tuple[str, str]:
    """Return the ARN and value of the secret.

    Without a `value` it keeps the one that it has, or gets one that is generated according to the template.
    """
    try:
        found = client.get_secret_value(SecretId=name)
    except client.exceptions.ResourceNotFoundException:
        value = value or client.get_random_password(**properties["GenerateSecretString"])["RandomPassword"]
        return client.create_secret(Name=name, SecretString=value)["ARN"], value
    if value is not None and value != found["SecretString"]:
        client.put_secret_value(SecretId=name, SecretString=value)
    return found["ARN"], value or found["SecretString"]
