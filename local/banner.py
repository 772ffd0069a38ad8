"""The text that is printed once everything is ready."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.environment import DUMMY_CREDENTIALS

_RULE = "─" * 100
_RECOVERED = "The last run did not stop cleanly. Its images are being restored; its titles and alt texts are lost."
_OFF = "off (WORKERS=0): images stay pending until another program receives their messages"


def banner(
    stack: Mapping[str, Any],
    health: Any,
    *,
    external: bool,
    is_processing: bool,
    upgrades_model: bool,
    other_url: str | None,
) -> str:
    """Return the text to print. `stack` is from `LocalStack.description`, `health` from the API.

    `upgrades_model`: the demo model will be replaced by the real one.
    `other_url`: the API of the stack that `python -m ops` uses by default.
    """
    copy = f"aws --endpoint-url {stack['aws_endpoint_url']} s3 cp photo.jpg s3://{stack['uploads_bucket_name']}/"
    key = f"-H 'X-Api-Key: {stack['api_key']}' " if "api_key" in stack else ""
    exports = " ".join(f"{name}={value}" for name, value in DUMMY_CREDENTIALS.items())
    lines = [
        ("API", stack["api_url"]),
        ("Docs", f"{stack['api_url']}/docs"),
        ("AWS endpoint", f"{stack['aws_endpoint_url']}{_emulator(stack)}"),
        ("Bucket", stack["uploads_bucket_name"]),
        *([("API key", f"{stack['api_key']}   (in the header X-Api-Key)")] if "api_key" in stack else []),
        *([("Webhooks", _webhooks_line(stack))] if stack["webhook_url"] else []),
        ("Captions", caption_line(health, upgrades=upgrades_model)),
        *([] if is_processing else [("Processing", _OFF)]),
        *([("Recovered", _RECOVERED)] if stack["is_recovered"] else []),
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


def _webhooks_line(stack: Mapping[str, Any]) -> str:
    """Name the receiver, without a query that may contain a token, and the secret."""
    return f"{str(stack['webhook_url']).partition('?')[0]}   (secret {stack['webhook_secret']})"


def _emulator(stack: Mapping[str, Any]) -> str:
    """Name the emulator and say whether it keeps data."""
    if stack["emulator"] is None:
        return ""
    if stack["data_folder"]:
        return f"   (MiniStack; data are kept in {stack['data_folder']})"
    return "   (moto; all data are lost when it stops)"


def _ops_line(description_file: str, other_url: str) -> str:
    return f"python -m ops reconcile --local-file {description_file}   (without it: the stack at {other_url})"


def caption_line(health: Any, *, upgrades: bool) -> str:
    """Name the model in use, with a warning if it is the demo model."""
    model = _find(health, "caption_model")
    if not model:
        return "no model in use yet; `make model` downloads Salesforce/blip-image-captioning-base"
    if "demo" in str(model).lower():
        then = "until BLIP is downloaded, in the background" if upgrades else "for the real one: make model"
        return f"DEMO MODEL ({model}): names colors and simple shapes only, {then}"
    return str(model)


def _find(value: Any, key: str) -> Any:
    """Return the first value of `key` at any depth."""
    if isinstance(value, Mapping):
        if key in value:
            return value[key]
        return next(filter(None, (_find(item, key) for item in value.values())), None)
    return None
