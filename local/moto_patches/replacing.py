"""Replace parts of moto, with an error that says what to do if they are missing."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

MOTO_VERSION = "5.2.5"


class MotoChanged(Exception):
    """The patches were written for another version of moto."""


def check_version(installed: str) -> None:
    """Raise `MotoChanged` unless the patches were written for the installed version."""
    if installed != MOTO_VERSION:
        raise MotoChanged(
            f"local.moto_patches was written for moto {MOTO_VERSION}, but {installed} is installed. Install "
            f"moto=={MOTO_VERSION}, or compare what local/moto_patches replaces with the new version and change "
            "MOTO_VERSION."
        )


def replace(owner: Any, name: str, new: Any) -> None:
    """Set `owner.name` to `new`. `owner` is a class or a module of moto.

    Raises `MotoChanged` if `owner` itself does not define `name`.
    """
    _defined(owner, name)
    setattr(owner, name, new)


def wrap(owner: Any, name: str, wrapper: Callable[..., Any]) -> None:
    """Replace a function by `wrapper`, which gets the original before the arguments."""
    original = _defined(owner, name)

    @wraps(original)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        return wrapper(original, *arguments, **named)

    setattr(owner, name, wrapped)


def _defined(owner: Any, name: str) -> Any:
    if name not in vars(owner):
        raise MotoChanged(
            f"{owner.__name__} has no {name}, which local.moto_patches replaces. Install moto=={MOTO_VERSION}, or "
            "change the patch."
        )
    return vars(owner)[name]
