"""The zip files that `sam build` creates: complete, compiled, trimmed and reproducible. Docker is not needed."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from samcli.lib.package.utils import make_zip_with_lambda_permissions

from image_api.assets import SWAGGER_UI
from tests.containers.conftest import sam, sam_environment
from tests.running_stack import ROOT

pytestmark = pytest.mark.containers

RESOURCES = ("ApiFunction", "RecoveryFunction", "StreamFunction", "WebhooksFunction", "CoreLayer")
PYTHON = shutil.which("python3.13", path=sam_environment()["PATH"])


def make(resource: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run what SAM runs for a resource, in its source folder."""
    sources = {
        "ApiFunction": "functions/api",
        "RecoveryFunction": "functions/recovery",
        "StreamFunction": "functions/stream",
        "WebhooksFunction": "functions/webhooks",
        "CoreLayer": "layers/core",
    }
    return subprocess.run(
        ["make", "-f", str(ROOT / "functions/Makefile"), f"build-{resource}"],
        cwd=ROOT / sources[resource],
        env=sam_environment() | {"ARTIFACTS_DIR": str(folder)},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two builds in folders with different names: by SAM (which includes the layer), and by the Makefile."""
    by_sam, by_make = tmp_path_factory.mktemp("sam"), tmp_path_factory.mktemp("by-make")
    sam("build", "ApiFunction", "--build-dir", str(by_sam), "--no-cached")
    for resource in RESOURCES:
        done = make(resource, by_make / resource)
        assert done.returncode == 0, done.stderr
    for resource in ("RecoveryFunction", "StreamFunction", "WebhooksFunction"):
        assert make(resource, by_sam / resource).returncode == 0
    return [by_sam, by_make]


def artifact(build: Path, resource: str) -> Path:
    return build / resource


@pytest.mark.parametrize("resource", RESOURCES)
def test_two_builds_give_the_same_zip(builds: list[Path], resource: str, tmp_path: Path) -> None:
    """Zipped as by `sam deploy`."""
    digests = set()
    for number, build in enumerate(builds):
        zipped = make_zip_with_lambda_permissions(str(tmp_path / str(number)), str(artifact(build, resource)))
        digests.add(hashlib.sha256(Path(zipped).read_bytes()).hexdigest())
    assert len(digests) == 1
    print(f"{resource}: {Path(zipped).stat().st_size:,} bytes, sha256 {digests.pop()}, twice")


@pytest.mark.parametrize("resource", RESOURCES)
def test_every_module_is_compiled_and_never_checked_against_its_source(builds: list[Path], resource: str) -> None:
    modules = list(artifact(builds[0], resource).rglob("*.py"))
    assert modules
    for module in modules:
        compiled = module.parent / "__pycache__" / f"{module.stem}.cpython-313.pyc"
        flags = int.from_bytes(compiled.read_bytes()[4:8], "little")
        assert flags == 0b01, f"{compiled}: hash-based, unchecked"


@pytest.mark.parametrize(("folder", "at_least"), [("gallery", 10), ("swagger", 5)])
def test_the_api_contains_its_pages(builds: list[Path], folder: str, at_least: int) -> None:
    package, built = (
        ROOT / "functions/api/image_api" / folder,
        artifact(builds[0], "ApiFunction") / "image_api" / folder,
    )
    assets = [path.relative_to(package) for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert len(assets) >= at_least
    for path in assets:
        assert (built / path).read_bytes() == (package / path).read_bytes()


def test_the_api_contains_swagger_ui(builds: list[Path]) -> None:
    resources = artifact(builds[0], "ApiFunction") / "fastapi_swagger" / "resources"
    for name, digest in SWAGGER_UI.items():
        assert hashlib.sha256((resources / name).read_bytes()).hexdigest() == digest


def test_the_layer_describes_only_the_services_in_use(builds: list[Path]) -> None:
    data = artifact(builds[0], "CoreLayer") / "python" / "botocore" / "data"
    assert {path.name for path in data.iterdir() if path.is_dir()} == {
        "dynamodb",
        "events",
        "s3",
        "secretsmanager",
        "sqs",
    }


def test_the_layer_has_no_second_pydantic(builds: list[Path]) -> None:
    assert not (artifact(builds[0], "CoreLayer") / "python" / "pydantic" / "v1").exists()


@pytest.mark.parametrize(
    ("resource", "module"),
    [
        ("ApiFunction", "image_api.app"),
        ("RecoveryFunction", "image_recovery.handler"),
        ("StreamFunction", "image_stream.handler"),
        ("WebhooksFunction", "image_webhooks.handler"),
    ],
)
def test_a_function_runs_with_only_its_zip_and_the_layer(builds: list[Path], resource: str, module: str) -> None:
    layer = artifact(builds[0], "CoreLayer") / "python"
    code = (
        f"import {module}, boto3; session = boto3.session.Session(region_name='eu-west-1');"
        "[session.client(name) for name in ('dynamodb', 'events', 's3', 'secretsmanager', 'sqs')]"
    )
    assert PYTHON is not None
    subprocess.run(
        [PYTHON, "-S", "-P", "-c", code],
        env={
            "PYTHONPATH": f"{artifact(builds[0], resource)}:{layer}",
            **{n: sam_environment()[n] for n in ("PATH", "PYENV_VERSION", "HOME")},
        },
        check=True,
    )


def test_a_wheel_whose_hash_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "recovery"
    shutil.copytree(ROOT / "functions/recovery", source)
    (source / "requirements.txt").write_text(f"six==1.17.0 --hash=sha256:{'0' * 64}\n")
    done = subprocess.run(
        ["make", "-f", str(ROOT / "functions/Makefile"), "build-RecoveryFunction"],
        cwd=source,
        env=sam_environment() | {"ARTIFACTS_DIR": str(tmp_path / "out")},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "HASHES" in done.stderr
