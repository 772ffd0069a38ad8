"""Compare the calls that the functional tests recorded with the permissions of the functions' roles.

A pytest plugin that tests/conftest.py registers. It compares at the end of the run, because the calls come from
every process of the run, in any order.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.iam.calls import Permission

# tests.iam.calls and tests.iam.policies take seconds to import, so a run imports them only if it needs them.

FUNCTIONAL = Path(__file__).parents[1] / "functional"
FEWEST_CALLS = 1000
"""A run with fewer recorded calls means that recording is broken."""

NOT_CALLED_BY_CODE = {
    "logs:CreateLogStream": "Lambda, for each execution environment",
    "logs:PutLogEvents": "Lambda, for each execution environment",
    "sqs:ReceiveMessage": "Lambda's event source mapping",
    "sqs:DeleteMessage": "Lambda's event source mapping",
    "sqs:GetQueueAttributes": "Lambda's event source mapping",
    "dynamodb:DescribeStream": "Lambda's event source mapping",
    "dynamodb:GetRecords": "Lambda's event source mapping",
    "dynamodb:GetShardIterator": "Lambda's event source mapping",
    "dynamodb:ListStreams": "Lambda's event source mapping",
    ("sqs:SendMessage", "RecoveryFailureQueue"): "Lambda, for the sweep's on-failure destination",
    ("sqs:SendMessage", "StreamFailureQueue"): "Lambda, for the mapping's on-failure destination",
}
"""Permissions that Lambda itself uses with the function's role: an action, or an action on one resource."""

Calls = Mapping["tuple[str, str, str, Permission]", int]


def unused_permissions(function: str, used: Iterable[Permission]) -> list[tuple[str, str]]:
    """Return the actions and resources that the function's role allows and no used permission needs."""
    from tests.iam.policies import ROLES, allows, as_list, of_role
    from tests.iam.resolved import with_webhooks

    used = list(used)
    return [
        (action, resource)
        for statement in of_role(with_webhooks(), ROLES[function])
        for action in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
        if not {action, (action, resource.rpartition("-")[2])} & NOT_CALLED_BY_CODE.keys()
        and not any(
            allows([statement | {"Action": action, "Resource": resource}], *permission) for permission in used
        )
    ]


def problems_of(recorded: Calls) -> list[str]:
    """Return what is wrong with the calls of a run of all functional tests."""
    from tests.iam.policies import ROLES

    problems = [
        f"{function}: no functional test needs {action} on {resource}; remove it from template.yaml"
        for function in ROLES
        for action, resource in unused_permissions(
            function, [permission for name, *_, permission in recorded if name == function]
        )
    ]
    total = sum(recorded.values())
    if total < FEWEST_CALLS:
        problems.append(f"only {total} calls of the functions were recorded: tests/iam/calls.py misses some")
    return problems


class RecordedCalls:
    """Collects the calls of all processes and fails the run if they and the roles' permissions do not match."""

    def __init__(self) -> None:
        self._calls: Counter[tuple[str, str, str, Permission]] = Counter()
        self._refused: list[str] = []
        self._is_complete = False
        self._problems: list[str] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Only a run of all functional tests can tell which permissions are unused."""
        files = {item.path.name for item in session.items if item.path.parent == FUNCTIONAL}
        wanted = {path.name for path in FUNCTIONAL.glob("test_*.py")}
        options = session.config.option
        self._is_complete = files == wanted and not options.keyword and not options.collectonly

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if "tests.iam.calls" in sys.modules:
            from tests.iam import calls

            self._add(calls.recorded, calls.refused)
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            recorded = [(*key[:3], *key[3], count) for key, count in self._calls.items()]
            output["iam"] = (recorded, self._refused, self._is_complete)
            return
        self._problems = [f"not allowed: {refused}" for refused in self._refused]
        if self._is_complete and not session.testsfailed:
            self._problems += problems_of(self._calls)
        if self._problems:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        from tests.iam.calls import Permission

        recorded, refused, is_complete = getattr(node, "workeroutput", {}).get("iam", ([], [], False))
        self._add({(*key[:3], Permission(*key[3:5])): key[5] for key in recorded}, refused)
        self._is_complete = self._is_complete or is_complete

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._calls:
            return
        functions = ", ".join(sorted({function for function, *_ in self._calls}))
        terminalreporter.write_line(
            f"IAM: {self._calls.total()} permissions needed by calls of {functions}, of {len(self._calls)} kinds; "
            f"{len(self._problems)} problems"
        )
        for problem in self._problems:
            terminalreporter.write_line(f"ERROR IAM {problem}")

    def _add(self, recorded: Calls, refused: list[str]) -> None:
        self._calls.update(recorded)
        self._refused += refused
