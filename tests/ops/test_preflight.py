"""The problems that `make deploy` finds before anything is built."""

from __future__ import annotations

import json
import os
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
    account_problems,
    architecture_problems,
    deployment,
    limit_problems,
    main,
    model_problems,
    parameter_problems,
    program_problems,
    sam_problems,
    stack_name_problems,
    stack_problems,
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
def test_the_stacks_in_samconfig_can_be_deployed(env: str, region: str) -> None:
    planned = deployment(CONFIG, env, TEMPLATE)
    assert stack_name_problems(planned.stack_name, ACCOUNT, region) == []
    assert parameter_problems(TEMPLATE, planned.parameters) == []


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_build_and_deployment_see_the_same_parameters(env: str) -> None:
    """`sam build` selects the CPU by a parameter.

    An override only for the deployment would build for another CPU.
    """
    for command in ("build", "deploy"):
        assert "parameter_overrides" not in CONFIG[env][command]["parameters"]


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_a_deployment_may_create_roles_and_nothing_more(env: str) -> None:
    assert CONFIG[env]["deploy"]["parameters"]["capabilities"] == "CAPABILITY_IAM"


def test_production_is_protected_and_requires_confirmation_of_changes() -> None:
    production = deployment(CONFIG, "prod", TEMPLATE)
    assert production.parameters["ProtectData"] == "true"
    assert production.parameters["ApiKeyRequired"] == "true"
    assert production.parameters["PublicDocs"] == "false"
    assert CONFIG["prod"]["deploy"]["parameters"]["confirm_changeset"] is True


@pytest.mark.parametrize("command", ["local_start_api", "local_invoke", "local_start_lambda"])
def test_sam_local_requires_no_key(command: str) -> None:
    overrides = CONFIG["default"][command]["parameters"]["parameter_overrides"]
    assert CfnParameterOverridesType().convert(overrides, None, None) == {"ApiKeyRequired": "false"}


def test_the_error_for_an_unknown_environment_or_parameter_names_it() -> None:
    with pytest.raises(ConfigurationError, match=r"'staging'.*default, dev, prod"):
        deployment(CONFIG, "staging", TEMPLATE)
    config = {"x": {"global": {"parameters": {"stack_name": "s", "parameter_overrides": "Typo=1"}}}}
    with pytest.raises(UnknownParameter, match="Typo"):
        deployment(config, "x", TEMPLATE)
    with pytest.raises(ConfigurationError, match="no stack"):
        deployment({"x": {}}, "x", TEMPLATE)


def test_a_value_with_spaces_is_parsed_as_by_sam() -> None:
    config = {"x": {"deploy": {"parameters": {"stack_name": "s", "parameter_overrides": "LogLevel='a b'"}}}}
    assert deployment(config, "x", TEMPLATE).parameters["LogLevel"] == "a b"


# The stack's name


@pytest.mark.parametrize(
    ("length", "region", "fits"), [(24, "ap-southeast-1", True), (25, "ap-southeast-1", False)]
)
def test_a_stack_name_leaves_room_for_the_rest_of_the_buckets_names(length: int, region: str, fits: bool) -> None:
    assert (stack_name_problems("a" * length, ACCOUNT, region) == []) is fits


def test_the_error_for_a_long_stack_name_names_the_limit() -> None:
    (problem,) = stack_name_problems("a" * 40, ACCOUNT, "eu-west-1")
    assert "29 characters" in problem
    assert stack_name_problems("a" * 29, ACCOUNT, "eu-west-1") == []


@pytest.mark.parametrize("name", ["Image-Pipeline", "image_pipeline", "1st", "-a", "bild.é"])
def test_a_stack_name_that_is_impossible_in_a_bucket_name_is_refused(name: str) -> None:
    assert stack_name_problems(name, ACCOUNT, "eu-west-1")


