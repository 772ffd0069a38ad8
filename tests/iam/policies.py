"""Evaluate policies as IAM does: a Deny wins, an Allow is needed, conditions must be true.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html. Supports only what the
template's policies use; anything else raises an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from local.resolve import ResolvedTemplate

Statement = dict[str, Any]
Context = Mapping[str, str]

_KNOWN = {"Sid", "Effect", "Action", "Resource", "Condition", "Principal"}
ROLES = {
    "api": "ApiRole",
    "processor": "ProcessorRole",
    "recovery": "RecoveryRole",
    "stream": "StreamRole",
    "webhooks": "WebhooksRole",
}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def allows(statements: Iterable[Statement], action: str, resource: str, context: Context | None = None) -> bool:
    """Return whether these statements together allow the action."""
    effects = {s["Effect"] for s in statements if applies(s, action, resource, context or {})}
    return "Allow" in effects and "Deny" not in effects


def denies(statements: Iterable[Statement], action: str, resource: str, context: Context | None = None) -> bool:
    """Return whether one of these statements denies the action, whatever else allows it."""
    return any(s["Effect"] == "Deny" and applies(s, action, resource, context or {}) for s in statements)


def applies(statement: Statement, action: str, resource: str, context: Context) -> bool:
    """Return whether a statement applies to this action on this resource in this context."""
    unknown = set(statement) - _KNOWN
    if unknown:
        raise NotImplementedError(f"{unknown} in a policy")
    return (
        any(_matches(pattern.lower(), action.lower()) for pattern in as_list(statement["Action"]))
        and any(_matches(pattern, resource) for pattern in as_list(statement["Resource"]))
        and all(
            _holds(operator, key, expected, context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, expected in keys.items()
        )
    )


def _holds(operator: str, key: str, expected: Any, context: Context) -> bool:
    given = context.get(key)
    if operator not in ("StringEquals", "StringLike", "ArnEquals", "ArnLike", "Bool"):
        raise NotImplementedError(f"the condition operator {operator}")
    if given is None:
        return False
    if operator in ("StringEquals", "Bool"):
        return given in [str(value).lower() if operator == "Bool" else value for value in as_list(expected)]
    return any(_matches(value, given) for value in as_list(expected))


def _matches(pattern: str, text: str) -> bool:
    return _compiled(pattern).fullmatch(text) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern: `*` matches any text, `?` any character, and everything else itself."""
    parts = (
        ".*" if part == "*" else "." if part == "?" else re.escape(part) for part in re.split(r"([*?])", pattern)
    )
    return re.compile("".join(parts), re.DOTALL)


def of_role(stack: ResolvedTemplate, role: str) -> list[Statement]:
    """Yield every statement of a role: inline, attached by name, or managed."""
    name = stack.name(role)
    found: list[Statement] = []
    properties = stack.resources("AWS::IAM::Role")[role]
    assert "ManagedPolicyArns" not in properties, "AWS managed policies would have to be read as well"
    for policy in properties.get("Policies", []):
        found += as_list(policy["PolicyDocument"]["Statement"])
    for policy in stack.resources("AWS::IAM::RolePolicy").values():
        if policy["RoleName"] == name:
            found += as_list(policy["PolicyDocument"]["Statement"])
    for policy in stack.resources("AWS::IAM::ManagedPolicy").values():
        if name in policy["Roles"]:
            found += as_list(policy["PolicyDocument"]["Statement"])
    return found
