"""The OpenAPI schema: FastAPI's own, with examples and the API key, and without responses that cannot happen."""

from __future__ import annotations

import copy
from typing import Any

from fastapi import FastAPI

from image_api import examples
from image_api.http import api_key
from image_api.http.error_responses import documented
from image_api.http.errors import HTTP_STATUS, Unauthorized
from image_api.http.response_headers import REQUEST_ID
from image_core.errors import IMAGE_ERRORS

_FRAMEWORKS_OWN = ("HTTPValidationError", "ValidationError")
_CODES_OF_IMAGES = "\n".join(f"- `{code}`: {error.default_message}" for code, error in IMAGE_ERRORS.items())
DESCRIPTION = f"""
Upload an image, or drop it into the bucket. Seconds later it has thumbnails, metadata and a caption.

Responses under `/api/images` are envelopes: `status`, `data`, `error`. Error codes are stable, messages are for
people. In addition to the codes of each call, any URL can return `not_found` (404: there is nothing at this URL),
`method_not_allowed` (405: the header `Allow` lists the methods) and `invalid_request` (400: the header `Host` is
malformed). HEAD works wherever GET does. Range requests are not supported: the whole body is returned.

An image whose status is `failed` has one of these codes:

{_CODES_OF_IMAGES}

Every response has an `{REQUEST_ID}`. Include it when you report a problem.
"""


class DocumentedApi(FastAPI):
    """FastAPI with the schema of this module."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = _corrected(super().openapi())
        return self.openapi_schema


def _corrected(schema: dict[str, Any]) -> dict[str, Any]:
    _document_api_key(schema)
    for operations in schema["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", []):
                _without_null(parameter)
            operation["responses"] = {
                status: _completed(response)
                for status, response in operation["responses"].items()
                if not _is_frameworks_own(response)
            }
    schemas = schema["components"]["schemas"]
    for name in _FRAMEWORKS_OWN:
        schemas.pop(name, None)
    for name, example in examples.OF_MODELS.items():
        schemas[name]["examples"] = [example]
    # OpenAPI 3.1 describes a file by its media type; many generators need the older format as well.
    for one in schemas.values():
        for described in one.get("properties", {}).values():
            if described.get("contentMediaType") == "application/octet-stream":
                described["format"] = "binary"
    return schema


def _document_api_key(schema: dict[str, Any]) -> None:
    """Add the security scheme, and the 401 of every path that may need a key."""
    schema.setdefault("components", {})["securitySchemes"] = {
        "ApiKey": {
            "type": "apiKey",
            "in": "header",
            "name": api_key.HEADER,
            "description": "Required on stacks that have a key, which is the default on AWS.",
        }
    }
    status = HTTP_STATUS[Unauthorized]
    refusal = documented(Unauthorized)[status]
    del refusal["model"]  # FastAPI's keyword, which it has already replaced in the rest of the schema
    refusal["content"]["application/json"]["schema"] = {"$ref": "#/components/schemas/ErrorResponse"}
    refusal["headers"] = {
        "WWW-Authenticate": {"description": "Names the header for the key.", "schema": {"type": "string"}}
    }
    for path, methods in schema["paths"].items():
        if not api_key.is_public(path, public_docs=True):
            for operation in methods.values():
                operation["security"] = [{"ApiKey": []}, {}]
                operation["responses"][str(status)] = copy.deepcopy(refusal)


def _without_null(parameter: dict[str, Any]) -> None:
    """Remove null from an optional parameter: a URL or a header cannot contain it."""
    schema = parameter["schema"]
    choices = [one for one in schema.pop("anyOf", []) if one != {"type": "null"}]
    for choice in choices:
        schema.update(choice)


def _is_frameworks_own(response: dict[str, Any]) -> bool:
    """FastAPI documents a 422 on every route with parameters, even plain path strings that cannot be invalid."""
    shape = response.get("content", {}).get("application/json", {}).get("schema", {})
    return str(shape.get("$ref", "")).endswith("/HTTPValidationError")


def _completed(response: dict[str, Any]) -> dict[str, Any]:
    for content in response.get("content", {}).values():
        for example in content.get("examples", {}).values():
            example["value"]["data"] = None  # FastAPI leaves nulls out of the schema
    header = {"description": "The id of this request in the logs.", "schema": {"type": "string"}}
    return {**response, "headers": {**response.get("headers", {}), REQUEST_ID: header}}
