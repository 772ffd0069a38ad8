"""moto does not keep a list of every object that it makes.

The lists fill a page that nobody opens here, /moto-api/data.json, and keep alive what was deleted or replaced.
"""

from __future__ import annotations

from typing import Any

from moto.core.common_models import BaseModel

from local.moto_patches.replacing import replace


def apply() -> None:
    """Turns the tracking of instances off."""
    replace(BaseModel, "__new__", staticmethod(_new))


def _new(cls: type[BaseModel], *_arguments: Any, **_named: Any) -> Any:
    return super(BaseModel, cls).__new__(cls)
