"""Read template.yaml, and translate it from SAM to CloudFormation without an AWS account.

`python -m local.template` prints the translated template, for tools that do not support SAM.
"""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
from samtranslator.parser.parser import Parser  # type: ignore[import-untyped]
from samtranslator.translator.translator import Translator  # type: ignore[import-untyped]
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "template.yaml"
OBSERVABILITY = ROOT / "observability.yaml"

Template = dict[str, Any]
Timing = Mapping[str, Mapping[str, int]]
"""Times in seconds, by function and name, as in the template's mapping `Timing`."""


class UnknownParameter(Exception):
    """A value was given for a parameter that the template does not declare."""


class UnknownTiming(Exception):
    """A value was given for a time that the template does not have."""


def read_template(path: Path = TEMPLATE) -> Template:
    """Read the SAM template. Short intrinsics (`!Ref`) are expanded."""
    template: Template = yaml_parse(path.read_text(encoding="utf-8"))
    return template


def parameter_values(template: Template, overrides: Mapping[str, str]) -> dict[str, str]:
    """The value of each parameter: `overrides`, else the template's default. Raises `UnknownParameter`."""
    declared = template.get("Parameters", {})
    unknown = sorted(set(overrides) - set(declared))
    if unknown:
        raise UnknownParameter(f"template.yaml has no parameter {', '.join(unknown)}")
    return {
        name: str(overrides[name] if name in overrides else declaration["Default"])
        for name, declaration in declared.items()
    }


def with_timing(template: Template, timing: Timing) -> Template:
    """Return the template with other values in its mapping `Timing`. Raises `UnknownTiming`."""
    changed = copy.deepcopy(template)
    known = changed["Mappings"]["Timing"]
    for function, times in timing.items():
        for name, value in times.items():
            if name not in known.get(function, {}):
                raise UnknownTiming(f"template.yaml has no time {function}.{name}")
            known[function][name] = value
    return changed


def translate(template: Template, *, region: str, parameters: Mapping[str, str]) -> Template:
    """The CloudFormation template that `sam deploy` would send, except for code locations."""
    sam = copy.deepcopy(template)
    for resource in sam["Resources"].values():
        _point_to_uploaded_code(resource)
    translator = Translator(None, Parser(), boto_session=boto3.Session(region_name=region))
    translated: Template = translator.translate(sam, parameter_values=dict(parameters))
    return translated


def _point_to_uploaded_code(resource: Template) -> None:
    """Do what `sam package` does: the translator accepts only code in S3 or ECR."""
    properties = resource.get("Properties", {})
    if resource["Type"] == "AWS::CloudFormation::Stack":
        properties["TemplateURL"] = "https://s3.amazonaws.com/code/observability.yaml"
    elif resource["Type"] == "AWS::Serverless::LayerVersion":
        properties["ContentUri"] = "s3://code/layer.zip"
    elif resource["Type"] == "AWS::Serverless::Function":
        if properties.get("PackageType") == "Image":
            properties["ImageUri"] = "123456789012.dkr.ecr.us-east-1.amazonaws.com/code:latest"
        else:
            properties["CodeUri"] = "s3://code/function.zip"


if __name__ == "__main__":
    _template = read_template()
    _translated = translate(_template, region="eu-west-1", parameters=parameter_values(_template, {}))
    json.dump(_translated, sys.stdout, indent=1)
