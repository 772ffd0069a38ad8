"""`python -m docs.api` writes docs/api.md, from the OpenAPI schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from image_api.app import create_app
from image_core.services import connect
from image_core.settings import Settings

_LIMITS = {"minimum": "≥", "maximum": "≤", "minLength": "length ≥", "maxLength": "length ≤", "maxItems": "items ≤"}
FILE = Path(__file__).with_name("api.md")

_HEAD = """# The API

For callers of the HTTP API. `make docs` writes this page from the OpenAPI schema that a running stack serves at
`/openapi.json` and shows at `/docs`.
"""

_GATEWAY = """## Responses of API Gateway itself

On AWS some calls never reach our function, or fail after it. API Gateway then sends its own response: `{"message":
"…"}` without an envelope and without `X-Request-Id` (but with `apigw-requestid`). An HTTP API cannot change these
responses. This list is from AWS's documentation and has not been checked on AWS. `make smoke` reports the responses
that it receives.

| status | `message` | when | what to do |
|---|---|---|---|
| 400 | `Bad Request` | The request is not valid HTTP. | Correct it. |
| 403 | `Forbidden` | The host is not one of the API's, or an authorizer that was added denied access. | |
| 404 | `Not Found` | The API or its stage does not exist. | Check the URL. |
| 413 | `Request Entity Too Large` | The request is larger than 10 MB, or than Lambda's 6 MB (or 500). | \
`POST /api/uploads` |
| 429 | `Too Many Requests` | The rate limit of the account or the stage was exceeded. | \
Retry with exponential backoff. |
| 500 | `Internal Server Error` | The function crashed, or request or response exceeded Lambda's 6 MB \
(base64, including headers; or 413). | For a file: `POST /api/uploads`. Otherwise retry. |
| 503 | `Service Unavailable` | The function took longer than 30 seconds, or could not be started. | \
Retry; a POST with the same `Idempotency-Key`. |
| 504 | `Gateway Timeout` | Same as 503. | Same as 503. |

S3 responds to requests to presigned URLs, in XML:

| status | code | when | what to do |
|---|---|---|---|
| 400 | `BadDigest` | The bytes do not match the announced `sha256`. | Send the announced file. |
| 400 | `ExpiredToken` | The credentials of the function that signed the URL expired before the URL did. | \
Get a new URL. |
| 403 | `AccessDenied` | The URL has expired. | Get a new URL. |
| 403 | `SignatureDoesNotMatch` | Size, type or checksum header differ from the signed ones. | \
Send the signed headers. |
| 409 | `ConditionalRequestConflict` | The same file is being uploaded twice at this moment. | Retry. |
| 412 | `PreconditionFailed` | The file is already in the bucket. | |

