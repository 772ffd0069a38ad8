"""functions/Makefile removes most of botocore's data. The rest is what the clients need."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import botocore
import botocore.session
import pytest
from botocore.config import Config
from botocore.loaders import Loader

from tests.running_stack import ROOT

SERVICES = ["dynamodb", "s3", "secretsmanager", "sqs"]
REGIONS = ["eu-west-1", "us-east-1", "us-gov-west-1", "cn-north-1"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    whole = Path(botocore.__file__).parent / "data"
    trimmed = tmp_path_factory.mktemp("botocore") / "data"
    trimmed.mkdir()
    for file in whole.glob("*.json"):
        shutil.copy(file, trimmed)
    for service in [*SERVICES, "account"]:
        shutil.copytree(whole / service, trimmed / service)
    subprocess.run([sys.executable, str(ROOT / "functions/trim_botocore.py"), str(trimmed), *SERVICES], check=True)
    return trimmed


def session(data: Path | None) -> botocore.session.Session:
    session = botocore.session.Session()
    if data is not None:
        session.register_component("data_loader", Loader([str(data)], include_default_search_paths=False))
    session.set_credentials("testing", "testing")
    return session


def test_only_the_services_in_use_are_left(data: Path) -> None:
    assert sorted(path.name for path in data.iterdir() if path.is_dir()) == SERVICES


def test_the_data_shrinks_to_a_tenth(data: Path) -> None:
    whole = Path(botocore.__file__).parent / "data"

    def size(root: Path) -> int:
        folders = [root / service for service in SERVICES]
        return sum(
            file.stat().st_size for file in [*root.glob("*.json"), *(f for d in folders for f in d.rglob("*.*"))]
        )

    assert size(data) < size(whole) / 10


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("service", SERVICES)
def test_clients_work_as_with_the_complete_data(data: Path, service: str, region: str) -> None:
    trimmed, whole = (session(of).create_client(service, region_name=region) for of in (data, None))
    assert trimmed.meta.endpoint_url == whole.meta.endpoint_url
    model, full = trimmed.meta.service_model, whole.meta.service_model
    assert model.operation_names == full.operation_names
    for name in full.operation_names:
        operation, as_it_was = model.operation_model(name), full.operation_model(name)
        assert operation.http == as_it_was.http
        for shape, was in (
            (operation.input_shape, as_it_was.input_shape),
            (operation.output_shape, as_it_was.output_shape),
        ):
            assert (shape and shape.members.keys()) == (was and was.members.keys())


def test_a_presigned_put_uses_the_same_url(data: Path) -> None:
    config = Config(signature_version="s3v4", s3={"addressing_style": "virtual"})  # as in image_core.services
    urls = [
        session(of)
        .create_client("s3", region_name="eu-west-1", config=config)
        .generate_presigned_url("put_object", Params={"Bucket": "bucket", "Key": "k", "IfNoneMatch": "*"})
        for of in (data, None)
    ]
    assert urls[0].partition("?")[0] == urls[1].partition("?")[0] == "https://bucket.s3.eu-west-1.amazonaws.com/k"