# Parameters


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MaxImagePixels", "0"),
        ("MaxImagePixels", "many"),
        ("ProcessorMemoryMegabytes", "100000"),
        ("Architecture", "riscv"),
        ("LogRetentionDays", "2"),
        ("KmsKeyArn", "alias/mine"),
        ("CorsOrigins", "a.example"),
        ("Thumbnails", "small=0"),
        ("Thumbnails", "small=2561"),
        ("Thumbnails", "small=150,"),
        ("Thumbnails", "Small=150"),
        ("Thumbnails", "small=150,small=300"),
    ],
)
def test_a_value_that_makes_a_deployment_fail_is_refused(name: str, value: str) -> None:
    (problem,) = parameter_problems(TEMPLATE, values(**{name: value}))
    assert problem.startswith(f"{name}={value}: ")


@pytest.mark.parametrize("side", [1, 9, 10, 99, 100, 999, 1000, 1009, 1010, 1019, 1020, 1024])
def test_every_thumbnail_size_that_the_functions_accept_can_be_deployed(side: int) -> None:
    assert parameter_problems(TEMPLATE, values(Thumbnails=f"a={side},b={side}")) == []


# The caption model


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """`models/` with only the demo model."""
    shutil.copytree(ROOT / "models" / "demo" / "exported", tmp_path / "models" / "demo" / "exported")
    return tmp_path / "models"


def test_the_demo_model_is_deployed_only_if_allowed(models: Path) -> None:
    (problem,) = model_problems(models, allow_demo=False)
    assert "demo" in problem and "ALLOW_DEMO_MODEL=1" in problem
    assert model_problems(models, allow_demo=True) == []


def test_another_model_is_deployed_without_asking(models: Path) -> None:
    shutil.move(models / "demo" / "exported", models / "exported")
    assert model_problems(models, allow_demo=False) == []


def agreement(identical_captions: float, equal_tokens: float) -> dict[str, Any]:
    return {
        "reference": "fp32",
        "pictures": {"drawn": 100},
        "identical_captions": identical_captions,
        "equal_tokens": equal_tokens,
        "log_probability_difference": 0.1,
        "worst": {"picture": "one", "expected": "a cat", "actual": "a dog"},
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"precision": "int8", "agreement": agreement(0.949, 0.999)}, "94.9% of captions are identical"),
        ({"precision": "int8", "agreement": agreement(0.96, 0.979)}, "97.9% of tokens are equal"),
        ({"agreement": agreement(0.5, 0.5)}, "The fp32 caption model differs"),
        ({"precision": "int8"}, "never compared"),
    ],
)
def test_a_model_whose_captions_differ_from_its_reference_is_deployed_only_if_allowed(
    models: Path, changes: dict[str, Any], words: str
) -> None:
    shutil.move(models / "demo" / "exported", models / "exported")
    path = models / "exported" / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    (problem,) = model_problems(models, allow_demo=False)

    assert words in problem and "ALLOW_INEXACT_MODEL=1" in problem
    assert model_problems(models, allow_demo=False, allow_inexact=True) == []


def test_an_int8_model_with_the_captions_of_its_reference_is_deployed_without_asking(models: Path) -> None:
    shutil.move(models / "demo" / "exported", models / "exported")
    path = models / "exported" / "model.json"
    changes = {"precision": "int8", "agreement": agreement(0.95, 0.98)}
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    assert model_problems(models, allow_demo=False) == []


@pytest.mark.parametrize("allow_demo", [True, False])
def test_a_damaged_model_is_refused_in_any_case(models: Path, allow_demo: bool) -> None:
    weights = models / "demo" / "exported" / "tokenizer.json"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    (problem,) = model_problems(models, allow_demo=allow_demo)
    assert "tokenizer.json" in problem


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    assert model_problems(tmp_path, allow_demo=True)


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
    assert (architecture_problems(architecture, machine, tmp_path) == []) is fits


def test_docker_desktop_contains_emulators(tmp_path: Path) -> None:
    assert architecture_problems("x86_64", "arm64", tmp_path / "absent") == []


@pytest.mark.parametrize(
    ("missing", "named"),
    [(set(), []), ({"docker"}, ["Docker"]), ({"docker", "python3.13"}, ["Docker", "python3.13"])],
)
def test_missing_programs_are_reported(missing: set[str], named: list[str]) -> None:
    problems = program_problems(lambda command: None if command[0] in missing else "27.1")
    assert [problem.split()[0] for problem in problems] == named


