"""The five functions, their API, layer and permissions."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from image_core import renditions
from image_core.formats import NAMES
from image_core.settings import Settings
from image_processor.picture.decode import pixel_limits
from local.template import ROOT
from tests.iam.policies import as_list, of_role
from tests.iam.resolved import ACCOUNT, WEBHOOK_URL, resolved, with_webhooks
from tests.template.conftest import EVERYTHING_ON

FUNCTIONS = ["ApiFunction", "ProcessorFunction", "RecoveryFunction", "StreamFunction", "WebhooksFunction"]
CODE = {
    "ApiFunction": ROOT / "functions/api",
    "ProcessorFunction": ROOT / "functions/processor",
    "RecoveryFunction": ROOT / "functions/recovery",
    "StreamFunction": ROOT / "functions/stream",
    "WebhooksFunction": ROOT / "functions/webhooks",
}


def properties(resources: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = resources[name]["Properties"]
    return found


def handler_of(function: dict[str, Any]) -> str:
    return str(function.get("Handler") or function["ImageConfig"]["Command"][0])


# Code


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_handler_exists(resources, name):
    module, _, attribute = handler_of(properties(resources, name)).rpartition(".")
    spec = importlib.util.find_spec(module)
    assert spec is not None
    # Not imported, because importing the processor's entry point loads the model.
    defined = ast.walk(ast.parse(Path(str(spec.origin)).read_text()))
    assert attribute in {getattr(node, "name", None) or getattr(node, "id", None) for node in defined}
    assert (CODE[name] / module.split(".")[0]).is_dir()


def test_building_the_image_needs_only_python():
    """AWS's base image has no find, xargs, tar or which."""
    dockerfile = (ROOT / "functions/processor/Dockerfile").read_text().replace("\\\n", " ")
    commands = [line.removeprefix("RUN ") for line in dockerfile.splitlines() if line.startswith("RUN ")]
    programs = {part.split()[0] for command in commands for part in re.split(r"&&|\|\||[;|]", command)}
    assert programs == {"python3"}


# Settings


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_gets_valid_settings(sam, name):
    values = with_webhooks().resources("AWS::Lambda::Function")[name]["Environment"]["Variables"]
    settings = Settings.model_validate({key.lower(): value for key, value in values.items() if value})
    times = sam["Mappings"]["Timing"]["Processor"]
    assert settings.processor_timeout_seconds == times["Timeout"]
    assert settings.max_attempts == times["MaxReceiveCount"]
    assert settings.pending_timeout_seconds == times["PendingTimeout"]
    for field in ("processor_timeout_seconds", "max_attempts", "pending_timeout_seconds"):
        assert getattr(settings, field) == Settings.model_fields[field].default


def test_every_variable_is_a_setting_or_belongs_to_a_library(resources):
    others = {"POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_SERVICE_NAME"}
    known = {name.upper() for name in Settings.model_fields} | others
    for name in FUNCTIONS:
        assert set(properties(resources, name)["Environment"]["Variables"]) <= known


@pytest.mark.parametrize("name", FUNCTIONS)
def test_variables_that_sam_local_sets_are_declared_and_empty(resources, name):
    variables = properties(resources, name)["Environment"]["Variables"]
    assert variables["LOCAL_ENDPOINT_URL"] == variables["S3_PUBLIC_ENDPOINT_URL"] == ""


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_emulator_that_runs_functions_can_set_its_endpoint(resources, name):
    """LocalStack and MiniStack set AWS_ENDPOINT_URL only if the template does not."""
    assert "AWS_ENDPOINT_URL" not in properties(resources, name)["Environment"]["Variables"]


def test_the_defaults_of_template_and_settings_are_equal(parameters):
    names = {
        "MaxImageBytes": "max_image_bytes",
        "MaxImagePixels": "max_image_pixels",
    }
    for parameter, field in names.items():
        assert parameters[parameter] == str(Settings.model_fields[field].default), parameter
    assert renditions.parse(parameters["Thumbnails"]) == Settings.model_fields["thumbnails"].default


_ENTRY = st.tuples(
    st.sampled_from(["a", "z-9", "a" * 20, "a" * 21, "", "A", "9", "-a", "a_b", "é"])
    | st.text("az-9", max_size=22),
    st.sampled_from(["=", "=", "=", "", ":", "=="]),
    st.integers(0, 3000).map(str) | st.sampled_from(["", "0150", "00", "-1", "1.5", "२", "2560", "2561", "99999"]),
    st.sampled_from(["", "", ":auto", ":jpeg", ":webp", ":avif", ":png", ":JPEG", ":"]),
    st.just("") | st.integers(0, 110).map(":{}".format) | st.sampled_from([":", ":080", ":0", ":100", ":1000"]),
).map("".join)


