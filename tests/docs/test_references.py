"""The docs cite tests as evidence. Each of them must exist."""

from __future__ import annotations

import ast
import re

from local.template import ROOT


def test_every_test_cited_in_the_docs_exists() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    cited = {found for page in pages for found in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page.read_text())}
    assert len(cited) > 50
    missing = [(file, name) for file, name in sorted(cited) if not (ROOT / file).exists()]
    for file, name in sorted(cited - set(missing)):
        tree = ast.parse((ROOT / file).read_text())
        if name and name not in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}:
            missing.append((file, name))
    assert missing == []
