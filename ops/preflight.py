"""`python -m ops.preflight [ENV]`: what would make `sam deploy` fail, or be regretted, found beforehand.

ENV is a section of samconfig.toml: default, dev, prod. Exit code 1 if anything is wrong; `make deploy` stops then.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from image_core.errors import ModelError
from image_core.settings import LEASE_MARGIN_SECONDS, processor_megabytes, thumbnail_sizes
from image_processor.captioning import find_model_dir
from image_processor.captioning.model_folder import verify_checksums
from local.template import ROOT, Template, parameter_values, read_template

ALLOW_DEMO_MODEL = "ALLOW_DEMO_MODEL"
MAX_BUCKET_NAME = 63
LONGEST_BUCKET_NAME = "{stack}-thumbnails-{account}-{region}"
"""As template.yaml names it; the uploads bucket's name is shorter."""
_EMULATORS = {"arm64": "qemu-aarch64", "x86_64": "qemu-x86_64"}
_MACHINES = {"aarch64": "arm64", "arm64": "arm64", "x86_64": "x86_64", "AMD64": "x86_64"}


_IMPATIENT = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "max_attempts": 2})


class ConfigurationError(Exception):
    """samconfig.toml does not say what is to be deployed; the message says what is missing."""


@dataclass(frozen=True)
class Deployment:
    """What `sam deploy --config-env` would deploy: `parameters` are all of the template's, defaults included."""

    stack_name: str
    region: str | None
    parameters: Mapping[str, str]


def deployment(config: Mapping[str, Any], env: str, template: Template) -> Deployment:
    """The deployment that samconfig.toml describes under `env`. Raises `ConfigurationError`, `UnknownParameter`."""
    # sam's own reading, not our idea of it
    from samcli.cli.types import CfnParameterOverridesType  # type: ignore[import-untyped]

    if env not in config:
        known = ", ".join(name for name, section in config.items() if isinstance(section, dict))
        raise ConfigurationError(f"samconfig.toml has no section {env!r}; there are {known}")
    given: dict[str, Any] = {}
    for command in ("global", "deploy"):
        given |= config[env].get(command, {}).get("parameters", {})
    if "stack_name" not in given:
        raise ConfigurationError(f"samconfig.toml names no stack under {env!r}")
    overrides = CfnParameterOverridesType().convert(given.get("parameter_overrides", ""), None, None)
    return Deployment(given["stack_name"], given.get("region"), parameter_values(template, overrides or {}))


def stack_name_faults(stack_name: str, account: str, region: str) -> list[str]:
    """The stack's name is part of the buckets' names, and must make valid ones."""
    if not re.fullmatch(r"[a-z][a-z0-9-]*", stack_name):
        return [
            f"The stack name {stack_name!r} must be lower-case letters, digits and hyphens: buckets have it too."
        ]
    longest = LONGEST_BUCKET_NAME.format(stack=stack_name, account=account, region=region)
    if len(longest) > MAX_BUCKET_NAME:
        most = len(stack_name) - (len(longest) - MAX_BUCKET_NAME)
        return [f"The stack name {stack_name!r} is too long: in {region} it may have {most} characters."]
    return []


def value_faults(template: Template, parameters: Mapping[str, str]) -> list[str]:
    """Values that CloudFormation would refuse."""
    faults = []
    for name, value in parameters.items():
        declared = template["Parameters"][name]
        if declared["Type"] == "Number":
            low, high = declared.get("MinValue", -sys.maxsize), declared.get("MaxValue", sys.maxsize)
            if not re.fullmatch(r"-?\d+", value) or not low <= int(value) <= high:
                faults.append(f"{name}={value}: it must be a number from {low} to {high}.")
        allowed = declared.get("AllowedValues")
        if allowed and value not in [str(one) for one in allowed]:
            faults.append(f"{name}={value}: it must be one of {', '.join(str(one) for one in allowed)}.")
        pattern = declared.get("AllowedPattern")
        if pattern and not re.fullmatch(pattern, value):
            faults.append(f"{name}={value}: it does not match {pattern}")
    return faults