@hypothesis.settings(max_examples=1000)
@hypothesis.given(entries=st.lists(_ENTRY, min_size=1, max_size=3, unique_by=lambda entry: entry.partition("=")[0]))
def test_the_template_accepts_the_same_tables_of_renditions_as_the_functions(sam, entries):
    table = ",".join(entries)
    try:
        parsed = bool(renditions.parse(table))
    except ValueError:
        parsed = False

    assert bool(re.fullmatch(sam["Parameters"]["Thumbnails"]["AllowedPattern"], table)) == parsed


def test_all_formats_are_allowed_by_default(sam, parameters):
    assert (
        parameters["AllowedFormats"].split(",")
        == list(NAMES)
        == list(Settings.model_fields["allowed_formats"].default)
    )
    allowed = re.compile(sam["Parameters"]["AllowedFormats"]["AllowedPattern"])
    assert all(allowed.fullmatch(name) for name in NAMES)
    assert not allowed.fullmatch("jpeg,svg")


def test_common_formats_allow_all_pixels_and_other_formats_those_of_cameras(parameters):
    """Within the memory that a new AWS account allows."""
    assert parameters["ProcessorMemoryMegabytes"] == "3008"
    variables = resolved().resources("AWS::Lambda::Function")["ProcessorFunction"]["Environment"]["Variables"]
    settings = Settings.model_validate(
        {key.lower(): value for key, value in variables.items() if value}
        | {"aws_lambda_function_memory_size": 3008}
    )
    limits = pixel_limits(settings.max_image_pixels, settings.decoding_bytes)
    assert {limits[name] for name in ("jpeg", "png", "webp", "gif", "bmp", "tiff")} == {100_000_000}
    assert limits["heic"] > 50_000_000 and limits["avif"] > 24_000_000


# Triggers


# Permissions. Those that calls need are tested in tests/iam, by evaluating the policies.

ROLES = {
    "ApiFunction": "ApiRole",
    "ProcessorFunction": "ProcessorRole",
    "RecoveryFunction": "RecoveryRole",
    "StreamFunction": "StreamRole",
    "WebhooksFunction": "WebhooksRole",
}


def test_each_function_has_its_own_role(resources):
    roles = {name: properties(resources, name)["Role"]["Fn::GetAtt"][0] for name in FUNCTIONS}
    assert roles == ROLES
    assert {name for name, r in resources.items() if r["Type"] == "AWS::IAM::Role"} == set(ROLES.values())


@pytest.mark.parametrize(
    "chosen", [{"WebhookUrl": WEBHOOK_URL}, EVERYTHING_ON], ids=["by default", "everything on"]
)
@pytest.mark.parametrize("role", [*ROLES.values()])
def test_no_permission_is_a_wildcard(role, chosen):
    for statement in of_role(resolved(**chosen), role):
        assert statement["Effect"] == "Allow"
        assert not any("*" in action for action in as_list(statement["Action"])), statement
        for resource in as_list(statement["Resource"]):
            # All objects of a bucket, all streams of a log group or a table. Nothing else may be a wildcard.
            assert "*" not in resource.removesuffix("/*").removesuffix(":*"), statement
            if statement["Action"] == "dynamodb:ListStreams":
                continue  # all streams of one table
            assert resource.endswith("/*") == resource.startswith("arn:aws:s3:::") or "ListBucket" in str(statement)


@pytest.mark.parametrize("chosen", [{}, EVERYTHING_ON], ids=["by default", "everything on"])
def test_every_service_principal_is_restricted_to_this_account(chosen):
    """By aws:SourceAccount, or by a source ARN with the account."""
    stack = resolved(**chosen)
    documents = [r["AssumeRolePolicyDocument"] for r in stack.resources("AWS::IAM::Role").values()]
    for kind in ("AWS::SQS::QueuePolicy", "AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy"):
        documents += [r["PolicyDocument"] for r in stack.resources(kind).values()]
    trusted = [
        statement
        for document in documents
        for statement in document["Statement"]
        if isinstance(statement["Principal"], dict) and "Service" in statement["Principal"]
    ]
    assert len(trusted) >= 5
    for statement in trusted:
        by_account = statement["Condition"].get("StringEquals", {}).get("aws:SourceAccount") == ACCOUNT
        by_arn = f":{ACCOUNT}:" in statement["Condition"].get("ArnEquals", {}).get("aws:SourceArn", "")
        assert by_account or by_arn, statement
    permissions = stack.resources("AWS::Lambda::Permission")
    assert len(permissions) == 2
    for permission in permissions.values():
        assert f":{ACCOUNT}:" in permission["SourceArn"], permission
