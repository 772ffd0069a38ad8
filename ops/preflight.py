"""`python -m ops.preflight [ENV]`: find problems that would make a deployment fail, before anything is built.

ENV is a section of samconfig.toml: default, dev, prod. Exit code 1 if there is a problem; `make deploy` stops then.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from image_core import renditions
from image_core.errors import ModelError
from image_processor.captioning import find_model_dir
from image_processor.captioning.model_folder import (
    MIN_EQUAL_TOKENS,
    MIN_IDENTICAL_CAPTIONS,
    Manifest,
    verify_checksums,
)
from local.template import ROOT, Template, parameter_values, read_template
from ops.teardown.inventory import BUCKETS

ALLOW_DEMO_MODEL = "ALLOW_DEMO_MODEL"
ALLOW_INEXACT_MODEL = "ALLOW_INEXACT_MODEL"
MAX_BUCKET_NAME = 63
LAMBDA_PYTHON = "python3.13"
NEW_ACCOUNT_EXECUTIONS = 50
"""AWS gives new accounts 10 to 50 concurrent executions, and at most 3,008 MB of memory for a function."""
NEW_ACCOUNT_MEGABYTES = 3008
OTHER_EXECUTIONS = 4
"""Concurrent executions that the API, recovery and stream functions need in addition to the processors."""
WEBHOOK_EXECUTIONS = 2
"""The webhooks function needs as many (template.yaml: MaximumConcurrency), if there is a WebhookUrl."""
_EMULATORS = {"arm64": "qemu-aarch64", "x86_64": "qemu-x86_64"}
_MACHINES = {"aarch64": "arm64", "arm64": "arm64", "x86_64": "x86_64", "AMD64": "x86_64"}


_SHORT_TIMEOUTS = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "max_attempts": 2})

Client = Callable[[str], Any]
"""Create a boto3 client of a service, in the deployment's region."""


class ConfigurationError(Exception):
    """samconfig.toml does not describe the deployment. The message says what is missing."""


@dataclass(frozen=True)
class Deployment:
    """The deployment of `sam deploy --config-env`. `parameters` are all of the template's, including defaults."""

    stack_name: str
    region: str | None
    parameters: Mapping[str, str]


def deployment(config: Mapping[str, Any], env: str, template: Template) -> Deployment:
    """The deployment that samconfig.toml describes under `env`. Raises `ConfigurationError`, `UnknownParameter`."""
    # SAM's own parser, to get the same result
    from samcli.cli.types import CfnParameterOverridesType  # type: ignore[import-untyped]

    if env not in config:
        known = ", ".join(name for name, section in config.items() if isinstance(section, dict))
        raise ConfigurationError(f"samconfig.toml has no section {env!r}; it has {known}")
    given: dict[str, Any] = {}
    for command in ("global", "deploy"):
        given |= config[env].get(command, {}).get("parameters", {})
    if "stack_name" not in given:
        raise ConfigurationError(f"samconfig.toml has no stack_name under {env!r}")
    overrides = CfnParameterOverridesType().convert(given.get("parameter_overrides", ""), None, None)
    return Deployment(given["stack_name"], given.get("region"), parameter_values(template, overrides or {}))


# Configuration


def stack_name_problems(stack_name: str, account: str, region: str) -> list[str]:
    """Return why bucket names with the stack's name are invalid."""
    if not re.fullmatch(r"[a-z][a-z0-9-]*", stack_name):
        return [
            f"The stack name {stack_name!r} is part of bucket names: use lowercase letters, digits and hyphens."
        ]
    longest = max((form.format(stack=stack_name, account=account, region=region) for form in BUCKETS), key=len)
    if len(longest) > MAX_BUCKET_NAME:
        most = len(stack_name) - (len(longest) - MAX_BUCKET_NAME)
        return [f"The stack name {stack_name!r} is too long: use at most {most} characters in {region}."]
    return []


def parameter_problems(template: Template, parameters: Mapping[str, str]) -> list[str]:
    """Return values that CloudFormation would reject, or with which functions would not start."""
    problems = []
    for name, value in parameters.items():
        declared = template["Parameters"][name]
        if declared["Type"] == "Number":
            low, high = declared.get("MinValue", -sys.maxsize), declared.get("MaxValue", sys.maxsize)
            if not re.fullmatch(r"-?\d+", value) or not low <= int(value) <= high:
                problems.append(f"{name}={value}: it must be a number from {low} to {high}.")
        allowed = declared.get("AllowedValues")
        if allowed and value not in [str(one) for one in allowed]:
            problems.append(f"{name}={value}: it must be one of {', '.join(str(one) for one in allowed)}.")
        pattern = declared.get("AllowedPattern")
        if pattern and not re.fullmatch(pattern, value):
            problems.append(f"{name}={value}: it does not match {pattern}")
    if not problems:
        try:
            renditions.parse(parameters["Thumbnails"])
        except ValueError as error:
            problems.append(f"Thumbnails={parameters['Thumbnails']}: {error}")
    return problems