def relation_faults(parameters: Mapping[str, str]) -> list[str]:
    """Values that CloudFormation would take and that do not go together."""
    number = {name: int(value) for name, value in parameters.items() if re.fullmatch(r"\d+", value)}
    lease = number["ProcessorTimeoutSeconds"] + LEASE_MARGIN_SECONDS
    faults = []
    if number["QueueVisibilitySeconds"] <= lease:
        faults.append(
            f"QueueVisibilitySeconds={number['QueueVisibilitySeconds']}: it must be more than {lease},"
            " or a redelivery finds the lease of a dead worker still alive."
        )
    if number["DeadLetterVisibilitySeconds"] < number["RecoveryTimeoutSeconds"]:
        faults.append(
            "DeadLetterVisibilitySeconds must not be less than RecoveryTimeoutSeconds: Lambda refuses it."
        )
    if number["MaxPostBytes"] > number["MaxImageBytes"]:
        faults.append("MaxPostBytes must not be more than MaxImageBytes: no function would start.")
    try:
        thumbnail_sizes(parameters["Thumbnails"])
    except ValueError as error:
        faults.append(f"Thumbnails={parameters['Thumbnails']}: no function would start. {error}")
    needed = processor_megabytes(number["MaxImagePixels"], number["MaxImageBytes"])
    if number["ProcessorMemoryMegabytes"] < needed:
        faults.append(
            f"ProcessorMemoryMegabytes={number['ProcessorMemoryMegabytes']}: a picture of MaxImagePixels="
            f"{number['MaxImagePixels']} can need {needed} beside the caption model."
        )
    return faults


def model_faults(models: Path, *, model_dir: str, allow_demo: bool) -> list[str]:
    """Whether the caption model that goes into the image is the real one, and whole. `models`: that folder."""
    try:
        folder = ROOT / model_dir if model_dir else find_model_dir(models)
        manifest = verify_checksums(folder)
    except ModelError as error:
        return [str(error)]
    if folder.is_relative_to(models / "demo") and not allow_demo:
        return [
            f"The demo caption model would be deployed ({manifest.model}): it names colours and simple shapes."
            f" `make model` fetches the real one; {ALLOW_DEMO_MODEL}=1 deploys the demo model all the same."
        ]
    return []


def architecture_faults(architecture: str, machine: str, emulators: Path) -> list[str]:
    """Whether the image can be built here. `emulators`: Linux's /proc/sys/fs/binfmt_misc."""
    if _MACHINES.get(machine) == architecture or not emulators.is_dir():
        return []  # Docker on macOS and Windows brings its emulators along
    if (emulators / _EMULATORS[architecture]).exists():
        return []
    return [
        f"Architecture={architecture}, and this machine is {machine}: its image cannot be built here without an"
        " emulator (docker run --privileged --rm tonistiigi/binfmt --install all), or on a machine of that kind."
    ]


def account_faults(planned: Deployment, session: boto3.Session, endpoint_url: str | None = None) -> list[str]:
    """Whether there are credentials, and whether the stack's name fits that account and region."""
    region = planned.region or session.region_name
    if region is None:
        return ["No region: set AWS_REGION, or `region` in samconfig.toml."]
    try:
        sts = session.client("sts", region_name=region, endpoint_url=endpoint_url, config=_IMPATIENT)
        caller = sts.get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        return [f"No AWS credentials that work: {error}"]
    print(f"{planned.stack_name} in {region}, as {caller['Arn']}")
    return stack_name_faults(planned.stack_name, caller["Account"], region)


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
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
    except Exception as error:  # whatever samconfig.toml holds
        print(f"preflight: {error}", file=sys.stderr)
        return 1
    if given.show:
        print(planned.parameters[given.show])
        return 0
    values = value_faults(template, planned.parameters)
    faults = [
        *(values or relation_faults(planned.parameters)),
        *model_faults(
            ROOT / "models",
            model_dir=planned.parameters["CaptionModelDir"],
            allow_demo=os.environ.get(ALLOW_DEMO_MODEL) == "1",
        ),
        *architecture_faults(
            planned.parameters["Architecture"], platform.machine(), Path("/proc/sys/fs/binfmt_misc")
        ),
        *account_faults(planned, boto3.Session()),
    ]
    for fault in faults:
        print(f"preflight: {fault}", file=sys.stderr)
    if not faults:
        print("preflight: nothing against it")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
