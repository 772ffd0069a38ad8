"""DynamoDB's expressions, by moto's parsers. Items are plain dicts of typed values and are never changed in place."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from moto.dynamodb.comparisons import create_condition_expression_parser
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.parsing.executors import UpdateExpressionExecutor
from moto.dynamodb.parsing.expressions import UpdateExpressionParser  # type: ignore[attr-defined]
from moto.dynamodb.parsing.key_condition_expression import parse_expression
from moto.dynamodb.parsing.validators import UpdateExpressionValidator

Attributes = dict[str, Any]


class _Schema:
    """What moto's validator asks of a table."""

    def __init__(self, key_names: tuple[str, ...]) -> None:
        self.table_key_attrs = list(key_names)
        self.attribute_keys = list(key_names)
        self.attr: list[dict[str, str]] = []


def holds(item: Attributes | None, arguments: Mapping[str, Any]) -> bool:
    """Whether the `ConditionExpression` among a call's arguments holds for the item (None: there is none)."""
    expression = arguments.get("ConditionExpression")
    if expression is None:
        return True
    condition = _condition(
        expression,
        _frozen(arguments.get("ExpressionAttributeNames")),
        _frozen(arguments.get("ExpressionAttributeValues")),
    )
    return bool(condition.expr(_moto_item(item or {}, expression, arguments)))


def updated(item: Attributes, arguments: Mapping[str, Any], key_names: tuple[str, ...]) -> Attributes:
    """The item after the `UpdateExpression` among a call's arguments."""
    expression = arguments["UpdateExpression"]
    names, values = arguments.get("ExpressionAttributeNames", {}), arguments.get("ExpressionAttributeValues", {})
    part = _moto_item(item, expression, arguments)
    tree = UpdateExpressionValidator(
        copy.deepcopy(_update(expression)), names, values, part, _Schema(key_names)
    ).validate()
    tree.normalize()
    before = set(part.attrs)
    UpdateExpressionExecutor(tree, part, names).execute()
    kept = {name: value for name, value in item.items() if name not in before}
    return kept | {name: value.to_json() for name, value in part.attrs.items()}


def hash_key_of(arguments: Mapping[str, Any], schema: list[dict[str, str]]) -> Any:
    """The value of the hash key in a query's `KeyConditionExpression`; ranges are not asked for by the pipeline."""
    hashes, ranges, _ = _key_condition(
        arguments["KeyConditionExpression"],
        _frozen(arguments.get("ExpressionAttributeValues")),
        _frozen(arguments.get("ExpressionAttributeNames")),
        _frozen(schema),
    )
    if ranges:
        raise NotImplementedError("conditions on the range key")
    return next(iter(hashes[0][1].values()))


def _moto_item(item: Attributes, expression: str, arguments: Mapping[str, Any]) -> Item:
    # The attributes that the expression may speak of: making moto's types of all of them takes longer.
    names = {*arguments.get("ExpressionAttributeNames", {}).values(), *re.findall(r"\b\w+\b", expression)}
    return Item(DynamoType({"S": ""}), None, {name: item[name] for name in item if name in names})


def _frozen(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


@lru_cache(4096)
def _condition(expression: str, names: str, values: str) -> Any:
    return create_condition_expression_parser(expression, json.loads(names), json.loads(values)).parse()


@lru_cache(256)
def _update(expression: str) -> Any:
    return UpdateExpressionParser.make(expression)


@lru_cache(256)
def _key_condition(expression: str, values: str, names: str, schema: str) -> Any:
    return parse_expression(expression, json.loads(values), json.loads(names), json.loads(schema))
