"""The deployed base image is the one whose digest is committed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ops.base_image import DOCKERFILE, PLATFORMS, BaseImageError, DockerError, main, pin, run_docker

REPOSITORY = "registry.example/lambda/python"
TAG = f"{REPOSITORY}:3.13"
OLD, NEW = (f"sha256:{letter * 64}" for letter in "ab")
AMD = PLATFORMS["x86_64"]


@dataclass
class FakeDocker:
    """A fake Docker engine: local images by name, and a registry's digests by tag (None: it is unreachable)."""

    registry: dict[str, str] | None
    images: dict[str, str] = field(default_factory=dict)
    platforms: list[str] = field(default_factory=list)

    def __call__(self, *arguments: str) -> str:
        match arguments:
            case ("pull", "--quiet", "--platform", platform, name):
                if self.registry is None:
                    raise DockerError("no route to host")
                digest = name.partition("@")[2] or self.registry[name]
                self.images[name] = self.images[f"{REPOSITORY}@{digest}"] = digest
                self.platforms.append(platform)
                return name
            case ("tag", source, target):
                self.images[target] = self.images[source]
                return ""
            case ("image", "inspect", "--format", '{{join .RepoDigests "\\n"}}', name):
                return f"other.example/python@{OLD}\n{REPOSITORY}@{self.images[name]}\n"
        raise AssertionError(arguments)


@pytest.fixture
def dockerfile(tmp_path: Path) -> Path:
    file = tmp_path / "Dockerfile"
    file.write_text(f"# A comment.\nARG BASE_IMAGE={TAG}\nFROM ${{BASE_IMAGE}}\n")
    return file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "base-image"


def test_the_first_deployment_pins_the_registrys_image(dockerfile: Path, file: Path) -> None:
    docker = FakeDocker({TAG: OLD})
    output = pin(docker, PLATFORMS["arm64"], dockerfile=dockerfile, file=file)
    assert file.read_text() == f"{OLD}\n"
    assert f"{REPOSITORY}@{OLD}" in output
    assert "Commit" in output
    assert docker.platforms == ["linux/arm64"]


def test_a_moved_tag_changes_nothing_until_the_pin_is_updated(dockerfile: Path, file: Path) -> None:
    docker = FakeDocker({TAG: OLD})
    pin(docker, AMD, dockerfile=dockerfile, file=file)
    docker = FakeDocker({TAG: NEW}, images={TAG: NEW})

    output = pin(docker, AMD, dockerfile=dockerfile, file=file)
    assert docker.images[TAG] == OLD, "`sam build` builds on the tag"
    assert OLD in output

    pin(docker, AMD, dockerfile=dockerfile, file=file, update=True)
    assert docker.images[TAG] == NEW
    assert file.read_text() == f"{NEW}\n"


def test_without_a_registry_the_local_image_is_used_and_a_warning_is_printed(dockerfile: Path, file: Path) -> None:
    docker = FakeDocker(None, images={TAG: NEW})
    output = pin(docker, AMD, dockerfile=dockerfile, file=file)
    assert output.startswith("WARNING")
    assert "no route to host" in output
    assert not file.exists()
    assert docker.images == {TAG: NEW}


def test_without_a_registry_a_pinned_image_is_not_replaced_by_another(dockerfile: Path, file: Path) -> None:
    file.write_text(f"{OLD}\n")
    docker = FakeDocker(None, images={TAG: NEW})
    for update in (False, True):
        with pytest.raises(BaseImageError, match="no route to host"):
            pin(docker, AMD, dockerfile=dockerfile, file=file, update=update)
    assert file.read_text() == f"{OLD}\n"


@pytest.mark.parametrize("text", ["", "3.13", f"{OLD} {NEW}", "sha256:abc"])
def test_an_invalid_digest_is_refused(dockerfile: Path, file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(BaseImageError, match="contains no digest"):
        pin(FakeDocker({TAG: NEW}), AMD, dockerfile=dockerfile, file=file)


def test_both_stages_of_the_processors_image_use_the_base_image() -> None:
    text = DOCKERFILE.read_text(encoding="utf-8")
    assert re.findall(r"^ARG BASE_IMAGE=(.*)$", text, re.MULTILINE) == ["public.ecr.aws/lambda/python:3.13"]
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["${BASE_IMAGE}"] * 2
    assert text.index("ARG BASE_IMAGE") < text.index("FROM")


def test_missing_docker_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DockerError, match="cannot be started"):
        run_docker("version")
    assert main(["x86_64", "--update"]) == 1
    assert "cannot be started" in capsys.readouterr().err


def test_dockers_error_message_is_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\n[ "$1" = pull ] && { echo "denied:\n  $2" >&2; exit 1; }\necho "$@"\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert run_docker("image", "ls") == "image ls\n"
    with pytest.raises(DockerError, match=r"^denied: x$"):
        run_docker("pull", "x")
