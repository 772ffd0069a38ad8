"""What is deployed is what requirements.in asks for: pinned whole, with hashes, and nothing twice.

`make lock` writes the requirements.txt; these tests need no network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from local.template import ROOT

LOCKED = ["layers/core", "functions/api", "functions/processor"]
# Where the functions run; `extra` is what markers of optional requirements ask for.
LAMBDA = {
    "python_version": "3.13",
    "python_full_version": "3.13.0",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "os_name": "posix",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "extra": "",
}
# functions/processor/overrides.txt says why.
NEVER_CALLED = {"huggingface-hub"}


def wanted(path: str) -> Iterator[Requirement]:
    """The lines of a requirements.in (or of the development requirements)."""
    for line in (ROOT / path).read_text().splitlines():
        text = line.partition("#")[0].strip()
        if text.startswith("-r "):
            yield from wanted(str((ROOT / path).parent.joinpath(text[3:]).resolve().relative_to(ROOT)))
        elif text and not text.startswith("-"):
            yield Requirement(text)


def locked(folder: str) -> dict[str, tuple[str, set[str]]]:
    """Version and hashes by package; every line of the file must be one of those that are understood."""
    found: dict[str, tuple[str, set[str]]] = {}
    text = (ROOT / folder / "requirements.txt").read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = re.fullmatch(r"([a-z0-9-]+)==(\S+)((?: +--hash=sha256:[0-9a-f]{64})+) *", line)
        assert match, line
        found[match[1]] = (match[2], set(re.findall(r"[0-9a-f]{64}", match[3])))
    return found


@pytest.mark.parametrize("folder", LOCKED)
def test_the_lock_has_what_is_asked_for_in_that_version(folder):
    pinned = locked(folder)
    for requirement in wanted(f"{folder}/requirements.in"):
        version, _ = pinned[canonicalize_name(requirement.name)]
        assert str(requirement.specifier) == f"=={version}", requirement.name


@pytest.mark.parametrize("folder", LOCKED)
def test_the_lock_is_whole(folder):
    """Nothing in it needs a package that is neither in it nor in the layer, nor another version of one."""
    pinned = locked(folder) | (locked("layers/core") if folder == "functions/api" else {})
    for name in pinned:
        for requirement in map(Requirement, requires(name) or []):
            needed = canonicalize_name(requirement.name)
            if needed in NEVER_CALLED or (requirement.marker and not requirement.marker.evaluate(LAMBDA)):
                continue
            assert needed in pinned, f"{name} needs {requirement}"
            assert pinned[needed][0] in requirement.specifier, f"{name} needs {requirement}"


@pytest.mark.parametrize("folder", LOCKED)
def test_the_lock_has_nothing_that_nobody_needs(folder):
    pinned = locked(folder)
    waiting = [canonicalize_name(requirement.name) for requirement in wanted(f"{folder}/requirements.in")]
    needed: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in pinned and name not in needed:
            needed.add(name)
            waiting += [canonicalize_name(Requirement(line).name) for line in requires(name) or []]
    assert needed == set(pinned)


def test_the_api_brings_nothing_that_the_layer_has():
    assert not set(locked("functions/api")) & set(locked("layers/core"))


def test_the_processors_image_has_what_the_layer_has():
    assert locked("layers/core").items() <= locked("functions/processor").items()


def test_the_processors_image_has_no_torch():
    assert not {"torch", "transformers", "huggingface-hub"} & set(locked("functions/processor"))


@pytest.mark.parametrize("folder", LOCKED)
def test_what_is_tested_is_what_is_deployed(folder):
    tested = {
        canonicalize_name(requirement.name): requirement.specifier for requirement in wanted("requirements.txt")
    }
    for name, (version, _) in locked(folder).items():
        # What only comes along with others is not in requirements.txt.
        if name in tested:
            assert version in tested[name], name


@pytest.mark.parametrize("folder", ["layers/core", "functions/api"])
def test_the_makefile_installs_by_hash_and_wheels_alone(folder):
    makefile = (ROOT / "functions/Makefile").read_text()
    assert "--require-hashes" in makefile and "--no-deps" in makefile and "--only-binary=:all:" in makefile
    assert all(hashes for _, hashes in locked(folder).values())


def test_the_processors_image_installs_by_hash():
    dockerfile = (ROOT / "functions/processor/Dockerfile").read_text()
    assert "--require-hashes" in dockerfile and "--no-deps" in dockerfile and "--only-binary=:all:" in dockerfile