def model_problems(models: Path, *, allow_demo: bool, allow_inexact: bool = False) -> list[str]:
    """Return problems of the caption model that goes into the image. `models` is the folder of models."""
    try:
        folder = find_model_dir(models)
        manifest = verify_checksums(folder)
    except ModelError as error:
        return [str(error)]
    if folder.is_relative_to(models / "demo") and not allow_demo:
        return [
            f"The demo caption model would be deployed ({manifest.model}): it names colors and simple shapes."
            f" Run `make model` to get the real one, or set {ALLOW_DEMO_MODEL}=1 to deploy the demo model."
        ]
    return [] if allow_inexact else agreement_problems(manifest)


def agreement_problems(manifest: Manifest) -> list[str]:
    """Return a problem if an export's captions differ too much from those of its reference."""
    agreement = manifest.agreement
    remedy = f"Run `make model` for the fp32 model, or set {ALLOW_INEXACT_MODEL}=1 to deploy it anyway."
    if agreement is None:
        if manifest.precision == "fp32":
            return []
        return [f"The {manifest.precision} caption model was never compared with its reference. {remedy}"]
    if agreement.is_sufficient:
        return []
    shares = (
        f"{agreement.identical_captions:.1%} of captions are identical (required: {MIN_IDENTICAL_CAPTIONS:.0%}),"
        f" and {agreement.equal_tokens:.1%} of tokens are equal (required: {MIN_EQUAL_TOKENS:.0%})"
    )
    return [f"The {manifest.precision} caption model differs too much from its reference: {shares}. {remedy}"]


# This machine


def program_problems(run: Callable[[list[str]], str | None]) -> list[str]:
    """Return missing programs that `sam build` needs. `run` returns a command's output, or None."""
    problems = []
    if run(["docker", "info", "--format", "{{.ServerVersion}}"]) is None:
        problems.append("Docker does not respond. Start it: `sam build` needs it to build the processor's image.")
    version = run([LAMBDA_PYTHON, "--version"])
    if version is None:
        problems.append(
            f"{LAMBDA_PYTHON} is not on PATH: install it (for example `pyenv install 3.13` and"
            f" PYENV_VERSION=3.13). `sam build` needs the Python version of the functions."
        )
    return problems


def run_quietly(command: list[str]) -> str | None:
    """Run a command and return its output. None if it is missing, fails or takes longer than 20 seconds."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)  # noqa: S603 - our own commands
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def sam_problems(installed: str, pinned: str) -> list[str]:
    """Return a problem if the SAM CLI is not the version that was tested. `make` installs the pinned one."""
    if installed == pinned:
        return []
    return [
        f"SAM CLI {installed} is installed, but {pinned} was tested. Remove .venv/test.installed, then run `make`."
    ]


def architecture_problems(architecture: str, machine: str, emulators: Path) -> list[str]:
    """Return a problem if the image cannot be built here. `emulators` is Linux's /proc/sys/fs/binfmt_misc."""
    if _MACHINES.get(machine) == architecture or not emulators.is_dir():
        return []  # Docker on macOS and Windows has emulators
    if (emulators / _EMULATORS[architecture]).exists():
        return []
    return [
        f"Architecture={architecture}, but this machine is {machine}: set"
        f" Architecture={_MACHINES.get(machine, architecture)} in samconfig.toml, build on another machine, or"
        " install an emulator (docker run --privileged --rm tonistiigi/binfmt --install all)."
    ]


# The account


def account_problems(planned: Deployment, session: boto3.Session, endpoint_url: str | None = None) -> list[str]:
    """Return problems in the account and region of the credentials."""
    region = planned.region or session.region_name
    if region is None:
        return ["No region is set: set AWS_REGION, or `region` in samconfig.toml."]

    def client(service: str) -> Any:
        return session.client(service, region_name=region, endpoint_url=endpoint_url, config=_SHORT_TIMEOUTS)  # type: ignore[call-overload]

    try:
        caller = client("sts").get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        return [f"AWS does not accept the credentials: {error}. Try `aws sts get-caller-identity`."]
    print(f"{planned.stack_name} in {region}, as {caller['Arn']}")
    problems = stack_name_problems(planned.stack_name, caller["Account"], region)
    if problems:
        return problems
    names = [form.format(stack=planned.stack_name, account=caller["Account"], region=region) for form in BUCKETS]
    return [*stack_problems(planned.stack_name, names, client), *limit_problems(planned.parameters, client)]


