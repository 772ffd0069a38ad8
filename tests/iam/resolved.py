"""The template as the tests resolve it: one account, region and stack name."""

from __future__ import annotations

from functools import cache

from local.resolve import ResolvedTemplate

REGION = "eu-west-1"
ACCOUNT = "123456789012"
STACK = "image-pipeline"


@cache
def resolved(**parameters: str) -> ResolvedTemplate:
    """The stack with these parameters, the defaults otherwise."""
    return ResolvedTemplate(parameters, region=REGION, account=ACCOUNT, stack=STACK)
