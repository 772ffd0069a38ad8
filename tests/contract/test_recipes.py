"""The README's own words: its calls are run as they stand there."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests import pictures
from tests.running_stack import ROOT, Stack

SIDE = 3870
"""Noise does not compress: 3,870 × 3,870 × 3 bytes make a PNG of 45 MB."""


def recipe() -> str:
    """The README's two calls for a large file."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"goes straight to the bucket in two calls:\n\n```sh\n(.+?)```", text, re.DOTALL)
    assert found
    return found[1]


def test_the_recipe_is_two_calls() -> None:
    assert recipe().count("curl ") == 2


@pytest.mark.slow
def test_a_picture_of_45_megabytes_takes_the_two_calls_of_the_readme(stack: Stack, tmp_path: Path) -> None:
    # The bytes decide, not the name: what the README calls photo.jpg is a PNG here.
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(pictures.encode(pictures.noise(SIDE, SIDE), "PNG", compress_level=0))
    assert 44_000_000 < photo.stat().st_size < 46_000_000
    api = str(stack.api.base_url).rstrip("/")
    command = ["bash", "-c", "\n".join(["set -eu", f"api={api}", recipe()])]
    environment = os.environ | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    image_id = json.loads((tmp_path / "upload.json").read_text())["image_id"]
    image = stack.finished(image_id, seconds=120)
    assert image["status"] == "success", image
    assert image["data"]["metadata"]["size_bytes"] == photo.stat().st_size
    assert image["data"]["metadata"]["sha256"] == hashlib.sha256(photo.read_bytes()).hexdigest()
    assert (image["data"]["metadata"]["width"], image["data"]["metadata"]["format"]) == (SIDE, "png")
