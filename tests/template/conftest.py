"""template.yaml, parsed and translated."""

from __future__ import annotations

from typing import Any

import pytest

from local.template import parameter_values, read_template, translate
from tests.iam.resolved import WEBHOOK_URL

Resources = dict[str, Any]

EVERYTHING_ON = {
    "ApiKeyRequired": "true",
    "CorsOrigins": "https://a.example,https://b.example",
    "KmsKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    "ProtectData": "true",
    "PublicDocs": "false",
    "S3AccessLogBucket": "my-access-logs",
    "WebhookUrl": WEBHOOK_URL,
}
"""Parameters with which every condition of the template is true."""


@pytest.fixture(scope="session")
def sam() -> dict[str, Any]:
    return read_template()


@pytest.fixture(scope="session")
def parameters(sam: dict[str, Any]) -> dict[str, str]:
    return parameter_values(sam, {})


@pytest.fixture(scope="session")
def cloudformation(sam: dict[str, Any], parameters: dict[str, str]) -> dict[str, Any]:
    return translate(sam, region="us-east-1", parameters=parameters)


@pytest.fixture(scope="session")
def resources(cloudformation: dict[str, Any]) -> Resources:
    resources: Resources = cloudformation["Resources"]
    return resources