def test_another_version_of_sam_is_reported() -> None:
    assert sam_problems("1.170.0", "1.170.0") == []
    (problem,) = sam_problems("1.150.0", "1.170.0")
    assert "1.150.0" in problem and "1.170.0" in problem


@pytest.fixture
def url() -> Iterator[str]:
    with moto() as url:
        yield url


def session(**options: str) -> boto3.Session:
    return boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing", **options)


def clients(url: str) -> Any:
    return lambda service: session(region_name="eu-west-1").client(service, endpoint_url=url)


def create_stack(url: str) -> None:
    topic = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
    clients(url)("cloudformation").create_stack(StackName="pictures", TemplateBody=json.dumps(topic))


def test_credentials_are_verified_and_the_name_is_checked_in_their_account(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (problem,) = account_problems(Deployment("a" * 40, None, {}), session(region_name="eu-west-1"), url)
    assert "too long" in problem
    assert "in eu-west-1, as arn:aws:" in capsys.readouterr().out


def test_without_a_region_or_a_response_a_problem_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    assert "region" in account_problems(Deployment("image-pipeline", None, {}), session())[0]
    planned = Deployment("image-pipeline", "eu-west-1", {})
    (problem,) = account_problems(planned, session(), "http://127.0.0.1:9")
    assert "credentials" in problem


def test_a_new_stack_and_an_update_are_fine(url: str) -> None:
    assert stack_problems("pictures", ["pictures-uploads"], clients(url)) == []
    clients(url)("s3").create_bucket(
        Bucket="pictures-uploads", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    create_stack(url)
    assert stack_problems("pictures", ["pictures-uploads"], clients(url)) == []


def test_a_bucket_left_by_a_deleted_stack_is_reported_with_the_way_to_remove_it(url: str) -> None:
    clients(url)("s3").create_bucket(
        Bucket="albums-uploads", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    (problem,) = stack_problems("albums", ["albums-uploads", "albums-thumbnails"], clients(url))
    assert "albums-uploads" in problem and "make teardown STACK=albums" in problem


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        ("ROLLBACK_COMPLETE", "make teardown STACK=pictures"),
        ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback"),
        ("UPDATE_IN_PROGRESS", "wait"),
    ],
)
def test_a_stack_that_cannot_be_updated_is_reported_with_advice(status: str, advice: str) -> None:
    """A fake, because moto leaves every stack in CREATE_COMPLETE or UPDATE_COMPLETE."""

    class CloudFormation:
        def describe_stacks(self, **_: str) -> Any:
            return {"Stacks": [{"StackStatus": status}]}

    (problem,) = stack_problems("pictures", [], lambda _: CloudFormation())
    assert status in problem and advice in problem


@pytest.mark.parametrize(
    ("executions", "overrides", "named"),
    [
        (1000, {}, []),
        (10, {}, []),
        (10, {"ProcessorMaxConcurrency": "8"}, ["ProcessorMaxConcurrency"]),
        (10, {"WebhookUrl": "https://a.example"}, ["ProcessorMaxConcurrency"]),
        (10, {"ProcessorMemoryMegabytes": "5120"}, ["ProcessorMemoryMegabytes"]),
        (1000, {"ProcessorMemoryMegabytes": "5120", "ProcessorMaxConcurrency": "500"}, []),
    ],
)
def test_exceeded_limits_of_the_account_are_reported(
    executions: int, overrides: dict[str, str], named: list[str]
) -> None:
    """A fake, because moto does not support GetAccountSettings."""

    class Lambda:
        def get_account_settings(self) -> Any:
            return {"AccountLimit": {"ConcurrentExecutions": executions}}

    problems = limit_problems(values(**overrides), lambda _: Lambda())
    assert [problem.partition("=")[0] for problem in problems] == named


def test_the_command_prints_the_problems_and_exits_with_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert main(["prod"]) == 1
    assert "preflight: " in capsys.readouterr().err
    assert main(["staging"]) == 1
    assert main(["prod", "--show", "ProtectData"]) == 0
    assert capsys.readouterr().out == "true\n"