def stack_problems(stack_name: str, bucket_names: list[str], client: Client) -> list[str]:
    """Return why the stack cannot be created or updated."""
    try:
        (stack,) = client("cloudformation").describe_stacks(StackName=stack_name)["Stacks"]
        status = stack["StackStatus"]
    except ClientError as error:
        if "does not exist" not in str(error):
            return [f"The stack {stack_name} cannot be described: {error}. The deployment needs that permission."]
        status = None
    if status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED", "REVIEW_IN_PROGRESS"):
        return [f"The stack {stack_name} is in {status}: delete it with `make teardown STACK={stack_name}`."]
    if status == "UPDATE_ROLLBACK_FAILED":
        return [f"The stack {stack_name} is in {status}: run aws cloudformation continue-update-rollback."]
    if status is not None and status.endswith("_IN_PROGRESS"):
        return [f"The stack {stack_name} is in {status}: wait until it has finished."]
    if status is not None:
        return []
    problems = []
    for name in bucket_names:
        try:
            client("s3").head_bucket(Bucket=name)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                problems.append(
                    f"The bucket {name} exists and cannot be read ({error}): choose another stack name."
                )
            continue
        problems.append(
            f"The bucket {name} was kept when a stack of this name was deleted: choose another stack name, or"
            f" delete the data with `make teardown STACK={stack_name}`."
        )
    return problems


def limit_problems(parameters: Mapping[str, str], client: Client) -> list[str]:
    """Return values that exceed the account's Lambda limits."""
    try:
        limits = client("lambda").get_account_settings()["AccountLimit"]
    except (BotoCoreError, ClientError) as error:
        return [f"The account's limits cannot be read: {error}. Allow lambda:GetAccountSettings."]
    executions, problems = limits["ConcurrentExecutions"], []
    others = OTHER_EXECUTIONS + (WEBHOOK_EXECUTIONS if parameters.get("WebhookUrl") else 0)
    concurrency, most = int(parameters["ProcessorMaxConcurrency"]), max(2, executions - others)
    if concurrency > most:
        problems.append(
            f"ProcessorMaxConcurrency={concurrency}: this account allows {executions} concurrent executions, and"
            f" the API and other functions need some of them. Use at most {most}, or ask AWS for a higher quota."
        )
    memory = int(parameters["ProcessorMemoryMegabytes"])
    if executions <= NEW_ACCOUNT_EXECUTIONS and memory > NEW_ACCOUNT_MEGABYTES:
        problems.append(
            f"ProcessorMemoryMegabytes={memory}: this looks like a new account ({executions} concurrent"
            f" executions), which allows {NEW_ACCOUNT_MEGABYTES}. Use that, or ask AWS for a higher quota."
        )
    return problems


def main(arguments: list[str] | None = None) -> int:
    """Entry point. Returns the exit code."""
    template = read_template()
    parser = argparse.ArgumentParser(prog="python -m ops.preflight", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("env", nargs="?", default="default", metavar="ENV", help="section of samconfig.toml")
    parser.add_argument(
        "--show",
        choices=template["Parameters"],
        metavar="PARAMETER",
        help="print the value that would be deployed, check nothing",
    )
    given = parser.parse_args(arguments)
    try:
        config = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
        planned = deployment(config, given.env, template)
    except Exception as error:  # samconfig.toml can have any content
        print(f"preflight: {error}", file=sys.stderr)
        return 1
    if given.show:
        print(planned.parameters[given.show])
        return 0
    invalid = parameter_problems(template, planned.parameters)
    problems = [
        *invalid,
        *model_problems(
            ROOT / "models",
            allow_demo=os.environ.get(ALLOW_DEMO_MODEL) == "1",
            allow_inexact=os.environ.get(ALLOW_INEXACT_MODEL) == "1",
        ),
        *program_problems(run_quietly),
        *sam_problems(*_sam_versions()),
        *architecture_problems(
            planned.parameters["Architecture"], platform.machine(), Path("/proc/sys/fs/binfmt_misc")
        ),
    ]
    # The limits are compared with numbers from the parameters.
    if not invalid:
        problems += account_problems(planned, boto3.Session())
    for problem in problems:
        print(f"preflight: {problem}", file=sys.stderr)
    if not problems:
        print("preflight: no problems found")
    return bool(problems)


def _sam_versions() -> tuple[str, str]:
    from samcli import __version__  # type: ignore[import-untyped]

    pinned = re.search(
        r"^aws-sam-cli==(\S+)", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert pinned
    return __version__, pinned[1]


if __name__ == "__main__":
    sys.exit(main())