To get a new URL for the same image, repeat `POST /api/uploads` with the same `Idempotency-Key`.
"""


def document() -> str:
    """Return the text of docs/api.md."""
    schema = offline_app().openapi()
    parts = [_HEAD, schema["info"]["description"].strip() + "\n", *_contents(schema)]
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            parts.append("\n".join(_operation(method, path, operation, schema)))
    parts += ["## Models\n", *("\n".join(_model(name, one)) for name, one in _models(schema)), _GATEWAY]
    return "\n".join(parts)


def offline_app() -> FastAPI:
    """Return an application whose services are never called, which is enough for its schema."""
    names = ("uploads_bucket", "thumbnails_bucket", "images_table", "stats_table", "search_table", "queue_url")
    return create_app(connect(Settings.model_validate(dict.fromkeys(names, "none"))))


def _title(method: str, path: str) -> str:
    return f"{method.upper()} {path}"


def _contents(schema: dict[str, Any]) -> Iterator[str]:
    yield "| call | summary |\n|---|---|"
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            anchor = "".join(c for c in _title(method, path).lower().replace(" ", "-") if c.isalnum() or c in "-_")
            yield f"| [`{_title(method, path)}`](#{anchor}) | {operation['summary']} |"
    yield ""


def _operation(method: str, path: str, operation: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    yield f"## {_title(method, path)}\n\n**{operation['summary']}.** {operation['description']}\n"
    if parameters := operation.get("parameters"):
        yield "| parameter | in | type | description |\n|---|---|---|---|"
        for one in parameters:
            described = _line(one.get("description", ""))
            yield f"| `{one['name']}` | {one['in']} | {_form(one['schema'])} | {described} |"
        yield ""
    for media_type, body in operation.get("requestBody", {}).get("content", {}).items():
        yield f"Body, `{media_type}`:\n"
        yield from _properties(schema["components"]["schemas"][_name(body["schema"])])
    yield "| status | description | headers | body |\n|---|---|---|---|"
    for status, response in sorted(operation["responses"].items()):
        headers = ", ".join(f"`{name}`" for name in response["headers"] if name != "X-Request-Id")
        bodies = ", ".join(_body(media_type, one) for media_type, one in response.get("content", {}).items())
        yield f"| {status} | {_line(response['description'])} | {headers} | {bodies} |"
    yield ""
    models = schema["components"]["schemas"]
    for name in [name for name in _success_models(operation) if "examples" in models[name]][:1]:
        yield f"```json\n{json.dumps(models[name]['examples'][0], indent=1, ensure_ascii=False)}\n```\n"


def _success_models(operation: dict[str, Any]) -> Iterator[str]:
    """Yield the models of an operation's successful responses, the usual one first."""
    for status in sorted(operation["responses"], key=lambda status: (status == "200", status)):
        for one in operation["responses"][status].get("content", {}).values():
            if status < "300" and "$ref" in one["schema"]:
                yield _name(one["schema"])


def _body(media_type: str, content: dict[str, Any]) -> str:
    shape = content["schema"]
    return f"[{_name(shape)}](#{_name(shape).lower()})" if "$ref" in shape else f"`{media_type}`"


def _models(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every model except those of request bodies, which are shown with their calls."""
    bodies = {
        _name(body["schema"])
        for operations in schema["paths"].values()
        for operation in operations.values()
        for body in operation.get("requestBody", {}).get("content", {}).values()
    }
    return ((name, one) for name, one in schema["components"]["schemas"].items() if name not in bodies)


def _model(name: str, model: dict[str, Any]) -> Iterator[str]:
    yield f"### {name}\n\n{model.get('description', '')}\n"
    yield from _properties(model)


def _properties(model: dict[str, Any]) -> Iterator[str]:
    required = model.get("required", [])
    yield "| field | type | description |\n|---|---|---|"
    for name, one in model.get("properties", {}).items():
        described = _line(one.get("description", ""))
        optional = "" if name in required or one.get("default") is not None else "optional"
        examples = ", ".join(f"`{json.dumps(example, ensure_ascii=False)}`" for example in one.get("examples", []))
        notes = "; ".join(filter(None, (described.rstrip("."), optional, examples and f"e.g. {examples}")))
        yield f"| `{name}` | {_form(one)} | {notes} |"
    yield ""


def _form(schema: dict[str, Any]) -> str:
    """Describe the type and the limits of a value."""
    if "$ref" in schema:
        return f"[{_name(schema)}](#{_name(schema).lower()})"
    if "anyOf" in schema:
        return " or ".join(_form(one) for one in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return ", ".join(f"`{json.dumps(one)}`" for one in schema.get("enum", [schema.get("const")]))
    words = [schema.get("format") or schema.get("type", "anything")]
    for contained in ("items", "additionalProperties"):
        if isinstance(schema.get(contained), dict):
            words.append(f"of {_form(schema[contained])}")
    words += [f"{sign} {schema[name]:,}" for name, sign in _LIMITS.items() if name in schema]
    if "pattern" in schema:
        words.append(f"`{schema['pattern']}`")
    if "default" in schema and schema["default"] is not None:
        words.append(f"(default {json.dumps(schema['default'])})")
    return " ".join(words)


def _name(schema: dict[str, Any]) -> str:
    return str(schema["$ref"]).rsplit("/", 1)[1]


def _line(text: str) -> str:
    return " ".join(text.replace("\n\n", "<br>").split()).replace("|", "\\|")


def main() -> None:
    """Write docs/api.md."""
    FILE.write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    main()
