"""The README's block of curl calls runs unchanged."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests import pictures
from tests.running_stack import ROOT, Stack, until

SIDE = 3870
"""Noise does not compress: 3,870 × 3,870 × 3 bytes make a PNG of 45 MB."""


def block() -> str:
    """Return the block under "Use it over HTTP"."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"## Use it over HTTP\n.+?```sh\n(.+?)```", text, re.DOTALL)
    assert found
    return found[1]


def run(stack: Stack, files: Path, photo: str = "docs/screenshots/gallery.jpg") -> str:
    """Run the block and return its output. Only the address, the picture and the folder are replaced."""
    script = block()
    for written, used in (
        ("http://127.0.0.1:8000", str(stack.api.base_url).rstrip("/")),
        ("docs/screenshots/gallery.jpg", photo),
        ("$(mktemp -d)", str(files)),
    ):
        assert script.count(written) == 1, written
        script = script.replace(written, used)
    # A call that the API refuses ends the script.
    fails = 'curl() { command curl --fail-with-body "$@"; }'
    ran = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{fails}\n{script}"],
        cwd=ROOT,
        env=os.environ | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"},
        capture_output=True,
        text=True,
        check=False,
    )
    print(ran.stdout, ran.stderr)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def uploaded(stack: Stack, files: Path) -> dict[str, Any]:
    """Return the image that the block sent directly to the bucket."""
    image_id = json.loads((files / "upload.json").read_text())["image_id"]
    return stack.finished(image_id, seconds=120)


def test_the_readmes_block_runs_unchanged(stack: Stack, tmp_path: Path) -> None:
    stack.clear()

    printed = run(stack, tmp_path)

    picture = (ROOT / "docs" / "screenshots" / "gallery.jpg").read_bytes()
    assert printed.startswith("success\n")
    assert (tmp_path / "original.jpg").read_bytes() == picture
    assert (tmp_path / "small.jpg").read_bytes().startswith(b"\xff\xd8")
    assert '"title":"Lake at dawn"' in printed
    assert uploaded(stack, tmp_path)["status"] == "success"
    # Three pictures were sent, one of them twice with the same key, and the first was deleted.
    until(lambda: [image["status"] for image in stack.images()] == ["success", "success"], seconds=60)


@pytest.mark.slow
def test_the_block_works_with_a_picture_of_45_megabytes(stack: Stack, tmp_path: Path) -> None:
    # The bytes decide, not the name: what the README calls photo.jpg is a PNG here.
    photo = tmp_path / "large.jpg"
    photo.write_bytes(pictures.encode(pictures.noise(SIDE, SIDE), "PNG", compress_level=0))
    assert 44_000_000 < photo.stat().st_size < 46_000_000

    run(stack, tmp_path, str(photo))

    image = uploaded(stack, tmp_path)
    assert image["status"] == "success", image
    assert image["data"]["metadata"]["size_bytes"] == photo.stat().st_size
    assert (image["data"]["metadata"]["width"], image["data"]["metadata"]["format"]) == (SIDE, "png")
