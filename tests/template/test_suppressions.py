"""What the linters find is mended, or a reason stands beside the resource; nothing is switched off as a whole."""

from __future__ import annotations

import re
from typing import Any

import pytest

from local.template import OBSERVABILITY, ROOT, TEMPLATE, read_template


def suppressed() -> list[tuple[str, Any]]:
    return [
        (name, skip)
        for name, resource in read_template()["Resources"].items()
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", [])
    ]


@pytest.mark.parametrize(("resource", "skip"), suppressed())
def test_a_finding_of_checkov_is_suppressed_with_a_reason(resource: str, skip: dict[str, str]) -> None:
    assert set(skip) == {"id", "comment"}
    assert re.fullmatch(r"CKV2?_AWS_\d+", skip["id"])
    assert len(skip["comment"].split()) >= 6, "a sentence that says why"


def test_no_finding_is_suppressed_twice() -> None:
    found = [(resource, skip["id"]) for resource, skip in suppressed()]
    assert len(found) == len(set(found)) > 0


def test_no_check_is_switched_off_for_everything() -> None:
    assert not [
        name
        for name in (".checkov.yaml", ".checkov.yml", ".cfnlintrc", ".cfnlintrc.yaml")
        if (ROOT / name).exists()
    ]
    for file in ("Makefile", ".ci/run", "samconfig.toml"):
        assert not re.search(r"--skip-check|ignore-checks|soft-fail", (ROOT / file).read_text())


def test_cfn_lint_has_no_exceptions_at_all() -> None:
    for template in (TEMPLATE, OBSERVABILITY):
        assert "cfn-lint" not in template.read_text(encoding="utf-8")
