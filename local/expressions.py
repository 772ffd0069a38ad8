"""What the template's expressions (`!Ref`, `!Sub` …) mean is left to CloudFormation.

Each expression that is needed here becomes an output of the stack, and is replaced by what that output says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class Expressions:
    """Expressions, numbered, to be evaluated as outputs of a stack."""

    def __init__(self) -> None:
        self.by_output: dict[str, Any] = {}

    def numbered(self, value: Any) -> Any:
        """`value` with each expression replaced by a placeholder."""
        if isinstance(value, dict):
            if len(value) == 1 and (key := next(iter(value))) and (key == "Ref" or key.startswith("Fn::")):
                output = f"Value{len(self.by_output)}"
                self.by_output[output] = value
                return _Placeholder(output)
            return {key: self.numbered(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.numbered(item) for item in value]
        return value

    def replaced(self, value: Any, outputs: Mapping[str, str]) -> Any:
        """`value` with each placeholder replaced by its output."""
        if isinstance(value, _Placeholder):
            return outputs.get(value.output, "")
        if isinstance(value, dict):
            return {key: self.replaced(item, outputs) for key, item in value.items()}
        if isinstance(value, list):
            return [self.replaced(item, outputs) for item in value]
        return value


@dataclass(frozen=True)
class _Placeholder:
    output: str
