"""DynamoDB's expressions, parsed by moto. Items are dicts of typed values and are never changed in place."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from moto.dynamodb.comparisons import create_condition_expression_parser
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.parsing.ast_nodes import (  # type: ignore[attr-defined]
    LeafNode,
    UpdateExpressionAction,
    UpdateExpressionAddAction,
    UpdateExpressionSetAction,
)
from moto.dynamodb.parsing.expressions import UpdateExpressionParser  # type: ignore[attr-defined]
from moto.dynamodb.parsing.key_condition_expression import parse_expression

Attributes = dict[str, Any]


def holds(item: Attributes | None, arguments: Mapping[str, Any]) -> bool:
    """Return whether the item (or None) meets the `ConditionExpression` in a call's arguments."""
    expression = arguments.get("ConditionExpression")
    if expression is None:
        return True
    condition = _condition(
        expression,
        _frozen(arguments.get("ExpressionAttributeNames")),
        _frozen(arguments.get("ExpressionAttributeValues")),
    )
    return bool(condition.expr(_moto_item(item or {}, expression, arguments)))


def updated(item: Attributes, arguments: Mapping[str, Any]) -> Attributes:
    """Return the item after the `UpdateExpression` in the arguments.

    Supports SET and ADD, and ADD only of numbers.
    """
    names, values = arguments.get("ExpressionAttributeNames", {}), arguments["ExpressionAttributeValues"]
    after = dict(item)
    for action, path, value in _actions(arguments["UpdateExpression"]):
        name, given = names.get(path, path), values[value]
        if action == "ADD":
            before = int(item[name]["N"]) if name in item else 0
            given = {"N": str(before + int(given["N"]))}
        after[name] = given
    return after


def key_condition_of(
    arguments: Mapping[str, Any], schema: list[dict[str, str]]
) -> tuple[Any, tuple[Any, Any] | None]:
    """Parse a query's `KeyConditionExpression`: the hash key, and first and last range key if it uses BETWEEN."""
    hashes, ranges, _ = _key_condition(
        arguments["KeyConditionExpression"],
        _frozen(arguments.get("ExpressionAttributeValues")),
        _frozen(arguments.get("ExpressionAttributeNames")),
        _frozen(schema),
    )
    between = None
    if ranges:
        ((_, comparison, bounds),) = ranges
        if comparison != "BETWEEN":
            raise NotImplementedError(f"{comparison} on the range key")
        first, last = (next(iter(bound.values())) for bound in bounds)
        between = (first, last)
    return next(iter(hashes[0][1].values())), between


def _moto_item(item: Attributes, expression: str, arguments: Mapping[str, Any]) -> Item:
    # Convert only the attributes in the expression: converting all of them to moto's types takes longer.
    names = {*arguments.get("ExpressionAttributeNames", {}).values(), *re.findall(r"\b\w+\b", expression)}
    return Item(DynamoType({"S": ""}), None, {name: item[name] for name in item if name in names})


def _frozen(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


@lru_cache(4096)
def _condition(expression: str, names: str, values: str) -> Any:
    return create_condition_expression_parser(expression, json.loads(names), json.loads(values)).parse()


@lru_cache(256)
def _actions(expression: str) -> list[tuple[str, str, str]]:
    """Parse an update expression into action, attribute (or its `#name`) and `:value`."""
    kinds = {UpdateExpressionSetAction: "SET", UpdateExpressionAddAction: "ADD"}
    actions = []

    def visit(node: Any) -> None:
        if type(node) in kinds:
            path, value = (_leaf(child) for child in node.children)
            actions.append((kinds[type(node)], path, value))
        elif isinstance(node, LeafNode | UpdateExpressionAction):
            raise NotImplementedError(f"{type(node).__name__} in {expression}")
        else:
            for child in node.children:
                visit(child)

    visit(UpdateExpressionParser.make(expression))
    return actions


def _leaf(node: Any) -> str:
    while not isinstance(node, LeafNode):
        (node,) = node.children
    return str(node.children[0])


@lru_cache(256)
def _key_condition(expression: str, values: str, names: str, schema: str) -> Any:
    return parse_expression(expression, json.loads(values), json.loads(names), json.loads(schema))
