"""Stop moto from keeping a list of every object that it creates.

The lists are for the page /moto-api/data.json, which is not used here. They keep deleted and replaced objects
alive."""

from __future__ import annotations

from typing import Any

from moto.core.common_models import BaseModel

from local.moto_patches.replacing import replace


def apply() -> None:
    """Turn off the tracking of instances."""
    replace(BaseModel, "__new__", staticmethod(_new))


def _new(cls: type[BaseModel], *_arguments: Any, **_named: Any) -> Any:
    return super(BaseModel, cls).__new__(cls)
