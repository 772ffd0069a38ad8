"""What is printed once everything answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.environment import DUMMY_CREDENTIALS

_RULE = "─" * 100
_OFF = "off (WORKERS=0): images stay pending until another program receives their messages"


def banner(
    stack: Mapping[str, Any], health: Any, *, external: bool, is_processing: bool, other_url: str | None
) -> str:
    """Returns what to print. `stack` is from `LocalStack.description`, `health` from the API.

    `other_url`: the API of the stack that `python -m ops` uses if it is not told to use this one.
    """
    copy = f"aws --endpoint-url {stack['aws_endpoint_url']} s3 cp photo.jpg s3://{stack['uploads_bucket_name']}/"
    key = f"-H 'X-Api-Key: {stack['api_key']}' " if "api_key" in stack else ""
    exports = " ".join(f"{name}={value}" for name, value in DUMMY_CREDENTIALS.items())
    lines = [
        ("API", stack["api_url"]),
        ("Docs", f"{stack['api_url']}/docs"),
        ("AWS endpoint", stack["aws_endpoint_url"] + ("" if external else "   (moto, in memory)")),
        ("Bucket", stack["uploads_bucket_name"]),
        *([("API key", f"{stack['api_key']}   (in the header X-Api-Key)")] if "api_key" in stack else []),
        ("Captions", caption_line(health)),
        *([] if is_processing else [("Processing", _OFF)]),
        ("", ""),
        ("Upload", f"curl {key}-F file=@photo.jpg {stack['api_url']}/api/images"),
        *([] if external else [("Drop", f"export {exports} AWS_DEFAULT_REGION={stack['region']}")]),
        ("" if not external else "Drop", copy),
        ("sam local", f"sam local start-api --env-vars {stack['env_file']}   (start this with --containers)"),
        *([] if other_url is None else [("ops", _ops_line(stack["description_file"], other_url))]),
        ("", ""),
        ("Ctrl-C", "stops everything"),
    ]
    return "\n".join(["", _RULE, *(f"  {label:<13} {text}".rstrip() for label, text in lines), _RULE, ""])


def _ops_line(description_file: str, other_url: str) -> str:
    return f"python -m ops reconcile --local-file {description_file}   (without it: the stack at {other_url})"


def caption_line(health: Any) -> str:
    """The model in use, loud where it is only the demo."""
    model = _find(health, "caption_model")
    if not model:
        return "no model in use yet; `make model` fetches Salesforce/blip-image-captioning-base"
    if "demo" in str(model).lower():
        return f"DEMO MODEL ({model}): names colours and simple shapes only. The real one: make model"
    return str(model)


def _find(value: Any, key: str) -> Any:
    """The first value under `key`, however deep."""
    if isinstance(value, Mapping):
        if key in value:
            return value[key]
        return next(filter(None, (_find(item, key) for item in value.values())), None)
    return None
