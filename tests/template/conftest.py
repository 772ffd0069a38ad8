"""template.yaml, read and translated."""

from __future__ import annotations

from typing import Any

import pytest

from local.template import parameter_values, read_template, translate

Resources = dict[str, Any]


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
