"""docs/moto.md is a promise: each test that it names is there."""

from __future__ import annotations

import ast
import re

import pytest

from local.template import ROOT

PAGE = (ROOT / "docs" / "moto.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)


def test_the_page_names_tests() -> None:
    assert len([name for _, name in NAMED if name]) > 50


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED)))
def test_a_test_that_the_page_names_exists(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert not name or name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_line_of_the_table_names_a_test() -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("| ") and "---" not in line][1:]
    assert len(lines) > 30
    assert [line for line in lines if "`tests/" not in line] == []
