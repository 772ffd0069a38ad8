"""`requirements/audit`: what it makes of pip-audit, here a stand-in that answers as the real one does."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from local.template import ROOT

Audit = Callable[[str], "subprocess.CompletedProcess[str]"]
KNOWN = (
    '{"dependencies": [{"name": "requests", "vulns": [{"id": "PYSEC-2018-28", "aliases": ["CVE-2018-18074"]}]}]}'
)
UNKNOWN = '{"dependencies": [{"name": "requests", "skip_reason": "Dependency not found on PyPI"}]}'


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    """Runs it with a pip-audit that does `script` for each call; `$pins` is the file of requirements."""

    def run(script: str) -> subprocess.CompletedProcess[str]:
        stand_in = tmp_path / "pip-audit"
        stand_in.write_text(f"#!/usr/bin/env bash\nfor pins; do :; done\n{script}\n")
        stand_in.chmod(0o755)
        command = [str(ROOT / "requirements/audit"), str(stand_in)]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    return run


def reached(script: str) -> str:
    """A pip-audit with a database: it finds the known vulnerability, and does `script` with ours."""
    return f"if grep -qx requests==2.19.0 $pins; then echo '{KNOWN}'; exit 1; fi\n{script}"


@pytest.mark.parametrize("script", [f"echo '{UNKNOWN}'", "echo Traceback >&2; exit 1", "exit 127"])
def test_without_a_database_it_is_skipped_and_says_so(audit: Audit, script: str) -> None:
    """The real one finds nothing, and ends with 0, at a registry that has no advisories."""
    done = audit(script)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("SKIPPED: ")


def pins(audit: Audit) -> list[str]:
    """What is audited."""
    done = audit(reached("cat $pins"))
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_every_pinned_package_is_audited_in_each_of_its_versions(audit: Audit) -> None:
    audited = pins(audit)
    names = [line.partition("==")[0] for line in audited]
    assert len(audited) == len(set(audited)) > 150
    assert {"boto3", "checkov", "ministack", "onnxruntime", "pillow", "pip-audit", "torch"} <= set(names)
    assert names.count("botocore") > 1, "MiniStack pins another one"


def test_a_vulnerability_fails_it_whichever_version_has_it(audit: Audit) -> None:
    for vulnerable in (line for line in pins(audit) if line.startswith("botocore==")):
        done = audit(reached(f"! grep -x '{vulnerable}' $pins"))
        assert (done.returncode, done.stdout.split()) == (1, [vulnerable])
