"""The templates as the tests resolve them, with one account, region and stack name."""

from __future__ import annotations

from functools import cache

from local.resolve import ResolvedTemplate
from local.template import OBSERVABILITY, read_template

REGION = "eu-west-1"
ACCOUNT = "123456789012"
STACK = "image-pipeline"
WEBHOOK_URL = "https://receiver.example/hook?token=t"


@cache
def resolved(**parameters: str) -> ResolvedTemplate:
    """Return the stack with these parameters and the other defaults."""
    return ResolvedTemplate(parameters, region=REGION, account=ACCOUNT, stack=STACK)


def with_webhooks() -> ResolvedTemplate:
    """Return the stack with its defaults, and with the webhooks function, which exists only if there is a URL."""
    return resolved(WebhookUrl=WEBHOOK_URL)


@cache
def observability(**parameters: str) -> ResolvedTemplate:
    """Return the nested stack of alarms and dashboard, with what `resolved(**parameters)` passes to it."""
    (nested,) = resolved(**parameters).resources("AWS::CloudFormation::Stack").values()
    return ResolvedTemplate(
        {name: str(value) for name, value in nested["Parameters"].items()},
        region=REGION,
        account=ACCOUNT,
        stack=f"{STACK}-Observability",
        template=read_template(OBSERVABILITY),
    )
