"""`requirements/audit` and its use of pip-audit, replaced by a fake that responds like the real one."""

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
    """Returns a function that runs the audit with a pip-audit that runs `script` for each call.

    `$pins` is the requirements file.
    """

    def run(script: str) -> subprocess.CompletedProcess[str]:
        stand_in = tmp_path / "pip-audit"
        stand_in.write_text(f"#!/usr/bin/env bash\nfor pins; do :; done\n{script}\n")
        stand_in.chmod(0o755)
        command = [str(ROOT / "requirements/audit"), str(stand_in)]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    return run


def with_database(script: str) -> str:
    """Return a pip-audit with a database. It finds the known vulnerability, and runs `script` for the pins."""
    return f"if grep -qx requests==2.19.0 $pins; then echo '{KNOWN}'; exit 1; fi\n{script}"


@pytest.mark.parametrize("script", [f"echo '{UNKNOWN}'", "echo Traceback >&2; exit 1", "exit 127"])
def test_without_a_database_the_audit_is_skipped_with_a_message(audit: Audit, script: str) -> None:
    """The real pip-audit finds nothing and exits with 0 if a registry has no advisories."""
    done = audit(script)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("SKIPPED: ")


def pins(audit: Audit) -> list[str]:
    """Return the packages that are audited."""
    done = audit(with_database("cat $pins"))
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_every_version_of_every_pinned_package_is_audited(audit: Audit) -> None:
    audited = pins(audit)
    names = [line.partition("==")[0] for line in audited]
    assert len(audited) == len(set(audited)) > 150
    assert {"boto3", "checkov", "ministack", "onnxruntime", "pillow", "pip-audit", "torch"} <= set(names)
    assert names.count("botocore") > 1, "MiniStack pins another version"


def test_a_vulnerability_in_any_version_fails_the_audit(audit: Audit) -> None:
    for vulnerable in (line for line in pins(audit) if line.startswith("botocore==")):
        done = audit(with_database(f"! grep -x '{vulnerable}' $pins"))
        assert (done.returncode, done.stdout.split()) == (1, [vulnerable])
