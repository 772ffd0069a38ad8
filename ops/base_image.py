"""`python -m ops.base_image ARCHITECTURE`: pins the processor's base image by digest, before `sam build` uses it.

A tag can be moved to another image, a digest cannot. The first deployment writes the tag's digest in the registry
to a file, which must be committed. Later deployments build on that image until `--update` writes a new digest. If
the registry cannot be reached and there is no digest, the image with that tag on this machine is used.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from local.template import ROOT

DOCKERFILE = ROOT / "functions/processor/Dockerfile"
PIN = ROOT / "functions/processor/base-image"
PLATFORMS = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}

_REFERENCE = re.compile(r"^ARG BASE_IMAGE=(?P<repository>\S+):(?P<tag>[^\s:@]+)$", re.MULTILINE)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

Docker = Callable[..., str]
"""Runs `docker` with these arguments and returns what it prints. Raises `DockerError`."""


class DockerError(Exception):
    """A `docker` command failed. The message is its output."""


class BaseImageError(Exception):
    """There is no base image to build on. The message says what to do."""


def pin(
    docker: Docker, platform: str, *, dockerfile: Path = DOCKERFILE, file: Path = PIN, update: bool = False
) -> str:
    """Give the Dockerfile's tag to the pinned image on this machine. Returns a message about it.

    Raises `BaseImageError`.
    """
    found = _REFERENCE.search(dockerfile.read_text(encoding="utf-8"))
    if found is None:
        raise BaseImageError(f"{dockerfile} has no line `ARG BASE_IMAGE=REPOSITORY:TAG`.")
    repository, tag = found["repository"], f"{found['repository']}:{found['tag']}"
    if file.exists() and not update:
        pinned = f"{repository}@{_digest_in(file)}"
        try:
            docker("pull", "--quiet", "--platform", platform, pinned)
        except DockerError as error:
            raise BaseImageError(
                f"{pinned} cannot be pulled: {error}. Try again when the registry can be reached, or remove {file} "
                f"to build on the current {tag}."
            ) from error
        docker("tag", pinned, tag)
        return f"The processor is built on {pinned}."
    try:
        docker("pull", "--quiet", "--platform", platform, tag)
    except DockerError as error:
        if update:
            raise BaseImageError(f"{tag} cannot be pulled: {error}.") from error
        return (
            f"WARNING: {tag} cannot be pulled: {error}. The processor is built on the image that has this tag on "
            "this machine, and its digest is not pinned."
        )
    digest = _pulled_digest(docker, repository, tag)
    file.write_text(f"{digest}\n", encoding="utf-8")
    return f"The processor is built on {repository}@{digest}. Commit {file}."


def _digest_in(file: Path) -> str:
    digest = file.read_text(encoding="utf-8").strip()
    if not _DIGEST.fullmatch(digest):
        raise BaseImageError(f"{file} contains no digest (sha256:…). Remove it, or run `make base-image`.")
    return digest


def _pulled_digest(docker: Docker, repository: str, tag: str) -> str:
    digests = docker("image", "inspect", "--format", '{{join .RepoDigests "\\n"}}', tag).split()
    for digest in digests:
        if digest.startswith(f"{repository}@"):
            return digest.partition("@")[2]
    raise BaseImageError(f"Docker has no digest of {tag}, although it has just pulled it. Try again.")


def run_docker(*arguments: str) -> str:
    """Run `docker` and return its output. Raises `DockerError`."""
    try:
        done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607
    except OSError as error:
        raise DockerError(f"docker cannot be started ({error.strerror})") from error
    if done.returncode:
        raise DockerError(" ".join(done.stderr.split()) or f"docker ended with {done.returncode}")
    return done.stdout


def main(arguments: list[str] | None = None) -> int:
    """Entry point. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ops.base_image", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("architecture", choices=PLATFORMS, help="the parameter Architecture of the stack")
    parser.add_argument("--update", action="store_true", help="pin the tag's current image")
    given = parser.parse_args(arguments)
    try:
        print(pin(run_docker, PLATFORMS[given.architecture], update=given.update))
    except (BaseImageError, DockerError) as error:
        print(f"base image: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
