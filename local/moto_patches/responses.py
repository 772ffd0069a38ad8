"""Responses of DynamoDB whose attributes are copied as they are.

moto's serializer looks for each of the ten types of an attribute value, under several names. That takes most of the
time of a query.
"""

from __future__ import annotations

from typing import Any

from moto.core.serialize import ResponseSerializer

from local.moto_patches.replacing import wrap

_PLAIN = frozenset({"S", "N", "BOOL"})
"""Types whose JSON is the value itself."""


def apply() -> None:
    """Copy plain attribute values."""
    wrap(ResponseSerializer, "_serialize_type_structure", _structure)


def _structure(original: Any, serializer: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
    if shape.name == "AttributeValue" and type(value) is dict and len(value) == 1 and value.keys() <= _PLAIN:
        serializer._default_serialize(serialized, value, shape, key)
    else:
        original(serializer, serialized, value, shape, key)
