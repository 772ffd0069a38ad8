"""What `make deploy` refuses, before anything is built."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from samcli.cli.types import CfnParameterOverridesType

from local.template import ROOT, UnknownParameter, parameter_values, read_template
from ops.preflight import (
    ConfigurationError,
    Deployment,
    account_faults,
    architecture_faults,
    deployment,
    main,
    model_faults,
    relation_faults,
    stack_name_faults,
    value_faults,
)
from tests.functional.emulator import moto

ACCOUNT = "123456789012"
TEMPLATE = read_template()
CONFIG: dict[str, Any] = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
ENVIRONMENTS = [name for name, section in CONFIG.items() if isinstance(section, dict)]


def values(**overrides: str) -> dict[str, str]:
    return parameter_values(TEMPLATE, overrides)


# samconfig.toml


def test_there_are_a_default_a_development_and_a_production_stack() -> None:
    assert ENVIRONMENTS == ["default", "dev", "prod"]
    assert len({deployment(CONFIG, env, TEMPLATE).stack_name for env in ENVIRONMENTS}) == 3


@pytest.mark.parametrize("env", ENVIRONMENTS)
@pytest.mark.parametrize("region", ["eu-west-1", "ap-southeast-1", "ap-northeast-1"])
def test_what_samconfig_describes_can_be_deployed(env: str, region: str) -> None:
    planned = deployment(CONFIG, env, TEMPLATE)
    assert stack_name_faults(planned.stack_name, ACCOUNT, region) == []
    assert value_faults(TEMPLATE, planned.parameters) == []
    assert relation_faults(planned.parameters) == []


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_build_and_deployment_see_the_same_parameters(env: str) -> None:
    """`sam build` picks the CPU by a parameter: overriding it for the deployment alone would build for another."""
    for command in ("build", "deploy"):
        assert "parameter_overrides" not in CONFIG[env][command]["parameters"]


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_a_deployment_may_make_roles_and_use_the_language_extensions(env: str) -> None:
    capabilities = CONFIG[env]["deploy"]["parameters"]["capabilities"].split()
    assert set(capabilities) == {"CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"}


def test_production_is_protected_and_asks_before_it_changes() -> None:
    production = deployment(CONFIG, "prod", TEMPLATE)
    assert production.parameters["ProtectData"] == "true"
    assert production.parameters["ApiKeyRequired"] == "true"
    assert production.parameters["PublicDocs"] == "false"
    assert CONFIG["prod"]["deploy"]["parameters"]["confirm_changeset"] is True


@pytest.mark.parametrize("command", ["local_start_api", "local_invoke", "local_start_lambda"])
def test_under_sam_local_there_is_no_key(command: str) -> None:
    overrides = CONFIG["default"][command]["parameters"]["parameter_overrides"]
    assert CfnParameterOverridesType().convert(overrides, None, None) == {"ApiKeyRequired": "false"}


def test_an_unknown_environment_or_parameter_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"'staging'.*default, dev, prod"):
        deployment(CONFIG, "staging", TEMPLATE)
    config = {"x": {"global": {"parameters": {"stack_name": "s", "parameter_overrides": "Typo=1"}}}}
    with pytest.raises(UnknownParameter, match="Typo"):
        deployment(config, "x", TEMPLATE)
    with pytest.raises(ConfigurationError, match="no stack"):
        deployment({"x": {}}, "x", TEMPLATE)


def test_a_value_with_spaces_is_read_as_sam_reads_it() -> None:
    overrides = "SweepSchedule='rate(10 minutes)' CaptionPrompt=\"a photo of\""
    config = {"x": {"deploy": {"parameters": {"stack_name": "s", "parameter_overrides": overrides}}}}
    found = deployment(config, "x", TEMPLATE).parameters
    assert (found["SweepSchedule"], found["CaptionPrompt"]) == ("rate(10 minutes)", "a photo of")


# The stack's name


@pytest.mark.parametrize(
    ("length", "region", "fits"), [(24, "ap-southeast-1", True), (25, "ap-southeast-1", False)]
)
def test_a_stack_name_leaves_room_for_the_rest_of_the_buckets_names(length: int, region: str, fits: bool) -> None:
    assert (stack_name_faults("a" * length, ACCOUNT, region) == []) is fits


def test_a_stack_name_that_is_too_long_is_told_how_long_it_may_be() -> None:
    (fault,) = stack_name_faults("a" * 40, ACCOUNT, "eu-west-1")
    assert "29 characters" in fault
    assert stack_name_faults("a" * 29, ACCOUNT, "eu-west-1") == []


@pytest.mark.parametrize("name", ["Image-Pipeline", "image_pipeline", "1st", "-a", "bild.é"])
def test_a_stack_name_that_no_bucket_can_have_is_refused(name: str) -> None:
    assert stack_name_faults(name, ACCOUNT, "eu-west-1")


# Parameters


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MaxAttempts", "0"),
        ("MaxAttempts", "many"),
        ("ApiMemoryMegabytes", "100000"),
        ("Architecture", "riscv"),
        ("LogRetentionDays", "2"),
        ("KmsKeyArn", "alias/mine"),
        ("CorsOrigins", "a.example"),
        ("Thumbnails", "small=0"),
        ("Thumbnails", "small=2001"),
        ("Thumbnails", "small=150,"),
        ("Thumbnails", "Small=150"),
    ],
)
def test_a_value_that_cloudformation_would_refuse_is_refused_here(name: str, value: str) -> None:
    (fault,) = value_faults(TEMPLATE, values(**{name: value}))
    assert fault.startswith(f"{name}={value}: ")


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"QueueVisibilitySeconds": "130"}, "QueueVisibilitySeconds"),
        ({"DeadLetterVisibilitySeconds": "60"}, "DeadLetterVisibilitySeconds"),
        ({"MaxImageBytes": "1000000"}, "MaxPostBytes"),
        ({"Thumbnails": "small=150,small=300"}, "'small' is there twice"),
        ({"ProcessorMemoryMegabytes": "3008"}, "ProcessorMemoryMegabytes"),
        ({"MaxImagePixels": "400000000"}, "ProcessorMemoryMegabytes"),
    ],
)
def test_values_that_do_not_go_together_are_refused(overrides: dict[str, str], named: str) -> None:
    (fault,) = relation_faults(values(**overrides))
    assert named in fault


def test_what_the_template_advises_for_small_accounts_fits() -> None:
    assert relation_faults(values(ProcessorMemoryMegabytes="3008", MaxImagePixels="40000000")) == []


# The caption model


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """`models/` with nothing but the demo model in it."""
    shutil.copytree(ROOT / "models" / "demo" / "exported", tmp_path / "models" / "demo" / "exported")
    return tmp_path / "models"


def test_the_demo_model_is_deployed_only_by_who_says_so(models: Path) -> None:
    (fault,) = model_faults(models, model_dir="", allow_demo=False)
    assert "demo" in fault and "ALLOW_DEMO_MODEL=1" in fault
    assert model_faults(models, model_dir="", allow_demo=True) == []


def test_another_model_is_deployed_without_asking(models: Path) -> None:
    shutil.move(models / "demo" / "exported", models / "exported")
    assert model_faults(models, model_dir="", allow_demo=False) == []


@pytest.mark.parametrize("allow_demo", [True, False])
def test_a_damaged_model_is_refused_whatever_it_is(models: Path, allow_demo: bool) -> None:
    weights = models / "demo" / "exported" / "tokenizer.json"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    (fault,) = model_faults(models, model_dir="", allow_demo=allow_demo)
    assert "tokenizer.json" in fault


def test_no_model_at_all_is_refused(tmp_path: Path) -> None:
    assert model_faults(tmp_path, model_dir="", allow_demo=True)
    assert model_faults(tmp_path, model_dir="models/absent", allow_demo=True)


# The machine and the account


@pytest.mark.parametrize(
    ("architecture", "machine", "emulated", "fits"),
    [
        ("x86_64", "x86_64", [], True),
        ("arm64", "aarch64", [], True),
        ("arm64", "x86_64", [], False),
        ("arm64", "x86_64", ["qemu-aarch64"], True),
        ("x86_64", "aarch64", ["qemu-aarch64"], False),
        ("x86_64", "aarch64", ["qemu-x86_64"], True),
    ],
)
def test_an_image_for_another_cpu_needs_an_emulator(
    tmp_path: Path, architecture: str, machine: str, emulated: list[str], fits: bool
) -> None:
    for name in emulated:
        (tmp_path / name).touch()
    assert (architecture_faults(architecture, machine, tmp_path) == []) is fits


def test_docker_desktop_brings_its_emulators_along(tmp_path: Path) -> None:
    assert architecture_faults("x86_64", "arm64", tmp_path / "absent") == []


@pytest.fixture(scope="module")
def sts_url() -> Iterator[str]:
    with moto() as url:
        yield url


def session(**given: str) -> boto3.Session:
    return boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing", **given)


def test_credentials_are_tried_and_the_name_checked_in_their_account(
    sts_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    planned = Deployment("image-pipeline", None, {})
    assert account_faults(planned, session(region_name="eu-west-1"), sts_url) == []
    assert "image-pipeline in eu-west-1, as arn:aws:" in capsys.readouterr().out
    assert account_faults(Deployment("a" * 40, None, {}), session(region_name="eu-west-1"), sts_url)


def test_without_a_region_or_an_answer_nothing_is_deployed() -> None:
    planned = Deployment("image-pipeline", "eu-west-1", {})
    (fault,) = account_faults(planned, session(), "http://127.0.0.1:9")
    assert "credentials" in fault


def test_the_command_says_what_is_wrong_and_ends_with_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert main(["prod"]) == 1
    assert "preflight: " in capsys.readouterr().err
    assert main(["staging"]) == 1
    assert main(["prod", "--show", "ProtectData"]) == 0
    assert capsys.readouterr().out == "true\n"
