"""The types that check the gallery's scripts (`make check-gallery`) match the API's schema."""

from __future__ import annotations

import re
from typing import Any

import pytest

from image_api.assets import FOLDER
from tests.functional.http_api import Api

TYPES = FOLDER.parent.parent / "types" / "api.d.ts"
INTERFACES = dict(re.findall(r"^export interface (\w+) \{\n(.*?)\n\}", TYPES.read_text(), re.MULTILINE | re.DOTALL))
NOT_IN_THE_SCHEMA = {"Position"}  # `gps`, one of the additional properties of `Metadata`


def is_nullable(schema: dict[str, Any]) -> bool:
    return schema.get("type") == "null" or any(option.get("type") == "null" for option in schema.get("anyOf", []))


@pytest.mark.parametrize("name", sorted(INTERFACES.keys() - NOT_IN_THE_SCHEMA))
def test_a_type_has_the_members_of_its_schema(api: Api, name: str) -> None:
    properties = api.get("/openapi.json").json()["components"]["schemas"][name]["properties"]

    members = dict(re.findall(r"^  (\w+)\??: (.+);$", INTERFACES[name], re.MULTILINE))

    assert members.keys() == properties.keys()
    nullable = {member for member, type_ in members.items() if re.search(r"\bnull$", type_)}
    assert nullable == {member for member, schema in properties.items() if is_nullable(schema)}


@pytest.mark.parametrize("name", sorted(path.name for path in TYPES.parent.iterdir()))
def test_the_types_are_not_served(api: Api, name: str) -> None:
    assert api.get(f"/assets/{name}").status == 404
