"""The report of a smoke test: every step, every difference from the documentation, as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

_ACCOUNT = re.compile(r"(?<!\d)\d{12}(?!\d)")
_QUERY = re.compile(r"\?[^\s|`)\"<]*X-Amz-[^\s|`)\"<]*")
_API_HOST = re.compile(r"\b[a-z0-9]{10}(?=\.execute-api\.)")


class Outcome(StrEnum):
    """The outcome of a step. `BLOCKED`: it needs the result of a step that failed."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    BLOCKED = "not run"


@dataclass(frozen=True)
class StepResult:
    """The result of one step. `detail` says what was found, or why it did not pass."""

    name: str
    outcome: Outcome
    seconds: float
    detail: str


@dataclass(frozen=True)
class Observation:
    """A server's response next to the documented one."""

    what: str
    documented: str
    returned: str

    @property
    def differs(self) -> bool:
        return self.documented != self.returned


@dataclass
class SmokeReport:
    """Everything that a smoke test found.

    `facts` are about the stack and the run, `model` about the caption model, both in display order. `secrets` are
    texts that the Markdown must not contain, with their replacements.
    """

    facts: dict[str, str] = field(default_factory=dict)
    steps: list[StepResult] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    not_provoked: list[str] = field(default_factory=list)
    model: dict[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def passed(self) -> bool:
        """Whether every step passed or was skipped, and the run was not interrupted."""
        return not self.interrupted and all(
            step.outcome in (Outcome.PASSED, Outcome.SKIPPED) for step in self.steps
        )

    @property
    def differences(self) -> list[Observation]:
        return [observation for observation in self.observations if observation.differs]

    def count(self, outcome: Outcome) -> int:
        return sum(step.outcome is outcome for step in self.steps)

    def summary(self) -> str:
        """One line: how many steps ended how, and how many differences there are."""
        counts = ", ".join(f"{self.count(outcome)} {outcome}" for outcome in Outcome if self.count(outcome))
        seconds = sum(step.seconds for step in self.steps)
        differences = f"{len(self.differences)} differences from the documentation"
        interrupted = "Interrupted. " if self.interrupted else ""
        return f"{interrupted}{counts or 'no step ran'} in {seconds:.0f} s; {differences}"

    def markdown(self) -> str:
        """The report without keys, account ids, bucket names and presigned URLs."""
        lines = ["# Smoke test", "", f"**{'Passed' if self.passed else 'Failed'}**: {self.summary()}.", ""]
        lines += _table(("", ""), self.facts.items())
        lines += ["## Steps", ""]
        lines += _table(
            ("step", "result", "seconds", "details"),
            ((step.name, step.outcome, f"{step.seconds:.2f}", step.detail) for step in self.steps),
        )
        lines += ["## Responses of API Gateway and S3", ""]
        lines += _table(
            ("what", "documented", "returned", ""),
            (
                (
                    observation.what,
                    observation.documented,
                    "as documented" if not observation.differs else observation.returned,
                    _mark(observation),
                )
                for observation in self.observations
            ),
        )
        if self.not_provoked:
            lines += ["Not provoked:", "", *(f"- {reason}" for reason in self.not_provoked), ""]
        lines += ["## Caption model", ""]
        lines += _table(("", ""), self.model.items())
        return self.redacted("\n".join(lines))

    def redacted(self, text: str) -> str:
        """`text` without the secrets, and without anything like an account id, an API id or a signature."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, self.secrets[secret])
        text = _QUERY.sub("?(signature)", text)
        text = _API_HOST.sub("(api)", text)
        return _ACCOUNT.sub("(account)", text)


def _mark(observation: Observation) -> str:
    return "**differs**" if observation.differs else ""


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    cells = [head, tuple("---" for _ in head), *rows]
    return [*(f"| {' | '.join(_cell(text) for text in row)} |" for row in cells), ""]


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
